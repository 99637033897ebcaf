"""The options of a command, as its parser knows them."""

import importlib
import re
from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import capture_parser

from animelm.cli import COMMANDS

_NAMES = {int: "int", float: "float", str: "text", bool: "true, false", Path: "path"}
# Their options are those of fit, with a few of their own.
_AS_FIT = ("inspect", "plan")
# Options of the parser itself.
_OF_PARSER = ("help", "config", "print_config", "print_shtab")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        key: as in a config, such as model.lora.rank.
        kind: what it takes, such as int or null.
        choices: the values that it takes; empty if they are not few.
        default: as in a config; empty if the option must be given.
        text: what it does.
        is_positional: whether it is given without its name.
    """

    key: str
    kind: str
    choices: tuple[str, ...]
    default: str
    text: str
    is_positional: bool = False


def subcommands(command: str) -> dict[str, str]:
    """The subcommands of a command with what they do; empty for most commands."""
    return {name: text for name, (_, text) in getattr(_module(command), "SUBCOMMANDS", {}).items()}


def own_options(command: str) -> list[Option]:
    """The options of inspect or plan that fit does not have."""
    return list(_options(_module(command).make_parser(command)))


def command_options(words: str) -> list[Option]:
    """The options of a command.

    Args:
        words: of the command, such as fit or corpus build.
    """
    command, *rest = words.split()
    if command in _AS_FIT:
        return [*own_options(command), *command_options("fit")]
    parser = capture_parser(_module(command).run, command, [*rest, "--help"])
    inner = getattr(parser, "_subcommands_action", None)
    return list(_options(inner.choices[command] if inner else parser))


def _module(command: str) -> ModuleType:
    return importlib.import_module(COMMANDS[command][0])


def _options(parser: ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        hidden = action.help == SUPPRESS or action.default == SUPPRESS
        if not hidden and action.dest not in _OF_PARSER and not _is_helper(action):
            yield _option(action)


def _is_helper(action: Action) -> bool:
    """Whether an action shows the help of a class, loads a group, or cannot be given."""
    return action.dest.endswith(".help") or type(action).__name__ in (
        "_ActionConfigLoad",
        "ActionLink",
    )


def _option(action: Action) -> Option:
    typed = getattr(action, "_typehint", None)
    hint = typed or action.type or (bool if action.nargs == 0 else str)
    choices = tuple(map(str, action.choices or ())) or _choices(hint)
    # The parser of a class leaves its required arguments to a check of its own.
    unset = typed is not None and action.default is None and NoneType not in get_args(typed)
    return Option(
        action.dest,
        kind_of(hint) if not action.choices else ", ".join(choices),
        choices,
        "" if action.required or unset else _written(action.default),
        " ".join((action.help or "").split()),
        not action.option_strings,
    )


def kind_of(hint: Any) -> str:
    """What an option takes, in the words of a config's author."""
    if hint in _NAMES:
        return _NAMES[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (None, NoneType):
        return "null"
    if origin is Literal:
        return ", ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(kind_of, inner)))
    if origin in (list, tuple):
        return f"list of {kind_of(inner[0]) if inner else 'values'}"
    if origin is dict:
        return "mapping"
    return str(getattr(hint, "__name__", hint))


def _choices(hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    if hint is bool:
        return ("true", "false")
    return tuple(choice for each in get_args(hint) for choice in _choices(each))


def _written(value: Any) -> str:
    """A default as it is written in a config."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    # A path inside of the package is another one on each machine.
    return re.sub(rf"^{re.escape(str(_PACKAGE))}/", "", str(value))


_PACKAGE = Path(__file__).parents[3]
