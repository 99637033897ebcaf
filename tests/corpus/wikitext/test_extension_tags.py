import pytest


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("猫<ref>本。</ref>は<ref name=a/>走る<REF name='b'>x</REF >。", "猫は走る。"),
        ("猫<ref name=a>x<ref>本。</ref>は走る。", "猫xは走る。"),
        ("猫は<ref>走る。", "猫は走る。"),
        ("猫<ref name=x は走る。", "猫は走る。"),
        ("猫<!-- 犬 -->は走る。", "猫は走る。"),
        ("猫<!-- は走る。\n\n犬も。", "猫 は走る。\n\n犬も。"),
        ("前\n<gallery>\nFile:a.jpg|猫\n</gallery>\n後", "前\n\n後"),
        ("<nowiki>[[猫]] '''{{犬}}'''</nowiki>と<nowiki/>鳥", "[[猫]] '''{{犬}}'''と鳥"),
        ("<nowiki>&lt;b&gt;</nowiki>", "<b>"),
        ("<nowiki><!-- a</nowiki> b <!-- c --> d", "<!-- a b d"),
        ("面積は<math>a^{{b}} | c</math>。", "面積は$a^{ {b}} | c$。"),
        ("<pre>\n[[a]]\n  * b &lt;\n</pre>", "```\n[[a]]\n  * b <\n```"),
        ('<syntaxhighlight lang="c" inline>a[[0]]</syntaxhighlight>', "a[[0]]"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>", "漢字（かんじ）"),
    ],
)
def test_what_holds_no_wikitext(body, wikitext, text):
    assert body(wikitext) == text


def test_markup_in_code_is_no_list_and_no_table(body):
    assert body("a\n<source>\n* x\n{|\n|}\n</source>\nb") == "a\n\n```\n* x\n{|\n|}\n```\n\nb"
