"""The report's pictures of the trainings and of the routers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animelm.data.held_out import ANIME_ARTICLES, GENERAL_ARTICLES, QUESTION_SETS
from animelm.report.page.drawing.curves import Curve, router_maps, training_curves
from animelm.report.page.exhibit import NOTHING, Exhibit, PageTable, duration, number
from animelm.report.page.texts import Texts
from animelm.report.page.training import TrainingRun

_LOGGED = ("loss", "learning_rate", "tokens_per_second", "padding_share")
_SHOWN_STEPS = 15  # rows of a run in the table behind its curves
Shares = NDArray[np.float64]


def training_exhibits(
    runs: Sequence[TrainingRun], texts: Texts, compared: bool = True
) -> list[Exhibit]:
    """Loss, rate, speed, padding and validation accuracy of the runs, and a table of the runs.

    Args:
        runs: the fits.
        texts: words of the report.
        compared: whether figures of a comparison stand in the same report.
    """
    if not runs:
        return []
    tags = {f"train/{name}": texts(f"training.{name}") for name in _LOGGED}
    tags |= {
        f"accuracy/{name}": texts("training.validation", set=texts.name("sets", name))
        for name in QUESTION_SETS
    }
    note = texts("training.intro") + (texts("training.dev") if compared else "")
    curves = _curves("curves", texts("training.curves"), note, runs, tags, texts)
    head = [texts(f"training.{name}") for name in ("run", "steps", "time", "last_loss")]
    head += [texts("training.mean_speed"), texts("training.mean_padding")]
    japanese = texts("lang") == "ja"
    rows = [
        [
            run.name,
            number(_last_step(run), 0),
            duration(run.seconds, japanese),
            number(_last(run.scalars.get("train/loss")), 4),
            number(_mean(run.scalars.get("train/tokens_per_second")), 0),
            number(_mean(run.scalars.get("train/padding_share")), 4),
        ]
        for run in runs
    ]
    table = Exhibit("runs", texts("training.runs"), "", PageTable(head, rows))
    return [table, *([curves] if curves else [])]


def router_exhibits(
    routers: dict[str, Any], runs: Sequence[TrainingRun], texts: Texts
) -> list[Exhibit]:
    """The routers' choices on anime and general articles, their difference, and the drift.

    Args:
        routers: shares by model and articles, as compare writes them; empty in older folders.
        runs: the fits, with the shares at their ends and the drift on fixed texts.
        texts: words of the report.
    """
    measured = {name: values for name, values in routers.items() if ANIME_ARTICLES in values}
    found: list[Exhibit | None] = [
        _compared(measured, texts) if measured else _trained(runs, texts)
    ]
    tags = {
        f"train_router_drift/{name}": texts("routers.drift_text", text=texts(f"routers.{name}"))
        for name in ("anime", "general")
    }
    title, note = texts("routers.drift_curves"), texts("routers.drift_note")
    found.append(_curves("drift", title, note, runs, tags, texts))
    return [exhibit for exhibit in found if exhibit is not None]


def _compared(measured: dict[str, Any], texts: Texts) -> Exhibit:
    names = list(measured)
    first, last = names[0], names[-1]

    def shares(model: str, articles: str) -> Shares:
        return 100 * np.array(measured[model][articles]["shares"])

    anime, general = texts("routers.anime"), texts("routers.general")
    maps, signed = {anime: shares(last, ANIME_ARTICLES)}, []
    if GENERAL_ARTICLES in measured[last]:
        maps[general] = shares(last, GENERAL_ARTICLES)
        signed.append(texts("routers.difference"))
        maps[signed[-1]] = maps[anime] - maps[general]
    for articles, key in ((ANIME_ARTICLES, "drift_anime"), (GENERAL_ARTICLES, "drift_general")):
        if last != first and articles in measured[last] and articles in measured[first]:
            signed.append(texts(f"routers.{key}"))
            maps[signed[-1]] = shares(last, articles) - shares(first, articles)
    experts = maps[anime].shape[1]
    note = texts(
        "routers.compared",
        model=texts.name("models", last),
        experts=experts,
        even=f"{100 / experts:.1f}",
        anime=anime,
        general=general,
    )
    return _maps("routers", texts("sections.routers"), note, maps, signed, texts)


def _trained(runs: Sequence[TrainingRun], texts: Texts) -> Exhibit | None:
    maps = {run.name: 100 * run.router_shares for run in runs if run.router_shares is not None}
    if not maps:
        return None
    title = texts("routers.share")
    return _maps("routers", title, texts("routers.trained"), maps, [], texts)


def _maps(
    name: str, title: str, note: str, maps: dict[str, Shares], signed: list[str], texts: Texts
) -> Exhibit:
    labels = (texts("routers.expert"), texts("routers.layer"), texts("routers.percent"))
    experts = next(iter(maps.values())).shape[1]
    head = [texts("routers.map"), labels[1], *map(str, range(experts))]
    rows = [
        [
            label,
            str(layer),
            *(f"{value:+.1f}" if label in signed else f"{value:.1f}" for value in row),
        ]
        for label, values in maps.items()
        for layer, row in enumerate(values)
    ]
    for label in signed:
        moved = np.abs(maps[label]).sum(1).mean() / 2
        note += texts("routers.distance", map=label, value=f"{moved:.1f}")
    return Exhibit(name, title, note, PageTable(head, rows), router_maps(maps, signed, labels))


def _curves(
    name: str,
    title: str,
    note: str,
    runs: Sequence[TrainingRun],
    tags: dict[str, str],
    texts: Texts,
) -> Exhibit | None:
    panels = {
        label: {run.name: run.scalars[tag] for run in runs if run.scalars.get(tag)}
        for tag, label in tags.items()
    }
    panels = {label: curves for label, curves in panels.items() if curves}
    if not panels:
        return None
    names = [run.name for run in runs]
    figure = training_curves(panels, names, texts("training.step"))
    head = [texts("training.run"), texts("training.step"), *panels]
    rows = [row for run in runs for row in _logged_rows(run, tags, list(panels))]
    return Exhibit(name, title, note, PageTable(head, rows), figure)


def _logged_rows(run: TrainingRun, tags: dict[str, str], panels: list[str]) -> list[list[str]]:
    """Values at evenly spaced steps, and at every step of a validation."""
    curves = {label: dict(run.scalars.get(tag, ())) for tag, label in tags.items()}
    kept: set[int] = set()
    for label in panels:
        steps = sorted(curves[label])
        every = max(1, len(steps) // _SHOWN_STEPS)
        kept |= {*steps[::every], *steps[-1:]}
    return [
        [run.name, str(step), *(_value(curves[label].get(step)) for label in panels)]
        for step in sorted(kept)
    ]


def _value(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def _last(curve: Curve | None) -> float | None:
    return curve[-1][1] if curve else None


def _last_step(run: TrainingRun) -> float | None:
    if run.steps:
        return run.steps[-1].get("optimizer_steps")
    steps = [curve[-1][0] for curve in run.scalars.values() if curve]
    return max(steps, default=None)


def _mean(curve: Curve | None) -> float | None:
    return float(np.mean([value for _, value in curve])) if curve else None
