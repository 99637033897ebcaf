"""What a folder of a fit or of a comparison holds, for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animelm.errors import UserError
from animelm.evaluate.comparison.files import MADE, RESULTS, ROUTERS
from animelm.evaluate.results import Result, read_results
from animelm.evaluate.summary import Summary, read_summary
from animelm.reading import read_json
from animelm.report.page.training import TrainingRun, find_runs
from animelm.report.shapes import is_matrix, require_kinds

SUMMARY = "summary.json"
_MADE: dict[str, type] = {
    "written": str,
    **dict.fromkeys(("adapters", "bases", "hardware", "versions", "split", "settings"), dict),
}


@dataclass(frozen=True)
class Content:
    """The content of a folder.

    Attributes:
        name: of the folder.
        summary: the figures of a comparison; None in the folder of a fit.
        results: every answer, of all seeds.
        runs: the fits whose logs lie in the folder.
        routers: shares of the routers' choices by model and articles; empty in older folders.
        made: how the comparison was made; empty in older folders.
        watts: mean power of the machine as the user states it; None where it is not known.
    """

    name: str
    summary: Summary | None
    results: list[Result]
    runs: list[TrainingRun]
    routers: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    watts: float | None = None


def read_content(folder: Path) -> Content:
    """Reads the folder of a fit, of a comparison, or of comparisons of several seeds.

    Raises:
        UserError: there is no such folder, it holds neither, or a file in it is malformed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one that fit or compare wrote")
    runs = find_runs(folder)
    if not (folder / SUMMARY).is_file():
        if not runs:
            raise UserError(
                f"{folder}: holds neither {SUMMARY} nor the log of a fit; expected a folder that "
                "fit, compare, demo or reproduce wrote"
            )
        return Content(folder.resolve().name, None, [], runs)
    summary = read_summary(folder / SUMMARY)
    own = [folder / RESULTS]
    if not own[0].is_file():  # of several seeds, each has its own
        own = [folder / f"seed-{seed}" / RESULTS for seed in summary.seeds]
    results = [result for path in own for result in read_results(path)]
    first = own[0].parent
    made = _read_object(first / MADE, _MADE)
    return Content(
        folder.resolve().name,
        summary,
        results,
        runs or _runs_of(made),
        _read_routers(first / ROUTERS),
        made,
    )


def _runs_of(made: dict[str, Any]) -> list[TrainingRun]:
    """The fits of the adapters that a comparison names, where their folders are still there."""
    found = []
    for name in made.get("adapters", {}):
        folder = Path(name).parent
        if folder.is_dir():
            found += find_runs(folder)
    return found


def _read_routers(path: Path) -> dict[str, Any]:
    models = _read_object(path, {"models": dict}).get("models", {})
    for name, articles in models.items():
        for measured in articles.values() if isinstance(articles, dict) else [None]:
            if not is_matrix(measured.get("shares") if isinstance(measured, dict) else None):
                raise UserError(f"{path}: model {name}: expected shares of layers and experts")
    return models


def _read_object(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A JSON object, of which some keys are checked; empty if there is no file."""
    if not path.is_file():
        return {}
    values = read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object, as compare writes it")
    require_kinds(str(path), values, kinds)
    for name, base in (values.get("bases") or {}).items():
        require_kinds(f"{path}: bases", {name: base}, {name: dict})
    return values
