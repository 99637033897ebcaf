"""The report's pictures of accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from animelm.report.page.drawing.svg import (
    FAINT,
    INK,
    MARKERS,
    SERIES,
    STYLE,
    new_figure,
    text_inches,
)

_WIDTH = 7.2  # inches: fits a portrait page with its margins


@dataclass(frozen=True)
class Point:
    """A share and its interval, 0 to 1; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def reach(self) -> tuple[float, float]:
        """How far the interval reaches below and above the value."""
        if self.value is None or self.low is None or self.high is None:
            return 0.0, 0.0
        return max(0.0, self.value - self.low), max(0.0, self.high - self.value)


def dot_plot(rows: Mapping[str, Sequence[Point]], models: Sequence[str], axis: str) -> Figure:
    """A row for each group, with a dot and an interval for each model.

    Args:
        rows: the points of the models by the label of the row.
        models: their names, in the same order.
        axis: what is shown, under the axis.
    """
    with matplotlib.rc_context(STYLE):
        step = 0.19 * len(models) + 0.16
        left = min(3.0, max(map(text_inches, _lines(rows))) + 0.2)
        top, bottom = _legend_height(models), 0.55
        height = step * len(rows) + top + bottom
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes(
            (left / _WIDTH, bottom / height, 1 - (left + 0.25) / _WIDTH, step * len(rows) / height)
        )
        for number, model in enumerate(models):
            points = [points[number] for points in rows.values()]
            shift = (number - (len(models) - 1) / 2) * 0.19 / step
            _draw_points(axes, points, [row + shift for row in range(len(rows))], number, model)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        for row in range(1, len(rows)):
            axes.axhline(row - 0.5, color=FAINT, linewidth=0.6)
        _share_axis(axes, axis)
        _legend(figure, axes, len(models))
        return figure


def trade_off(
    learned: Sequence[Point],
    kept: Sequence[Point],
    models: Sequence[str],
    axes_names: tuple[str, str],
) -> Figure:
    """What was learned (upwards) against what was kept (to the right), a mark for each model.

    Args:
        learned: accuracy on what was to be learned.
        kept: accuracy on what was to be kept, in the same order.
        models: their names.
        axes_names: what the horizontal and the vertical axis show.
    """
    with matplotlib.rc_context(STYLE):
        top = _legend_height(models)
        height = 3.6 + top
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes((0.75 / _WIDTH, 0.6 / height, 1 - 1.0 / _WIDTH, 2.9 / height))
        for number, (up, right) in enumerate(zip(learned, kept, strict=True)):
            if up.value is None or right.value is None:
                continue
            axes.errorbar(
                right.value,
                up.value,
                xerr=[[each] for each in right.reach],
                yerr=[[each] for each in up.reach],
                **_mark(number),
                markersize=8,
                label=models[number],
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        _legend(figure, axes, len(models))
        return figure


def before_and_after(
    rows: Mapping[str, tuple[Point, Point]], models: Mapping[int, str], axis: str
) -> Figure:
    """A line from the earlier to the later accuracy of each group, with the later interval.

    Args:
        rows: earlier and later point by the label of the group.
        models: names of the two models by their numbers, which give their colors and marks.
        axis: what is shown, under the axis.
    """
    with matplotlib.rc_context(STYLE):
        left = min(3.0, max(map(text_inches, rows)) + 0.2)
        top, bottom, step = _legend_height(list(models.values())), 0.55, 0.25
        height = step * len(rows) + top + bottom
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes(
            (left / _WIDTH, bottom / height, 1 - (left + 0.25) / _WIDTH, step * len(rows) / height)
        )
        for row, (before, after) in enumerate(rows.values()):
            if before.value is not None and after.value is not None:
                axes.plot([before.value, after.value], [row, row], color=FAINT, linewidth=3)
        for side, (number, name) in enumerate(models.items()):
            points = [points[side] for points in rows.values()]
            if side == 0:
                points = [Point(point.value) for point in points]
            _draw_points(axes, points, list(map(float, range(len(rows)))), number, name)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        _share_axis(axes, axis)
        _legend(figure, axes, 2)
        return figure


def _draw_points(
    axes: Axes, points: Sequence[Point], places: Sequence[float], number: int, name: str
) -> None:
    known = [(p, place) for p, place in zip(points, places, strict=True) if p.value is not None]
    if not known:
        return
    axes.errorbar(
        [point.value for point, _ in known if point.value is not None],
        [place for _, place in known],
        xerr=[[point.reach[side] for point, _ in known] for side in (0, 1)],
        **_mark(number),
        markersize=5.5,
        label=name,
    )


def _mark(number: int) -> dict[str, Any]:
    color = SERIES[number % len(SERIES)]
    return {
        "fmt": MARKERS[number % len(MARKERS)],
        "color": color,
        "ecolor": color,
        "elinewidth": 1.3,
        "capsize": 2.5,
        "clip_on": False,
    }


def _share_axis(axes: Axes, name: str) -> None:
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(name)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def _lines(labels: Mapping[str, object]) -> list[str]:
    return [line for label in labels for line in label.split("\n")]


def _legend_height(models: Sequence[str]) -> float:
    return 0.3 * _legend_rows(models) + 0.1


def _legend_rows(models: Sequence[str]) -> int:
    return -(-len(models) // _columns(models))


def _columns(models: Sequence[str]) -> int:
    widest = max(map(text_inches, models)) + 0.55
    return max(1, min(len(models), int((_WIDTH - 0.3) / widest)))


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = _columns(labels)
    # The library does not know how wide Japanese text is, so the columns are spread by hand.
    spare = max(text_inches(label) for label in labels) - max(len(label) for label in labels) * 0.07
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        columnspacing=1.5 + max(0.0, spare) * 72 / 9,
        handletextpad=0.3,
    )
