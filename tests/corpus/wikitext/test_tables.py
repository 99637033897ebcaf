import pytest


def table(*rows):
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


@pytest.mark.parametrize(
    ("rows", "cells"),
    [
        ("! 話 !! 題\n|-\n| 1 || 空", [("話", "題"), ("1", "空")]),
        ("|-\n! 話\n! 題\n|-\n| 1\n| 空", [("話", "題"), ("1", "空")]),
        ('! style="x" | 話 !! 題\n|- style="y"\n| align=center | 1 || nowrap | 空',
         [("話", "題"), ("1", "空")]),
        ("! 話 || 題\n|-\n| rowspan=2 | 1 || 空\n|-\n| 海",
         [("話", "題"), ("1", "空"), ("1", "海")]),
        ("! 話 || 題\n|-\n| colspan='2' | 総集編", [("話", "題"), ("総集編", "総集編")]),
        ("! 話 || 題\n|-\n| colspan=2 {{n/a}}", [("話", "題"), ("N/A", "N/A")]),
        ("! a || b\n|-\n| 一<br>二\n三\n|\n* 猫\n* 犬", [("a", "b"), ("一 / 二 三", "猫 / 犬")]),
        ("! a || b\n|-\n| x&#124;y || {{!}}z", [("a", "b"), ("x\\|y", "z")]),
        ("! a || b\n|-\n| 1 || 2\n|-\n| ||\n|-", [("a", "b"), ("1", "2")]),
        ("! a || b || c\n|-\n| 1", [("a", "b", "c"), ("1", "", "")]),
        ("| 値は x=1 | 続き || b\n|-\n| c || d", [("続き", "b"), ("c", "d")]),
        ("| 猫 | 犬 || b\n|-\n| c || d", [("猫 犬", "b"), ("c", "d")]),
    ],
)  # fmt: skip
def test_rows_and_spans_become_a_markdown_table(body, rows, cells):
    assert body(f'{{| class="wikitable"\n{rows}\n|}}') == table(*cells)


def test_the_caption_stands_above_and_the_text_around_stays(body):
    text = body("前\n{|\n|+ style=x | 一覧\n! a || b\n|-\n| 1 || 2\n|} 後")
    assert text == f"前\n\n一覧\n\n{table('ab', '12')}\n\n後"


def test_a_table_within_a_table_follows_it(body):
    text = body("{|\n! a || b\n|-\n| 1 ||\n{|\n! c || d\n|-\n| 3 || 4\n|}\n|}")
    assert text == f"{table('ab', ('1', ''))}\n\n{table('cd', '34')}".replace(" 1 |  |", " 1 |  |")


@pytest.mark.parametrize(
    "wikitext", ["{|\n|valign=top|\n* 猫\n|\n* 犬\n|}", "{|\n|\n* 猫\n|-\n|\n* 犬\n|}"]
)
def test_a_table_that_only_places_things_leaves_them(body, wikitext):
    assert body(wikitext) == "- 猫\n\n- 犬"


def test_a_row_of_labels_is_a_table(body):
    assert body("{|\n| あ || い\n| う\n|}") == table("あいう")
    assert body(f"{{|\n| 注 || {'ながい' * 20}\n|}}") == f"注\n\n{'ながい' * 20}"


def test_a_heading_ends_a_table_that_was_not_closed(body):
    text = body("{|\n! a || b\n|-\n| 1 || 2\n== 猫 ==\n一")
    assert text == f"{table('ab', '12')}\n\n## 猫\n\n一"


def test_an_infobox_in_a_cell_keeps_its_facts(body):
    assert "| 名 | 猫 |" in body("{|\n| a || b\n|-\n| {{Infobox x|名=猫}} || c\n|}")
