import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from animelm.report import pixels
from animelm.report.page.drawing.svg import STYLE
from animelm.report.pixels import japanese_fonts, to_pixels


def figure(text: str = "") -> Figure:
    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(2, 1))
        made.text(0.1, 0.5, text)
    return made


def test_a_picture_for_a_page_is_drawn_on_white_at_its_size():
    drawn = to_pixels(figure("a"))
    assert drawn.shape == (100, 200, 3) and drawn.dtype == np.uint8
    assert (drawn[0, 0] == 255).all() and drawn.min() < 128


def test_a_title_stands_above_it():
    plain, titled = to_pixels(figure("a")), to_pixels(figure("a"), "Learned against forgotten")
    above = titled.shape[0] - plain.shape[0]
    assert above > 0 and titled[:above].min() < 128
    assert np.array_equal(titled[above:], plain)


@pytest.mark.skipif(not japanese_fonts(), reason="this machine has no Japanese font")
def test_japanese_signs_are_drawn_and_not_boxes(recwarn):
    assert not np.array_equal(to_pixels(figure("正解率")), to_pixels(figure("忘却量")))
    assert not [each for each in recwarn if "Japanese" in str(each.message)]


@pytest.mark.skipif(not japanese_fonts(), reason="this machine has no Japanese font")
def test_a_font_that_the_library_has_not_noticed_yet_is_found(monkeypatch):
    expected = japanese_fonts()
    files = {font.fname for font in fontManager.ttflist if font.name in expected}
    older = [font for font in fontManager.ttflist if font.fname not in files]
    monkeypatch.setattr(fontManager, "ttflist", older)
    japanese_fonts.cache_clear()
    assert japanese_fonts() == expected


def test_without_a_japanese_font_a_warning_names_what_to_install(monkeypatch):
    monkeypatch.setattr(pixels, "japanese_fonts", lambda: ())
    with pytest.warns(UserWarning, match="install one of Hiragino Sans, Noto Sans CJK JP"):
        to_pixels(figure("正解率"))


def test_a_dollar_sign_in_a_title_is_text():
    to_pixels(figure(), "$\\frac{$")
