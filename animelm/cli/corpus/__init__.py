"""corpus: from a Wikipedia dump to Markdown articles."""

import importlib

from animelm.errors import UserError
from animelm.terminal import say

# Subcommand, module whose `run` takes its options, what it does.
SUBCOMMANDS = {
    "build": (
        "animelm.cli.corpus.build",
        "Turn a Wikipedia dump, or a part of it, into Markdown articles",
    ),
    "stats": (
        "animelm.cli.corpus.stats",
        "Print statistics of a corpus: articles, lengths, categories, tokens",
    ),
}


def run(command: str, arguments: list[str]) -> None:
    """Runs a subcommand of ``corpus``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_overview())
        return
    subcommand, *options = arguments
    if subcommand not in SUBCOMMANDS:
        raise UserError(f"no corpus {subcommand!r}; expected one of {', '.join(SUBCOMMANDS)}")
    importlib.import_module(SUBCOMMANDS[subcommand][0]).run(subcommand, options)


def _overview() -> str:
    lines = [f"  {name:<8} {text}" for name, (_, text) in SUBCOMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m animelm corpus SUBCOMMAND [--config FILE] [OPTIONS]",
            "",
            *lines,
            "",
            "`python -m animelm corpus SUBCOMMAND --help` explains its options.",
        ]
    )
