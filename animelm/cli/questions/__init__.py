"""questions: looks at files of questions before anything is trained on them."""

from animelm.cli.questions.check import run as run_check
from animelm.errors import UserError
from animelm.terminal import say

# Subcommand, its module, what it does.
SUBCOMMANDS = {
    "check": (
        "animelm.cli.questions.check",
        "Show the facts, works, short keys and split of files of questions",
    ),
}
_USAGE = f"""\
usage: python -m animelm questions SUBCOMMAND [OPTIONS]

  check    {SUBCOMMANDS["check"][1]}

`python -m animelm questions SUBCOMMAND --help` explains its options."""


def run(command: str, arguments: list[str]) -> None:
    """Runs a subcommand of ``questions``."""
    if not arguments or arguments[0] in ("-h", "--help"):
        say(_USAGE)
        return
    subcommand, *options = arguments
    if subcommand != "check":
        raise UserError(f"no questions {subcommand!r}; expected check")
    run_check(subcommand, options)
