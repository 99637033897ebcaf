"""Turns jsonargparse's messages about a wrong option into one short message."""

import argparse
import re
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from animelm.errors import UserError

# Lines about the types that the parser has tried, not about the mistake.
_TRIED_TYPES = (
    "Does not validate against any of the Union subtypes",
    "Subtypes:",
    "Errors:",
    "Expected a <class 'NoneType'>",
    "Given value type:",
)
_LONGEST_VALUE = 60
# jsonargparse's words for a class that its allow list does not name.
_REFUSED_CLASS = re.compile(r"Importing '([^']+)' is not allowed")
# Where a command's required options can be found.
_CPT = "they are set in a config, such as --config cpt.yaml"
_SFT = "they are set in a config, such as --config sft.yaml"
_ADVICE = {
    "fit": _CPT,
    "inspect": _CPT,
    "plan": _CPT,
    "validate": _SFT,
    "test": _SFT,
    "predict": _SFT,
    "compare": "they are set in a config, such as --config compare.yaml",
    "export": "such as --adapter runs/sft/adapter --to peft --output my-adapter",
    "ask": "such as --base checkpoints/nano-gpt-oss-ja --adapter runs/sft/adapter",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}\n`{self.prog} --help` lists the options")


def config_parser(command: str, description: str, config: str) -> argparse.ArgumentParser:
    """A parser with ``--config`` and ``--format``, for commands that read a config and run nothing.

    Args:
        command: its name.
        description: of the command, for ``--help``.
        config: description of ``--config``, for ``--help``.
    """
    parser = _Parser(
        prog=f"python -m animelm {command}",
        description=description,
        epilog="Every option of `fit` is accepted as well, such as "
        "--model.lora.target_modules=[q_proj,gate_proj].",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="print tables, or JSON"
    )
    parser.add_argument("--config", action="append", help=config, required=True)
    return parser


@contextmanager
def errors_in_one_message(command: str) -> Iterator[None]:
    """Turns errors of the parser, and errors that it has wrapped, into a ``UserError``.

    The parser must be made with ``exit_on_error=False``, or else it prints all its options.

    Raises:
        UserError: an option of ``command`` is wrong.
    """
    try:
        yield
    except (ArgumentError, ValueError) as error:
        cause: BaseException | None = error
        # A UserError that is raised while a class is instantiated arrives inside a ValueError.
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        if not isinstance(error, ArgumentError):
            raise
        message = shorten(error.message)
        if message.startswith("the following arguments are required") and command in _ADVICE:
            message = f"{message}; {_ADVICE[command]}"
        raise UserError(
            f"{message}\n`python -m animelm {command} --help` lists the options"
        ) from error


def shorten(message: str) -> str:
    """Removes the parser's attempts to read a value as other types from its message."""
    if refused := _REFUSED_CLASS.search(message):
        option = re.search(r'Parser key "([^"]+)"', message)
        return (
            f"{f'--{option[1]}: ' if option else ''}{refused[1]} lies outside of the packages "
            "whose classes a config may name. Naming a class runs its code: if you trust it, add "
            f"--allow_classes_from={refused[1].partition('.')[0]} to the command"
        )
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith(_TRIED_TYPES)]
    kept = [line for line in kept if not line.startswith("Given value:") or _is_plain(line)]
    text = "; ".join(dict.fromkeys(kept)).replace(":;", ":")
    text = re.sub(r'Parser key "([^"]+)":', r"--\1:", text)
    return re.sub(r"Expected a <class '([\w.]+)'>", r"Expected \1", text)


def _is_plain(value: str) -> bool:
    return len(value) <= _LONGEST_VALUE and "(" not in value
