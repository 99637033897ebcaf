"""One setting names the folder of a run, for its adapter, logs and checkpoints."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from animelm.cli.given_settings import GivenSetting
from animelm.errors import UserError

OUTPUT = "output"
# Lightning's own name of the same folder.
_ROOT = "trainer.default_root_dir"
_EVALUATED = "model.adapter.evaluate"


@dataclass(frozen=True)
class GivenOutput:
    """How a run's folder was named.

    Attributes:
        key: the setting that names it, ``output`` or ``trainer.default_root_dir``; None if neither
            was given.
        own_adapter: whether validate, test and predict load the adapter that lies in it.
    """

    key: str | None
    own_adapter: bool


def given_output(settings: Iterable[GivenSetting]) -> GivenOutput:
    """Finds the name of the run's folder; a later config or an option overrides an earlier one.

    An evaluated adapter that is the one of a config's own folder follows that folder, so that
    ``--output`` moves everything together.

    Args:
        settings: in the order in which they are layered.

    Raises:
        UserError: one config, or the command line, names two folders.
    """
    key: str | None = None
    own_adapter = True
    layers: dict[str, dict[str, GivenSetting]] = {}
    for setting in settings:
        if setting.key not in (OUTPUT, _ROOT, _EVALUATED):
            continue
        layer = layers.setdefault(setting.layer, {})
        layer[setting.key] = setting
        if setting.key != _EVALUATED:
            key = setting.key
    for layer in layers.values():
        _require_one_name(layer)
        if _EVALUATED in layer:
            own_adapter = _is_own(layer)
    return GivenOutput(key, own_adapter)


def _require_one_name(layer: dict[str, GivenSetting]) -> None:
    output, root = layer.get(OUTPUT), layer.get(_ROOT)
    if output and root and _path(output) != _path(root):
        raise UserError(
            f"{root.origin} is {root.value}, but {output.origin} is {output.value}; both name the "
            f"folder of the run: leave {_ROOT} out"
        )


def _is_own(layer: dict[str, GivenSetting]) -> bool:
    """Whether the adapter that a layer evaluates lies in the folder that it names."""
    folder = layer.get(OUTPUT) or layer.get(_ROOT)
    evaluated = _path(layer[_EVALUATED])
    named = folder and _path(folder)
    return bool(named and evaluated and evaluated in (named, named / "adapter"))


def _path(setting: GivenSetting) -> Path | None:
    return None if setting.value is None else Path(str(setting.value))
