import pytest

from animelm.corpus.wikitext import render_page


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("[[猫]]と[[犬 (動物)|犬]]", "猫と犬"),
        ("[[猫|'''白い'''猫]]", "白い猫"),
        ("[[猫]]s", "猫s"),
        ("[[猫|{{lang|en|cat}}]]", "cat"),
        ("[[本|a [b]]]", "a [b]"),
        ("[[:Category:猫]]と[[:en:Cat]]", "Category:猫とCat"),
        ("前[[ファイル:a.jpg|thumb|[[猫]]の{{lang|en|cat}}。]]後", "前後"),
        ("名は（[[File:a.svg|20px]]、ネコ）。", "名は（ネコ）。"),
        ("名は、[[File:a.svg|x20px|{{lang|my|ဗမာ}}]]。", "名は、ဗမာ。"),
        ("名は[[File:a.svg|x20px|link=|middle]][[File:b.svg|20px|旗]]猫。", "名は猫。"),
        ("[[en:Cat]][[zh-min-nan:Niau]]猫", "猫"),
        ("[[Re:星]]と[[.hack]]", "Re:星と.hack"),
        ("[[猫は走る。\n\n犬も走る]]。", "猫は走る。\n\n犬も走る。"),
        ("[[File:a.jpg|thumb|猫\n\n犬は走る。]]", "犬は走る。"),
        ("猫 [[犬 は走る。", "猫 犬 は走る。"),
        ("猫 犬]] は走る。", "猫 犬 は走る。"),
    ],
)
def test_a_link_leaves_what_the_reader_sees(body, wikitext, text):
    assert body(wikitext) == text


def test_categories_lose_prefix_and_sort_key():
    wikitext = """[[Category:アニメ|ほし]] [[カテゴリ:漫画]] [[category:space_operas| ]]
    [[Category:アニメ]] <!-- [[Category:a]] --> <nowiki>[[Category:b]]</nowiki>
    [[:Category:c]] [[Category:テレビ|{{PAGENAME}}]] [[Category:A &amp; B]]"""
    page = render_page("題", wikitext)
    assert page.categories == ("アニメ", "漫画", "Space operas", "A & B", "テレビ")
