"""What a fit left in its folder: its log, its config, and its adapter's record."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from animelm.errors import UserError
from animelm.provenance.record import RECORD_FILE
from animelm.reading import open_regular, parse_yaml, read_json, read_utf8
from animelm.report.shapes import require_kinds

_EVENTS, _TABLE = "events.out.tfevents.*", "router_statistics.csv"
_OLDER = ((r"^(router\w*/)", r"train_\1"), (r"^validation/(.+)/accuracy$", r"accuracy/\1"))
_DEEPEST = 3  # folders below the one that is reported: seed, step, version
_STEP: dict[str, type] = {
    "step": str,
    "animelm": str,
    "init_adapter": str,
    "optimizer_steps": int,
    "data": list,
    **dict.fromkeys(("base", "split", "settings"), dict),
}
Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class TrainingRun:
    """One fit.

    Attributes:
        name: its folder, relative to the one that is reported.
        scalars: steps and values of each figure in the log.
        seconds: time between the first and the last entry of the log.
        config: the settings, as the run has saved them; empty if it has not.
        config_text: the same as text.
        steps: the steps of the adapter's record, as they were written: records of older versions
            are shown, too.
        router_shares: share of each expert in the choices of its layer [layers, experts] over the
            last tokens that were trained on; None without routers.
    """

    name: str
    scalars: dict[str, Curve]
    seconds: float
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    steps: tuple[dict[str, Any], ...] = ()
    router_shares: NDArray[np.float64] | None = None


def find_runs(folder: Path) -> list[TrainingRun]:
    """The fits whose logs lie in a folder or below it; of each, the latest version that trained.

    ``validate`` and ``test`` write a version of their own beside those of the fit.

    Raises:
        UserError: a log, a config or a record cannot be read, or is no file.
    """
    versions: dict[Path, list[Path]] = {}
    for depth in range(_DEEPEST + 1):
        for path in folder.glob("*/" * depth + _EVENTS):
            open_regular(path).close()  # a pipe would be waited for
            version = path.parent
            root = version.parent if version.name.startswith("version_") else version
            versions.setdefault(root, []).append(version)
    return [
        _read_run(folder, root, *_latest_log(found)) for root, found in sorted(versions.items())
    ]


def _latest_log(versions: Sequence[Path]) -> tuple[Path, EventAccumulator]:
    """The latest version with figures of training, and its log; without one, the latest."""
    logs = []
    for version in sorted(set(versions), key=_age, reverse=True):
        log = EventAccumulator(str(version), size_guidance={"scalars": 0, "images": 1})
        log.Reload()
        if any(tag.startswith("train/") for tag in log.Tags()["scalars"]):
            return version, log
        logs.append((version, log))
    return logs[0]


def _age(version: Path) -> tuple[int, str]:
    number = version.name.removeprefix("version_")
    return (int(number) if number.isdigit() else -1, version.name)


def _read_run(folder: Path, root: Path, version: Path, log: EventAccumulator) -> TrainingRun:
    tags = log.Tags()["scalars"]
    scalars: dict[str, Curve] = {
        _current(tag): [(event.step, event.value) for event in log.Scalars(tag)] for tag in tags
    }
    times = [event.wall_time for tag in tags for event in log.Scalars(tag)]
    config = version / "config.yaml"
    text = read_utf8(config) if config.is_file() else ""
    settings = parse_yaml(text, str(config)) or {}
    return TrainingRun(
        root.name if root == folder else root.relative_to(folder).as_posix(),
        scalars,
        max(times) - min(times) if times else 0.0,
        settings if isinstance(settings, dict) else {},
        text,
        _read_steps(root / "adapter" / RECORD_FILE),
        _last_shares(version / _TABLE),
    )


def _current(tag: str) -> str:
    """The name that a figure of an older version's log has now."""
    for old, new in _OLDER:
        tag = re.sub(old, new, tag)
    return tag


def _read_steps(path: Path) -> tuple[dict[str, Any], ...]:
    if not path.is_file():
        return ()
    try:
        steps = tuple({**step} for step in read_json(path)["steps"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not an adapter's record as fit writes it") from error
    for step in steps:
        require_kinds(str(path), step, _STEP)
        for record in step.get("data") or ():
            require_kinds(str(path), {"data": record}, {"data": dict})
    return steps


def _last_shares(path: Path) -> NDArray[np.float64] | None:
    """The shares at the last step of the table."""
    if not path.is_file():
        return None
    try:
        rows = list(csv.DictReader(read_utf8(path).splitlines()))
        last = [row for row in rows if row["step"] == rows[-1]["step"]]
        layers = sorted({int(row["layer"]) for row in last})
        # Every layer has a row for each expert.
        shares = np.zeros((len(layers), len(last) // len(layers)))
        for row in last:
            shares[layers.index(int(row["layer"])), int(row["expert"])] = float(row["share"])
    except (KeyError, ValueError, IndexError, TypeError, ArithmeticError, csv.Error) as error:
        raise UserError(f"{path}: not the table of router statistics that fit writes") from error
    return shares
