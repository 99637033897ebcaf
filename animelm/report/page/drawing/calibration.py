"""The report's picture of calibration."""

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

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

_SIDE = 2.9  # inches
_LARGEST = 90.0  # area of a mark in square points


def calibration_curves(
    bins: Mapping[str, Sequence[tuple[float, float, int]]],
    axes_names: tuple[str, str],
    ideal: str,
) -> Figure:
    """How often keys are right against how sure a model is of them (a reliability diagram).

    Args:
        bins: confidence, share of right keys and number of answers of each bin, by model. The area
            of a mark grows with the number.
        axes_names: what the horizontal and the vertical axis show.
        ideal: the word for the diagonal, on which confidence and being right are the same.
    """
    with matplotlib.rc_context(STYLE):
        names = [*bins, ideal]
        top = legend_height(names)
        height = _SIDE + 0.65 + top
        figure = new_figure(WIDTH, height)
        axes = figure.add_axes((0.75 / WIDTH, 0.6 / height, _SIDE / WIDTH, _SIDE / height))
        most = max((count for found in bins.values() for _, _, count in found), default=1)
        handles = []
        for number, found in enumerate(bins.values()):
            color, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
            dash = DASHES[number % len(DASHES)]
            sure, right = [each[0] for each in found], [each[1] for each in found]
            areas = [_LARGEST * max(0.08, each[2] / most) for each in found]
            axes.plot(sure, right, color=color, linestyle=dash, linewidth=1.2)
            axes.scatter(sure, right, areas, color=color, marker=marker, clip_on=False, zorder=3)
            handles.append(
                matplotlib.lines.Line2D([], [], color=color, linestyle=dash, marker=marker)
            )
        handles += axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=0.9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        draw_legend(figure, handles, names)
        return figure
