"""The report's pictures of a training and of the routers."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from animelm.report.page.drawing.legend import draw_legend, legend_height
from animelm.report.page.drawing.svg import (
    DASHES,
    INK,
    MARKERS,
    SERIES,
    STYLE,
    WIDTH,
    new_figure,
)

Curve = Sequence[tuple[int, float]]
"""Steps and values."""


def training_curves(
    panels: Mapping[str, Mapping[str, Curve]], names: Sequence[str], step: str
) -> Figure:
    """A small picture for each figure of the log, with a line for each run.

    Args:
        panels: the curves of the runs by the panel's title.
        names: every run, in the order of its color.
        step: the word under the axes.
    """
    with matplotlib.rc_context(STYLE):
        columns = 2
        rows = -(-len(panels) // columns)
        top = legend_height(names)
        height = 1.85 * rows + top
        figure = new_figure(WIDTH, height)
        grid = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(
            left=0.12, right=0.98, bottom=0.45 / height, top=1 - (top + 0.25) / height,
            wspace=0.32, hspace=0.7,
        )  # fmt: skip
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
            _draw_curves(axes, curves, names)
            axes.set_title(title, loc="left")
            axes.set_xlabel(step, labelpad=2)
        draw_legend(figure, [_line(number) for number in range(len(names))], names)
        return figure


def _draw_curves(axes: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    for name, curve in curves.items():
        number = names.index(name)
        steps, values = zip(*curve, strict=True)
        axes.plot(
            steps,
            values,
            color=SERIES[(number + 1) % len(SERIES)],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.1,
            marker=MARKERS[number % len(MARKERS)] if len(curve) < 12 else None,
            markersize=4,
        )
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _line(number: int) -> matplotlib.lines.Line2D:
    return matplotlib.lines.Line2D(
        [],
        [],
        color=SERIES[(number + 1) % len(SERIES)],
        linestyle=DASHES[number % len(DASHES)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=4,
    )


def router_maps(
    maps: Mapping[str, NDArray[np.float64]], signed: Sequence[str], labels: tuple[str, str, str]
) -> Figure:
    """A heat map for each title: a row for each layer, a column for each expert.

    Args:
        maps: [layers, experts] in percent, by title.
        signed: titles of the maps of differences, which are colored around 0.
        labels: words for the expert and the layer, and the unit.
    """
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        layers = next(iter(maps.values())).shape[0]
        rows = -(-len(maps) // 2)
        panel = float(np.clip(0.15 * layers, 0.9, 3.2))
        height = (panel + 0.85) * rows + 0.05
        figure = new_figure(WIDTH, height)
        grid = figure.subplots(rows, 2, squeeze=False)
        figure.subplots_adjust(
            left=0.09, right=0.96, bottom=0.5 / height, top=1 - 0.3 / height, wspace=0.3,
            hspace=0.85 / panel,
        )  # fmt: skip
        shares = [values for title, values in maps.items() if title not in signed]
        highest = max((float(values.max()) for values in shares), default=0.0)
        moved = max((float(abs(maps[title]).max()) for title in signed), default=0.0)
        for axes in grid.flat[len(maps) :]:
            axes.set_visible(False)
        for axes, (title, values) in zip(grid.flat, maps.items(), strict=False):
            if title in signed:
                colors = {"cmap": "PuOr_r", "vmin": -moved or -1, "vmax": moved or 1}
            else:
                colors = {"cmap": "cividis", "vmin": 0.0, "vmax": highest or 1.0}
            mesh = axes.pcolormesh(values, edgecolors="none", linewidth=0, **colors)
            axes.set_ylim(layers, 0)
            axes.set_title(f"{title} ({labels[2]})", loc="left")
            axes.set_xlabel(labels[0], labelpad=2)
            axes.set_ylabel(labels[1])
            for axis, count in ((axes.xaxis, values.shape[1]), (axes.yaxis, layers)):
                every = -(-count // 8)
                axis.set_ticks(np.arange(0, count, every) + 0.5, range(0, count, every))
            bar = figure.colorbar(mesh, ax=axes, pad=0.03, aspect=12)
            bar.outline.set_edgecolor(INK)
        return figure
