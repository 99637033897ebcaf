import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animelm.corpus.wikitext import PageError, render_page

LEFTOVERS = ("{{", "[[", "]]", "-{", "<ref", "|-", "'''")
MILLION = 1_000_000

PAGE = """{{Infobox animanga/Header
| タイトル = 星の工房
| ジャンル = [[SF]]、[[喜劇]]
| 画像 = WorkFolder.png
}}
『'''星の工房'''』は、{{読み仮名|青木 一|あおき はじめ}}の[[漫画]]作品<ref>出典。</ref>。
== 登場人物 ==
; {{Anchors|空}}坂本 空（さかもと そら）
: 声 - [[名前 (声優)|名前]]{{efn|代役。}}
: 本作の主人公。

== 脚注 ==
{{Reflist}}
[[Category:アニメ作品|ほし]]
"""


def test_a_page_becomes_an_article():
    page = render_page("星の工房", PAGE)
    assert page.markdown == (
        "# 星の工房\n\n"
        "| 項目 | 内容 |\n| --- | --- |\n| タイトル | 星の工房 |\n| ジャンル | SF、喜劇 |\n\n"
        "『星の工房』は、青木 一（あおき はじめ）の漫画作品。\n\n"
        "## 登場人物\n\n"
        "坂本 空（さかもと そら）\n: 声 - 名前\n: 本作の主人公。\n"
    )
    assert page.categories == ("アニメ作品",)


@pytest.mark.parametrize("wikitext", ["", "\n \n", "{{Reflist}}", "<!-- x -->"])
def test_a_page_without_text_keeps_its_title(wikitext):
    assert render_page("題", wikitext).markdown == "# 題\n"


def test_a_title_stands_in_one_line_without_control_characters():
    assert render_page("a\nb\0c", "x").markdown == "# a bc\n\nx\n"


def test_no_article_of_the_real_dumps_keeps_markup(dump_articles):
    rendered = {title: render_page(title, wikitext).markdown for title, wikitext in dump_articles}
    assert len(rendered) == 267
    kept = [title for title, text in rendered.items() if any(sign in text for sign in LEFTOVERS)]
    assert kept == []


def test_real_pages_keep_the_lines_that_hold_no_markup(dump_pages):
    plain = re.compile(r"^[^\s\[\]{}<>|'&*#:;=!_-][^\[\]{}<>|'&_]{30,}$", re.MULTILINE)
    for title, wikitext in dump_pages[::7]:
        # References and comments span lines that look plain.
        visible = re.sub(
            r"(?s)<!--.*?-->|<(ref|gallery|math|timeline)\b.*?</\1>|\{\{.*\}\}", "", wikitext
        )
        text = " ".join(render_page(title, wikitext).markdown.split())
        for line in plain.findall(visible):
            assert " ".join(line.split()) in text, (title, line)


def test_templates_nested_too_deeply_are_reported_with_title_and_reason():
    deep = "{{small|" * 1_000 + "x" + "}}" * 1_000
    with pytest.raises(PageError, match=r"題.*100 deep") as error:
        render_page("題", deep)
    assert (error.value.title, "templates" in error.value.reason) == ("題", True)


def test_templates_nested_ninety_deep_are_read():
    assert "x" in render_page("題", "a {{small|" * 90 + "x" + "}}" * 90).markdown


def test_tables_nested_too_deeply_are_reported():
    with pytest.raises(PageError, match="tables"):
        render_page("題", "{|\n|\n" * 200)


BROKEN = [
    *("{{", "}}", "[[", "]]", "<ref>x", "<ref ", "<!-- ", "<math>", "= ", "[http://a ", "''"),
    *("* a\n", "; a : b\n", "({{x}}", "&#1", "|", "!!", " x\n", "<sup>", "[[File:a|b\n\n"),
    "{{#if:x|",
]  # fmt: skip


@pytest.mark.parametrize("fragment", BROKEN)
def test_a_long_page_of_broken_markup_comes_to_an_end(fragment):
    try:
        page = render_page("題", fragment * (MILLION // 4 // len(fragment)))
    except PageError:
        return
    assert "{{" not in page.markdown


def test_a_page_of_20_megabytes_is_read_whole():
    line = "猫は[[野原]]を{{small|よく}}走る。" + "ねこはねこである。" * 60 + "\n\n"
    lines = 20 * MILLION // len(line.encode()) + 1
    text = render_page("題", line * lines).markdown
    assert text.count("猫は野原をよく走る。ねこは") == lines


def test_spans_that_would_fill_the_memory_are_not_unfolded():
    rows = "|-\n| rowspan=60000 colspan=1000 | x\n" * 2_000
    assert len(render_page("題", f"{{|\n{rows}|}}").markdown) < MILLION


FRAGMENTS = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{{{",
            "[[",
            "]]",
            "|",
            "||",
            "\n",
            "\n|-\n",
            "{|",
            "|}",
            "!",
            "=",
            "== a ==",
        ),
        *(
            "'''",
            "<ref>",
            "</ref>",
            "<ref name=a />",
            "<!--",
            "-->",
            "<nowiki>",
            "</nowiki>",
            "<br>",
        ),
        *("<pre>", "</pre>", "* ", "# ", "; ", ": ", "#if:", "#switch:", "lang|en|", "File:a.png"),
        *("Infobox a\n|b=c", "Category:b", "colspan=3 |", "rowspan=2 |", "[http://a b]", "&#1;"),
        *(
            "&lt;",
            "&amp;",
            "&#x110000;",
            "<math>",
            "</math>",
            "<table><tr><td>",
            "</table>",
            "text",
        ),
        *("convert|5|ft", "nihongo|a|b|c", "(", ")", "__TOC__", "声 - 名前", " ", "\0", "\ud800"),
        *("\x010\x02", "\x1e", "\x1f", "\u2028", "\ufeff", "columns|", "Quote|", "hidden|title=a|"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=3)), max_size=40).map("".join))
def test_any_text_renders_without_control_characters_or_ends_in_a_page_error(wikitext):
    try:
        page = render_page("題", wikitext)
    except PageError:
        return
    for text in (page.markdown, *page.categories):
        signs = set(text) - {"\n"}
        assert not [sign for sign in signs if unicodedata.category(sign) in ("Cc", "Cs")]
    assert page.markdown.startswith("# 題\n")
    assert all("\n" not in name and name == name.strip() for name in page.categories)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["ねこ", "word", "。", " ", "\n\n", "12"]), max_size=20).map("".join)
)
def test_text_without_markup_stays_as_it_is(text):
    # A line that begins with a space is code, and many spaces are one.
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    expected = "\n\n".join(part for part in paragraphs if part)
    source = "\n\n".join(part.strip() for part in text.split("\n\n"))
    assert render_page("題", source).markdown == f"# 題\n\n{expected}".rstrip() + "\n"
