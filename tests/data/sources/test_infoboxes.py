from animelm.corpus.wikitext.grid import markdown_table
from animelm.corpus.wikitext.templates.infobox import HEADERS
from animelm.data.sources.infoboxes import infobox_values


def test_values_are_cut_out_of_the_tables_of_infoboxes_alone():
    rows = [
        ("監督", "川口花子（第1期）、山田 太郎"),
        ("音楽", "A|B"),
        ("話数", "12"),
        ("放送", "2004年4月8日"),
        ("説明", "長い" * 20),
        ("国", "日"),
        ("他", "する"),
    ]
    box = markdown_table([HEADERS["ja"], *rows])
    other = markdown_table([("巻", "日"), ("1", "別の表")])
    text = (
        f"# 題\n\n{box}\n\n本文|も|\n\n{other}\n\n{markdown_table([HEADERS['en'], ('x', 'Moon')])}"
    )
    assert infobox_values(text) == ["川口花子", "山田 太郎", "A|B", "2004年4月8日", "Moon"]


def test_a_text_without_infobox_has_no_values():
    assert infobox_values("項目と内容の話。\n| 監督 | 川口 |") == []
