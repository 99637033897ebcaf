from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.wikitext.grid import Cell, markdown_table, unfold


def test_a_text_stands_in_every_place_that_its_cell_spans():
    rows = [
        [Cell("a", rows=2), Cell("b", columns=2)],
        [Cell("c"), Cell("d")],
    ]
    assert unfold(rows) == [["a", "b", "b"], ["a", "c", "d"]]


def test_columns_in_which_no_cell_begins_are_left_out():
    assert unfold([[Cell("a", columns=9)], [Cell("b"), Cell("c", columns=3)]]) == [
        ["a", "a"],
        ["b", "c"],
    ]


def test_spans_end_with_the_table():
    assert unfold([[Cell("a", rows=99), Cell("b")]]) == [["a", "b"]]


def test_a_row_that_only_begins_spans_is_not_repeated():
    rows = [[Cell("x"), Cell("y")], [Cell("a", rows=3)], [Cell("b")], [Cell("c")]]
    assert unfold(rows) == [["x", "y"], ["a", "b"], ["a", "c"]]


def test_empty_rows_and_columns_go():
    assert unfold([[Cell("a"), Cell(""), Cell("b")], [Cell(""), Cell(""), Cell("")]]) == [
        ["a", "b"]
    ]


def test_a_note_across_the_whole_table_stands_once():
    note = "これは表の全体についての長い注であり、" * 3
    rows = [[Cell("a"), Cell("b")], [Cell("前半", columns=2)], [Cell(note, columns=2)]]
    assert unfold(rows) == [["a", "b"], ["前半", "前半"], [note, ""]]


def test_spans_out_of_all_proportion_count_once():
    assert unfold([[Cell("x" * 1_000, columns=1_000)], [Cell("y")] * 1_000])[0] == ["x" * 1_000]


cells = st.builds(
    Cell, st.text("abc", min_size=1, max_size=3), st.integers(0, 4), st.integers(0, 4)
)


@given(st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=5))
def test_no_text_is_lost_and_rows_have_one_width(rows):
    lines = unfold(rows)
    assert len({len(line) for line in lines}) == 1
    shown = {text for line in lines for text in line}
    assert {cell.text for row in rows for cell in row} <= shown


def test_a_bar_in_a_cell_is_escaped():
    assert markdown_table([["a|b"], ["c"]]) == "| a\\|b |\n| --- |\n| c |"
    assert markdown_table([]) == ""
