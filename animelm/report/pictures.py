"""Pictures of results, drawn off screen as arrays for a logger or a file."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from animelm.report.pixels import to_pixels

_CELL_INCHES = 0.5
_NUMBERED_CELLS = 400  # above this many cells the percentages would not be readable
_UNUSED_COLOR = "#d9d9d9"
_HIGHEST = 4  # times the even share; the largest there can be where a quarter of them is chosen


def router_heat_map(
    shares: ArrayLike, title: str = "Share of routed choices per expert"
) -> NDArray[np.uint8]:
    """Draws a heat map of the experts that each layer's router chose.

    The color scale is the same for all models with so many experts: from 0 to four times the even
    share (1 / experts), and larger shares have the color of its end. Experts that were never chosen
    are grey.

    Args:
        shares: [layers, experts], each expert's share of its layer's choices, 0 to 1.
        title: text above the map.

    Returns:
        [height, width, 3] uint8, RGB.

    Raises:
        ValueError: ``shares`` is empty, not 2-D, or holds negative or non-finite numbers.
    """
    table = np.asarray(shares, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"shares must be [layers, experts], got shape {list(table.shape)}")
    if not np.isfinite(table).all() or (table < 0).any():
        raise ValueError("shares must be finite and not negative")
    layers, experts = table.shape
    percent, even = 100 * table, 100 / experts

    size = (_inches(experts, 4.0, 13.0) + 2.0, _inches(layers, 1.6, 9.0) + 1.2)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    axes = figure.add_subplot()
    shown = np.ma.masked_equal(percent, 0)
    image = axes.imshow(shown, cmap="viridis", vmin=0, vmax=_HIGHEST * even, aspect="auto")
    axes.set_facecolor(_UNUSED_COLOR)
    axes.set_title(title, fontsize=12, pad=10)
    axes.set_xlabel("expert   (grey: never chosen · line on the bar: even share)")
    axes.set_ylabel("layer")
    _label_cells(axes, layers, experts)
    if table.size <= _NUMBERED_CELLS:
        _write_percentages(axes, image, percent)
    _mark_even_share(figure.colorbar(image, ax=axes, pad=0.02, extend="max"), even)

    return to_pixels(figure)


def _inches(cells: int, low: float, high: float) -> float:
    return float(np.clip(_CELL_INCHES * cells, low, high))


def _label_cells(axes: Axes, layers: int, experts: int) -> None:
    axes.set_xticks(range(0, experts, 1 if experts <= 32 else 4))
    axes.set_yticks(range(0, layers, 1 if layers <= 32 else 4))
    axes.set_xticks(np.arange(experts + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(layers + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _write_percentages(axes: Axes, image: AxesImage, percent: NDArray[np.float64]) -> None:
    colors = np.asarray(image.cmap(image.norm(percent)))
    for (layer, expert), value in np.ndenumerate(percent):
        red, green, blue, _ = colors[layer, expert]
        light = value == 0 or 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        text = f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"
        color = "black" if light else "white"
        axes.text(expert, layer, text, ha="center", va="center", fontsize=8, color=color)


def _mark_even_share(bar: Colorbar, even: float) -> None:
    bar.set_label("share of choices [%]")
    bar.outline.set_visible(False)
    bar.ax.axhline(even, color="white", linewidth=2)
