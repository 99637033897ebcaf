"""The name that was probably meant by an option that a command does not have."""

import re
from difflib import get_close_matches

from animelm.cli.reference.options import command_options

# jsonargparse's words for names that it does not know. The name of a data module's setting comes
# without the name of its section.
_UNKNOWN = (
    (re.compile(r"unrecognized arguments: --([\w.]+)"), ""),
    (
        re.compile(r"DomainDataModule': (?:Option|Key) '([\w.]+)' is not (?:accepted|expected)"),
        "data.",
    ),
    (re.compile(r"Subcommand '\w+' does not accept option '([\w.]+)'"), ""),
    (re.compile(r"(?:Option|Key) '([\w.]+)' is not (?:accepted|expected)"), ""),
)


def nearest_option(command: str, message: str) -> str | None:
    """The option that a message about an unknown one should have named; None if there is none.

    Args:
        command: with its subcommand, such as corpus build.
        message: of the parser.
    """
    for pattern, section in _UNKNOWN:
        if found := pattern.search(message):
            given = section + found[1].removeprefix("init_args.").replace(".init_args.", ".")
            known = [option.key for option in command_options(command) if not option.is_positional]
            return next(iter(get_close_matches(given, known, n=1, cutoff=0.7)), None)
    return None
