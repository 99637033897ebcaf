"""Checks the settings that a user has given, before the parser reads them."""

import re
from argparse import ArgumentError
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animelm.errors import UserError
from animelm.reading import parse_yaml, read_utf8

_RENAMED_KEYS = {
    "model.rank": "model.lora.rank",
    "model.alpha": "model.lora.alpha",
    "model.dropout": "model.lora.dropout",
    "model.target_modules": "model.lora.target_modules",
    "model.init_adapter": "model.adapter.init_from",
    "model.init_mode": "model.adapter.init_mode",
    "model.evaluated_adapter": "model.adapter.evaluate",
    "model.optimiser": "model.optimizer",
    "model.activation_checkpointing": "model.memory.activation_checkpointing",
    "model.kept_activations_gib": "model.memory.stored_activations_gib",
    "model.embeddings_on_cpu": "model.memory.embeddings_on_cpu",
    "model.compute_type": "model.compute.dtype",
    "model.compile_kernels": "model.compute.compile_kernels",
    "model.max_new_tokens": "model.generation.max_new_tokens",
    "model.max_thinking_tokens": "model.generation.max_thinking_tokens",
    "model.whole": "model.from_scratch",
    "data.replay_folders": "data.general_folders",
    "data.init_args.replay_folders": "data.general_folders",
    "data.replay_records": "data.general_records",
    "data.init_args.replay_records": "data.general_records",
    "data.replay_share": "data.shares.general_articles, or general_questions",
    "data.init_args.replay_share": "data.shares.general_articles, or general_questions",
}
# By its own name, as a config may give it, or by any path in animelm that it has had.
_RENAMED_CLASSES = {"MarkdownDataModule": "DomainDataModule", "QADataModule": "DomainDataModule"}
_MOVED_CLASSES = {"animelm.data.mixture_module.MixtureDataModule": "MixtureDataModule"}
_ASKS_FOR_HELP = re.compile(r"-h$|--(\S+\.)?help\b|--print_config\b")


@dataclass(frozen=True)
class GivenSetting:
    """One setting as a user has given it.

    Attributes:
        key: with dots, such as model.lora.rank.
        value: as YAML reads it.
        origin: the option, or the config file and the key.
        layer: the config file; empty for the command line.
    """

    key: str
    value: object
    origin: str
    layer: str = ""


def check_given_settings(arguments: list[str]) -> list[str]:
    """Checks options and the configs that they name, in the order in which they are layered.

    Returns:
        The packages of ``--allow_classes_from``, from which a config may name classes too.

    Raises:
        UserError: a setting has an old name, ``include`` is given as an option,
            ``allow_classes_from`` is set in a config, or the data module's base differs from the
            model's.
        ArgumentError: there is no base. The parser would only say that of the linked data module.
    """
    bases: dict[str, GivenSetting] = {}
    packages: list[str] = []
    for setting in given_settings(arguments):
        _require_current_names(setting)
        if setting.origin == "--include":
            raise UserError("--include: only a config file can include another; use --config")
        if setting.key == "allow_classes_from":
            packages += _packages(setting)
        if setting.key in ("model.base", "data.base", "data.init_args.base"):
            bases[setting.key.partition(".")[0]] = setting
    model, data = bases.get("model"), bases.get("data")
    if model is None and not any(_ASKS_FOR_HELP.match(argument) for argument in arguments):
        raise ArgumentError(None, "the following arguments are required: model.base")
    if model and data and model.value != data.value:
        raise UserError(
            f"{data.origin} is {data.value}, but {model.origin} is {model.value}; the data module "
            "always uses the model's base: leave data.base out"
        )
    return packages


def _packages(setting: GivenSetting) -> list[str]:
    if setting.value is None:
        return []
    if setting.origin != "--allow_classes_from":
        raise UserError(
            f"{setting.origin}: only the command line can say whose code a config may run"
        )
    given = setting.value if isinstance(setting.value, list) else [setting.value]
    names = [str(name) for name in given]
    if wrong := [name for name in names if not all(map(str.isidentifier, name.split(".")))]:
        raise UserError(f"--allow_classes_from: {wrong[0]!r} is not the name of a package")
    return names


def _require_current_names(setting: GivenSetting) -> None:
    for old, new in _RENAMED_KEYS.items():
        if setting.key == old or setting.key.startswith(f"{old}."):
            raise UserError(f"{setting.origin} is now called {new}{setting.key[len(old) :]}")
    if isinstance(setting.value, str) and (current := _current_class(setting.value)):
        raise UserError(f"{setting.origin}: {setting.value} is now called {current}")


def _current_class(path: str) -> str | None:
    """The new name of a class that is given by an old one."""
    package, _, name = path.rpartition(".")
    if package and not package.startswith("animelm."):
        return None  # a user's own class
    return _RENAMED_CLASSES.get(name) or _MOVED_CLASSES.get(path)


def given_settings(arguments: list[str]) -> Iterator[GivenSetting]:
    """Each setting of the options and of the configs that they name, in layering order."""
    rest = list(arguments)
    while rest:
        option, equals, text = rest.pop(0).partition("=")
        if not option.startswith("-"):
            continue
        if not equals and rest and not rest[0].startswith("-"):
            text = rest.pop(0)
        if option in ("--config", "-c"):
            if not text:  # the parser's own message is clear
                continue
            content = parse_yaml(read_utf8(Path(text)), text)
            for key, value in _flat(content):
                yield GivenSetting(key, value, f"{text}: {key}", text)
        else:
            name = option.lstrip("-").rstrip("+")
            for key, value in _flat({name: _value(text)}):
                yield GivenSetting(key, value, f"--{key}")


def _value(text: str) -> object:
    try:
        return parse_yaml(text, "")
    except UserError:
        return text


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each value with its dotted key; lists and empty mappings are values."""
    if not isinstance(content, dict) or not content:
        yield prefix, content
        return
    for key, value in content.items():
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
