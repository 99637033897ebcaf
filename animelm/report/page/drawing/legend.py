"""The legend above a picture. The library cannot measure Japanese text, so it is laid out here."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from animelm.report.page.drawing.svg import WIDTH, text_inches


def legend_height(names: Sequence[str]) -> float:
    """Height in inches that the legend takes above a picture."""
    return 0.3 * -(-len(names) // _columns(names)) + 0.1


def draw_legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Draws the legend at the top of a figure.

    Args:
        figure: of ``WIDTH``.
        handles: a mark for each name.
        names: what the marks stand for.
    """
    if not handles:
        return
    # The library takes each sign for about as wide as a Latin one.
    spare = max(map(text_inches, names)) - max(map(len, names)) * 0.07
    figure.legend(
        handles,
        list(names),
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=_columns(names),
        columnspacing=1.5 + max(0.0, spare) * 72 / 9,
        handletextpad=0.3,
    )


def _columns(names: Sequence[str]) -> int:
    widest = max(map(text_inches, names)) + 0.45
    return max(1, min(len(names), int((WIDTH - 0.3) / widest)))
