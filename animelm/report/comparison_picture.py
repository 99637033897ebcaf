"""The comparison as a picture: accuracy of each model on each held-out set."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from animelm.evaluate.summary import ModelSummary, Summary
from animelm.files import write_whole
from animelm.report.page.drawing.svg import to_svg
from animelm.report.table import MODEL_TITLES

_GROUP = 0.8  # share of the distance between two sets that the bars of one take
_COLORS = ("#9e9e9e", "#4c9bd6", "#e3a33c", "#2f7d4f", "#8e5fb0", "#c0504d")


def save_comparison_picture(path: Path, summary: Summary) -> None:
    """Writes a bar for each model and held-out set, with its 95 % interval, as SVG or PNG.

    Args:
        path: The file; its suffix says the form.
        summary: The comparison; sets that no model was asked about are left out.
    """
    sets = [
        name
        for name in next(iter(summary.models.values())).sets
        if any(model.sets[name].n for model in summary.models.values())
    ]
    figure = Figure(figsize=(1.4 + 2.1 * len(sets), 3.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    width = _GROUP / len(summary.models)
    for i, (name, model) in enumerate(summary.models.items()):
        places = np.arange(len(sets)) + (i - (len(summary.models) - 1) / 2) * width
        heights = [model.sets[each].accuracy or 0.0 for each in sets]
        label, color = MODEL_TITLES.get(name, name), _COLORS[i % len(_COLORS)]
        axes.bar(places, heights, 0.92 * width, label=label, color=color)
        errors = np.array([_error(model, each) for each in sets]).T
        axes.errorbar(places, heights, errors, fmt="none", ecolor="#333333", capsize=3, lw=1)
    first = next(iter(summary.models.values()))
    labels = [f"{each.replace('_', ' ')}\n(n = {first.sets[each].n:,})" for each in sets]
    axes.set_xticks(range(len(sets)), labels)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("accuracy, with 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=len(summary.models), frameon=False)
    if path.suffix == ".svg":
        title = "Accuracy of each model on each set"
        write_whole(path, to_svg(figure, "comparison", title, themed=False) + "\n")
    else:
        figure.savefig(path, facecolor="white")


def _error(model: ModelSummary, name: str) -> tuple[float, float]:
    """How far the interval reaches below and above the accuracy; 0 where there is none."""
    scores = model.sets[name]
    if scores.ci95 is None or scores.accuracy is None:
        return 0.0, 0.0
    low, high = scores.ci95
    return max(0.0, scores.accuracy - low), max(0.0, high - scores.accuracy)
