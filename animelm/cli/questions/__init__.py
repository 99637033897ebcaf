"""questions: looks at files of questions before anything is trained on them."""

from animelm.cli.questions.check import run as run_check
from animelm.errors import UserError
from animelm.terminal import say

_USAGE = """\
usage: python -m animelm questions SUBCOMMAND [OPTIONS]

  check    Show the facts, works, short keys and split of files of questions

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
