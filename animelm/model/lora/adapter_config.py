"""The settings of an adapter_config.json that are honored, each checked for type and range.

PEFT's own reader takes more: a package to import (``megatron_core``), layers to copy
(``layer_replication``), regular expressions. None of it has a meaning here.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig

from animelm.errors import UserError

_LARGEST_RANK = 65_536
# All other initializations of PEFT change the base's weights.
PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")
# The two forms of the expression that ``target_pattern`` and ``split_targets`` write. Any other one
# could take for ever on a long path.
_PLACE, _NAME = r"\(\?:\.\*\\\.\)\?", r"(?:\w|\\[.\-])+(?:\\\.\\d\+)?"
_OWN_PATTERN = re.compile(
    rf"{_PLACE}\(\?:{_NAME}(?:\|{_NAME})*\)"
    rf"|\(\?:{_PLACE}{_NAME}\)(?:\|\(\?:{_PLACE}{_NAME}\))*"
)
_PATH = re.compile(r"[\w.\-]{1,1000}")
# Says where the adapter comes from, or is written by PEFT for its own use.
_IGNORED = {"peft_type", "peft_version", "revision", "auto_mapping", "inference_mode"}


def _is_path(value: Any) -> bool:
    """Whether a value is the path of a module, or a part of one."""
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def _is_paths(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_path, value))


def _is_targets(value: Any) -> bool:
    return _is_paths(value) or (isinstance(value, str) and bool(_OWN_PATTERN.fullmatch(value)))


def _is_layers(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return all(type(number) is int and 0 <= number < 10_000 for number in numbers)


def _is_rank(value: Any) -> bool:
    return type(value) is int and 0 < value <= _LARGEST_RANK


def _is_alpha(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1e6


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _by_path(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A test of an object whose keys are paths and whose values pass ``test``."""
    return lambda value: (
        isinstance(value, dict) and all(map(_is_path, value)) and all(map(test, value.values()))
    )


# Of each honored key: whether a value is valid, and what is expected.
_HONORED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "task_type": (lambda value: value == "CAUSAL_LM", "CAUSAL_LM or null"),
    "base_model_name_or_path": (lambda value: isinstance(value, str), "a text"),
    "r": (_is_rank, f"a whole number from 1 to {_LARGEST_RANK}"),
    "lora_alpha": (_is_alpha, "a number above 0, up to 1,000,000"),
    "lora_dropout": (_is_share, "a number of at least 0 and below 1"),
    "target_modules": (_is_targets, "a list of names of modules, not a regular expression"),
    "target_parameters": (_is_paths, "a list of names of parameters"),
    "exclude_modules": (_is_paths, "a list of names of modules"),
    "modules_to_save": (_is_paths, "a list of names of modules"),
    "layers_to_transform": (_is_layers, "a list of numbers of layers"),
    "layers_pattern": (lambda v: _is_path(v) or _is_paths(v), "a name of modules, or a list"),
    "rank_pattern": (_by_path(_is_rank), "an object of ranks by names of modules"),
    "alpha_pattern": (_by_path(_is_alpha), "an object of numbers by names of modules"),
    "use_rslora": (_is_flag, "true or false"),
    "use_dora": (_is_flag, "true or false"),
    "lora_bias": (_is_flag, "true or false"),
    "bias": (lambda value: value == "none", "none"),
    "init_lora_weights": (lambda value: value in PLAIN_STARTS, "true"),
}


def honored_settings(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in an adapter_config.json that are honored.

    A key that is not honored is left out where it has no effect: it is empty, false, or as PEFT
    writes it for every adapter.

    Args:
        path: of the file, for messages.
        values: its content.

    Raises:
        UserError: a value has another type or is out of range, or a key that is not honored has an
            effect.
    """
    settings = {}
    untouched = LoraConfig().to_dict()
    for key, value in values.items():
        if value is None or key in _IGNORED:
            continue
        if key in _HONORED:
            is_valid, expected = _HONORED[key]
            if not is_valid(value):
                raise UserError(f"{path}: {key} is {value!r:.80}; expected {expected}")
            settings[key] = value
        elif value not in (False, {}, []) and value != untouched.get(key):
            raise UserError(
                f"{path}: {key} is {value!r:.80}; it is not supported here, so expected an adapter "
                "that was made without it"
            )
    return settings
