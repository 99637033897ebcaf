import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.dump.links import CategoryLinks, linked_titles, normalize_title

LINKS = CategoryLinks(["Category", "カテゴリ", "Категория"])


def categories(text: str, title: str = "題") -> tuple[str, ...]:
    return LINKS.of(text.encode(), title)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[Category:島国]]", ("島国",)),
        ("[[category:島国|しま]][[カテゴリ:共和国]]", ("島国", "共和国")),
        ("[[ CATEGORY : 島_国 ]]", ("島 国",)),
        ("[[категория:anime]]", ("Anime",)),
        ("[[Category:島国]] [[Category:島国|*]]", ("島国",)),
        ("[[:Category:島国]]", ()),
        ("[[Category:A&amp;amp;B]]", ("A&B",)),
        ("&lt;!-- [[Category:島国]] --&gt;[[Category:共和国]]", ("共和国",)),
        ("[[Category:共和国]]&lt;!-- [[Category:島国]]", ("共和国",)),
        ("&lt;nowiki&gt;[[Category:島国]]&lt;/nowiki&gt;", ()),
        ("[[Category:{{PAGENAME}}|*]]", ("題",)),
        ("[[Category:\u200e島国]]", ("島国",)),
        ("[[Category:島国", ("島国",)),
        ("[[Category:]][[Category: ]]", ()),
        ("Category:島国", ()),
    ],
)
def test_the_categories_of_a_page_are_those_that_it_puts_itself_in(text: str, found: tuple):
    assert categories(text) == found


@pytest.mark.parametrize(
    ("title", "namespace", "found"),
    [
        ("Re:星屑から始める生活", 0, "Re:星屑から始める生活"),
        ("Star/星屑の夜", 0, "Star/星屑の夜"),
        ("Category:島/国", 14, "島/国"),
    ],
)
@pytest.mark.parametrize("word", ["PAGENAME", "BASEPAGENAME", "SUBPAGENAME"])
def test_a_category_of_the_page_s_own_name(title: str, namespace: int, found: str, word: str):
    text = f"[[Category:{{{{{word}}}}}]]".encode()
    assert LINKS.of(text, title, namespace) == (found,)


def test_links_are_titles_without_sections_labels_and_comments():
    text = "[[銀魂|原作]]と[[万事屋#歴史]]、[[銀魂]]。&lt;!-- [[隠れた]] --&gt;[[#ここ]][[:真選組]]"
    assert linked_titles(text.encode()) == ("銀魂", "万事屋", "真選組")


@given(st.text())
def test_a_normal_title_stays_as_it_is(title: str):
    assert normalize_title(normalize_title(title)) == normalize_title(title)


@pytest.mark.parametrize(
    ("title", "normal"), [("gin_tama", "Gin tama"), (" a  b ", "A b"), ("ßx", "ßx"), ("", "")]
)
def test_a_title_is_written_as_mediawiki_stores_it(title: str, normal: str):
    assert normalize_title(title) == normal
