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
# Lightning's words for a package that one of its classes needs.
_MISSING = re.compile(r"Requirement '([\w-]+)")
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

    Args:
        command: that is run, with its subcommand, such as corpus build.

    Raises:
        UserError: an option of ``command`` is wrong.
    """
    try:
        yield
    except (ArgumentError, ValueError) as error:
        # What is raised while a class is instantiated arrives inside a ValueError.
        for cause in _causes(error):
            if isinstance(cause, UserError):
                raise cause from None
            if isinstance(cause, ImportError) and not _REFUSED_CLASS.search(str(cause)):
                raise _missing_package(cause, str(error)) from error
        if not isinstance(error, ArgumentError):
            raise
        message = shorten(error.message)
        if message.startswith("the following arguments are required") and command in _ADVICE:
            message = f"{message}; {_ADVICE[command]}"
        # Imported here because it makes the parser once more, with all that it needs.
        from animelm.cli.reference.nearest import nearest_option

        if meant := nearest_option(command, message):
            message = f"{message}; did you mean --{meant}?"
        raise UserError(
            f"{message}\n`python -m animelm {command} --help` lists the options"
        ) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _missing_package(error: ImportError, message: str) -> UserError:
    """Names the class of a config that needs a package, such as a logger."""
    found = _MISSING.search(str(error))
    package = error.name or (found and found[1]) or str(error)
    named = re.search(r"class_path '([\w.]+)'", message)
    needs = named[1].rpartition(".")[2] if named else "a class that the config names"
    return UserError(
        f"{needs} needs the package {package}, which is not installed: pip install {package}"
    )


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
