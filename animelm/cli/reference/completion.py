"""completion: prints a script with which a shell completes commands and options."""

from argparse import ArgumentParser
from typing import Any, Literal

import shtab
from jsonargparse import auto_cli

from animelm.cli import COMMANDS
from animelm.cli.reference.options import Option, command_options, subcommands
from animelm.terminal import say


def run(command: str, arguments: list[str]) -> None:
    """Parses the options of ``completion`` and prints the script."""
    auto_cli(completion, args=arguments, prog="python -m animelm completion", exit_on_error=False)


def completion(shell: Literal["bash", "zsh", "fish", "tcsh"]) -> None:
    """Prints a script with which a shell completes the commands and options of `animelm`.

    It is read by the shell when it starts: animelm completion bash >> ~/.bash_completion, or for
    zsh a file _animelm in a folder of $fpath.

    Args:
        shell: Name of the shell.
    """
    say(shtab.complete(_whole_parser(), shell=shell))


def _whole_parser() -> ArgumentParser:
    """A parser of all commands with names and values alone, which is never used to parse."""
    parser = ArgumentParser(prog="animelm")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers()
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if inner := subcommands(name):
            below = command.add_subparsers()
            for word, its_text in inner.items():
                _add_options(below.add_parser(word, help=its_text), f"{name} {word}")
        else:
            _add_options(command, name)
    return parser


def _add_options(parser: ArgumentParser, words: str) -> None:
    options = command_options(words)
    if not any(option.key == "config" for option in options):
        options = [*options, Option("config", "path", (), "null", "Config file.")]
    for option in options:
        name = option.key if option.is_positional else f"--{option.key}"
        settings: dict[str, Any] = {"choices": option.choices} if option.choices else {}
        # The first sentence, which fits into a line of a menu.
        text = option.text.partition(". ")[0].replace("%", "%%")
        action = parser.add_argument(name, help=text, **settings)
        if "path" in option.kind:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
