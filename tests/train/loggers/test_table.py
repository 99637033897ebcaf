import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.plugin_util import markdown_to_safe_html

from animelm.train.loggers.table import LogTable, escape


def cells(table: LogTable) -> list[list[str]]:
    """What TensorBoard's own renderer makes of the table: each body row's cells, as text."""
    rendered = markdown_to_safe_html(table.markdown())
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td|br)\b)", rendered), rendered
    rows = re.findall(r"<tr>(.*?)</tr>", rendered.split("<tbody>")[1], re.DOTALL)
    return [
        [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
        for row in rows
    ]


HOSTILE = [
    "<script>alert(1)</script>",
    "a | b | c",
    "line\n\n# head\r\n| x |",
    "[link](https://example.org) ![image](x.png) https://example.org",
    "`code` **bold** _it_ ~~no~~ &lt; &#60;b>",
    "back\\slash \\| end\\",
    "</td></tr></table><b>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_shows_as_itself_and_keeps_the_table_whole(text):
    assert cells(LogTable(["a", "b"], [[text, text]])) == [[" ".join(text.split())] * 2]


@given(st.text(max_size=40))
def test_any_text_stays_in_its_cell(text):
    expected = " ".join(text.split())
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in expected)
    assert cells(LogTable(["a", "b", "c"], [["x", text, "y"]])) == [["x", shown, "y"]]


def test_several_texts_of_a_cell_are_lines():
    table = LogTable(["a"], [[["一", "二"]]])
    assert cells(table) == [["一<br>二"]]
    assert table.texts() == [["一\n二"]]


def test_a_column_s_name_is_text_too():
    assert LogTable(["<b>"], []).markdown() == "| &#60;b&#62; |\n| --- |\n"


def test_a_remark_stands_above_what_it_is_on_in_markdown_and_in_a_column_of_its_own_elsewhere():
    table = LogTable(["q", "answer", "outcome"], [["問", "答", "never known"]], ends_in_remark=True)
    assert cells(table) == [["問", "never known<br>答"]]
    assert table.markdown().splitlines()[0] == "| q | answer |"
    assert table.texts() == [["問", "答", "never known"]]


def test_invisible_signs_become_visible():
    assert escape("a\u202eb\x00c") == "a\ufffdb\ufffdc"
