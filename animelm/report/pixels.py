"""Pictures as arrays, for loggers that show no SVG."""

import warnings
from contextlib import suppress
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.text import Text
from numpy.typing import NDArray

from animelm.report.page.drawing.svg import FONTS, INK

_TITLE_INCHES = 0.4


def to_pixels(figure: Figure, title: str = "", dpi: float = 100) -> NDArray[np.uint8]:
    """Draws a figure on white.

    Text is drawn in the library's own font, and in the first font of this machine that the page
    names for Japanese where the library's lacks a sign. Without one, a warning names them.

    Args:
        figure: what is drawn.
        title: written above it; empty for none.
        dpi: pixels per inch.

    Returns:
        [height, width, 3] uint8, RGB.
    """
    drawn = _draw(figure, dpi)
    if not title:
        return drawn
    strip = Figure(figsize=(drawn.shape[1] / dpi, _TITLE_INCHES))
    place = (0.1 / strip.get_figwidth(), 0.4)
    strip.text(*place, title, fontsize=12, color=INK, va="center", parse_math=False)
    return np.concatenate([_draw(strip, dpi), drawn])


def _draw(figure: Figure, dpi: float) -> NDArray[np.uint8]:
    families = ["DejaVu Sans", *japanese_fonts()]
    settings: dict[Any, Any] = {"font.family": families, "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.set_dpi(dpi)
        figure.set_facecolor("white")
        for text in figure.findobj(Text):
            text.set_fontfamily(families)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    messages = [str(warning.message) for warning in caught]
    if any("missing from" in message for message in messages):
        warnings.warn(
            "no font of this machine has the Japanese signs of a picture, which shows boxes in "
            f"their place: install one of {', '.join(_names())}, such as the package "
            "fonts-noto-cjk",
            stacklevel=2,
        )
    return pixels


@cache
def japanese_fonts() -> tuple[str, ...]:
    """Those of the page's Japanese fonts that this machine has."""
    # The library's list of fonts is kept for months, and a font may have been installed since.
    known = {font.fname for font in fontManager.ttflist}
    for path in sorted({*findSystemFonts()} - known):
        with suppress(OSError, RuntimeError):  # a file that is no font it can read
            fontManager.addfont(path)
    found = set(fontManager.get_font_names())
    return tuple(name for name in _names() if name in found)


def _names() -> list[str]:
    return [name.strip(" '") for name in FONTS.split(",") if "'" in name]
