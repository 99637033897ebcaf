"""The report's pictures of accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from animelm.report.page.drawing.legend import draw_legend, legend_height
from animelm.report.page.drawing.svg import (
    FAINT,
    INK,
    MARKERS,
    SERIES,
    STYLE,
    WIDTH,
    new_figure,
    text_inches,
)

_RIGHT, _BOTTOM = 0.3, 0.55  # inches beside and below the axes
_BETWEEN_MODELS, _BETWEEN_GROUPS = 0.19, 0.16
_LABEL = 0.24  # height of a label above its row
_WIDEST_LABEL = 1.5  # wider ones stand above their rows


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
        above = _stand_above(rows)
        step = _BETWEEN_MODELS * len(models) + _BETWEEN_GROUPS + (_LABEL if above else 0)
        figure, axes = _rows_of(list(rows), models, step, above)
        # Where labels stand above, the dots fill the lower part of the row.
        lower = _LABEL / step / 2 if above else 0.0
        for number in range(len(models)):
            points = [points[number] for points in rows.values()]
            shift = (number - (len(models) - 1) / 2) * _BETWEEN_MODELS / step + lower
            _draw_points(axes, points, [row + shift for row in range(len(rows))], number)
        for row in range(1, len(rows)):
            axes.axhline(row - 0.5, color=FAINT, linewidth=0.6)
        _share_axis(axes, axis)
        draw_legend(figure, [_handle(number) for number in range(len(models))], models)
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
        top = legend_height(models)
        height = 3.6 + top
        figure = new_figure(WIDTH, height)
        axes = figure.add_axes((0.75 / WIDTH, 0.6 / height, 1 - 1.0 / WIDTH, 2.9 / height))
        for number, (up, right) in enumerate(zip(learned, kept, strict=True)):
            if up.value is None or right.value is None:
                continue
            axes.errorbar(
                right.value,
                up.value,
                xerr=[[each] for each in right.reach],
                yerr=[[each] for each in up.reach],
                fmt=MARKERS[number % len(MARKERS)],
                color=SERIES[number % len(SERIES)],
                elinewidth=1.3,
                capsize=2.5,
                clip_on=False,
                markersize=8,
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        draw_legend(figure, [_handle(number) for number in range(len(models))], models)
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
        above = _stand_above(rows)
        step = 0.25 + (_LABEL if above else 0)
        figure, axes = _rows_of(list(rows), list(models.values()), step, above)
        lower = _LABEL / step / 2 if above else 0.0
        places = [row + lower for row in range(len(rows))]
        for place, (before, after) in zip(places, rows.values(), strict=True):
            if before.value is not None and after.value is not None:
                axes.plot([before.value, after.value], [place] * 2, color=FAINT, linewidth=5)
        for side, number in enumerate(models):
            points = [points[side] for points in rows.values()]
            if side == 0:
                points = [Point(point.value) for point in points]
            _draw_points(axes, points, places, number)
        _share_axis(axes, axis)
        draw_legend(figure, list(map(_handle, models)), list(models.values()))
        return figure


def _stand_above(labels: Mapping[str, object]) -> bool:
    """Whether labels stand above their rows, because beside them they would take the picture."""
    return max(map(text_inches, labels)) > _WIDEST_LABEL


def _rows_of(
    labels: Sequence[str], models: Sequence[str], step: float, above: bool
) -> tuple[Figure, Axes]:
    """A figure with a row for each label, ``step`` inches high, and room for the legend."""
    left = 0.25 if above else max(map(text_inches, labels)) + 0.3
    height = step * len(labels) + legend_height(models) + _BOTTOM
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes(
        (left / WIDTH, _BOTTOM / height, 1 - (left + _RIGHT) / WIDTH, step * len(labels) / height)
    )
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), ["" if above else label for label in labels])
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(axis="y", visible=False)
    if above:
        for row, label in enumerate(labels):
            axes.text(0.0, row - 0.5 + 0.6 * _LABEL / step, label, va="center")
    return figure, axes


def _draw_points(axes: Axes, points: Sequence[Point], places: Sequence[float], number: int) -> None:
    known = [(p, place) for p, place in zip(points, places, strict=True) if p.value is not None]
    if not known:
        return
    axes.errorbar(
        [point.value for point, _ in known if point.value is not None],
        [place for _, place in known],
        xerr=[[point.reach[side] for point, _ in known] for side in (0, 1)],
        fmt=MARKERS[number % len(MARKERS)],
        color=SERIES[number % len(SERIES)],
        elinewidth=1.3,
        capsize=2.5,
        clip_on=False,
        markersize=5.5,
    )


def _handle(number: int) -> Line2D:
    """The mark of a model in the legend, without its interval."""
    color, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
    return Line2D([], [], color=color, marker=marker, markersize=6, linestyle="none")


def _share_axis(axes: Axes, name: str) -> None:
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(name)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(INK)
