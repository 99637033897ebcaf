"""Pictures as SVG whose colors and fonts follow the page."""

import io
import re
import unicodedata
import warnings
from typing import Any, Literal

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito's colors (https://jfly.uni-koeln.de/color/), which color-blind readers can tell
# apart; each model has a marker of its own as well. The page lightens them on a dark ground.
SERIES = ("#666666", "#d55e00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#e69f00", "#8c6d31")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES: tuple[Literal["-", "--", "-.", ":"], ...] = ("-", "--", "-.", ":")
INK, FAINT = "#1a1b1c", "#d0d1d2"
FONTS = (
    "'Hiragino Sans', 'Noto Sans CJK JP', 'Noto Sans JP', 'Yu Gothic', 'Meiryo', 'IPAGothic', "
    "sans-serif"
)
_POINTS_PER_INCH = 72
WIDTH = 5.0
"""Inches of a picture: text stays legible when a phone's screen is that wide."""
_REM_PER_INCH = 6.5  # on the page, where text is then somewhat smaller than the page's own

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, and is shown in the reader's own font
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def text_inches(text: str, size: float = 9) -> float:
    """Width of a text in inches; the library has no Japanese font to measure it with."""
    wide = sum(2 if unicodedata.east_asian_width(sign) in "WFA" else 1 for sign in text)
    return 0.56 * wide * size / _POINTS_PER_INCH


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches. Draw in ``matplotlib.rc_context(STYLE)``."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure


def to_svg(figure: Figure, name: str, label: str, themed: bool = True) -> str:
    """The figure as an SVG element.

    Args:
        figure: what was drawn.
        name: short and unique on the page; ids in the picture are made from it.
        label: what the picture shows, for readers who cannot see it.
        themed: whether colors are those of the page, by its variables. A file on its own is not.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's fonts have the glyphs that the library's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Without a date, the same figures give the same bytes.
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    # Equal color bars are images of one id, to which nothing refers.
    text = re.sub(r'(<image [^>]*?) id="[^"]*"', r"\1", text)
    # Ids of defs are numbered from 1 in every picture.
    text = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", FONTS)
    if themed:
        text = text.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
        for number, color in enumerate(SERIES):
            text = text.replace(color, f"var(--series-{number})")
    head = f'<svg role="img" aria-label="{_attribute(label)}" '
    if themed:
        head += f'style="width: {_REM_PER_INCH * figure.get_figwidth():.4g}rem" '
    return text.replace("<svg ", head, 1).strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
