"""What MediaWiki shows for some wikitext, by the rules of its own manuals."""

from datetime import date

import pytest

from animelm.corpus.wikitext import render_page

DUMP_DAY = date(2024, 3, 7)


def shown(wikitext, title="題"):
    markdown = render_page(title, f"前{wikitext}後", DUMP_DAY).markdown
    text = markdown.removeprefix(f"# {title}\n\n").removesuffix("\n")
    return text.removeprefix("前").removesuffix("後")


# https://www.mediawiki.org/wiki/Help:Extension:ParserFunctions##switch
SWITCH = [
    ("{{#switch:|a=一|#default|b=三|c=二}}", "三"),
    ("{{#switch:z|a=一|#default=二|三}}", "三"),
    ("{{#switch:01|1=六|七}}", "六"),
    ("{{#switch:1.0|1=六|七}}", "六"),
    ("{{#switch:1e3|1000=六|七}}", "六"),
    ("{{#switch:+1|1=六|七}}", "六"),
    ("{{#switch:1a|1=六|七}}", "七"),
    ("{{#switch:a|A=六|七}}", "七"),
    ("{{#switch: b | a = 一 | b = 二 }}", "二"),
    ("{{#switch:b|a|b|c=三|d=四}}", "三"),
    ("{{#switch:d|a|b=二|#default=既定}}", "既定"),
    ("{{#switch:z|#default=一|a=二|#default=三}}", "三"),
    ("{{#switch:z|a=一|b=二}}", ""),
    ("{{#switch:z|a=一|#default=二|}}", ""),
    ("{{#switch:a|a=x=y}}", "x=y"),
    ("{{#switch:|=空|#default=有}}", "空"),
    ("{{#switch:&amp;|&=和|他}}", "和"),
    ("{{#switch:{{lc:A}}|a={{small|一}}|二}}", "一"),
]

# https://www.mediawiki.org/wiki/Help:Extension:ParserFunctions##ifeq
IF_EQUAL = [
    ("{{#ifeq:01|1|同|異}}", "同"),
    ("{{#ifeq:1.0|1|同|異}}", "同"),
    ("{{#ifeq:1e3|1000|同|異}}", "同"),
    ("{{#ifeq:-0|0|同|異}}", "同"),
    ("{{#ifeq:.5|0.50|同|異}}", "同"),
    ("{{#ifeq:1,000|1000|同|異}}", "異"),
    ("{{#ifeq:foo|Foo|同|異}}", "異"),
    ("{{#ifeq: foo |foo|同|異}}", "同"),
    ("{{#ifeq:&lt;|&#60;|同|異}}", "同"),
    ("{{#ifeq:||同|異}}", "同"),
    ("{{#ifeq:0x1|1|同|異}}", "異"),
    ("{{#ifeq:a|b|同}}", ""),
]

# https://www.mediawiki.org/wiki/Manual:Expr_parser_function_syntax
EXPRESSIONS = [
    ("2024-1999", "25"),
    (" 3*4", "12"),
    ("1 + 1", "2"),
    ("-1 + 1", "0"),
    ("+1 + 1", "2"),
    ("2 + 3 * 4", "14"),
    ("(2 + 3) * 4", "20"),
    ("-4 * -4 = 4 * 4", "1"),
    ("(1/3) * 3", "1"),
    ("1/3", "0.33333333333333"),
    ("2/3", "0.66666666666667"),
    ("7 div 2", "3.5"),
    ("3 / 0.2", "15"),
    ("3 / (- 0.2 )", "-15"),
    ("3 mod 2", "1"),
    ("-7 mod 3", "-1"),
    ("7 mod -3", "1"),
    ("5.7 mod 1.3", "0"),
    ("5.7 fmod 1.3", "0.5"),
    ("123 fmod (2^64-1)", "123"),
    ("1e4", "10000"),
    ("1e-2", "0.01"),
    ("1e15", "1.0E+15"),
    ("10000000000000", "10000000000000"),
    ("0.00001", "1.0E-5"),
    ("2^100", "1.2676506002282E+30"),
    ("10^400", "INF"),
    ("2^3", "8"),
    ("2^3^2", "64"),
    ("-2^2", "4"),
    ("4.0 round 0", "4"),
    ("4.5 round 0", "5"),
    ("-4.5 round 0", "-5"),
    ("1.955 round 2", "1.96"),
    ("9.876 round 2", "9.88"),
    ("1234567 round -3", "1235000"),
    ("30 / 7 round 3", "4.286"),
    ("ceil 4.2", "5"),
    ("ceil -4.5", "-4"),
    ("floor -4.5", "-5"),
    ("trunc(-4.5)", "-4"),
    ("trunc 4.5 + 1", "5"),
    ("abs(-2)", "2"),
    ("ln(exp(1))", "1"),
    ("sqrt 16", "4"),
    ("sin 0 + cos 0", "1"),
    ("pi round 5", "3.14159"),
    ("e round 4", "2.7183"),
    ("not 0", "1"),
    ("not (1 and 0)", "1"),
    ("not 1 = 2", "0"),
    ("1 or 0", "1"),
    ("1 or 0 and 0", "1"),
    ("4 &lt; 5", "1"),
    ("2 >= 2", "1"),
    ("1 != 2", "1"),
    ("1 <> 1", "0"),
    ("1 = 1 + 0", "1"),
    ("5−2", "3"),
    ("5&minus;2", "3"),
    ("1.2.3", "1.2"),
    (".5 * 2", "1"),
    ("{{formatnum:1,234|R}} + 1", "1235"),
    ("", ""),
    # Where MediaWiki shows a message, nothing is trained on.
    *((wrong, "") for wrong in ("1/0", "1 mod 0", "1 2", "(1", "1)", "1 +", "* 2", "猫", "foo")),
    *((wrong, "") for wrong in ("sqrt -1", "ln 0", "asin 2", "2e", "1,000 + 1", "pi pi")),
]

# https://www.mediawiki.org/wiki/Help:Extension:ParserFunctions##ifexpr, ##iferror, ##if
CONDITIONS = [
    ("{{#ifexpr:1>2|はい|いいえ}}", "いいえ"),
    ("{{#ifexpr:2>1|はい|いいえ}}", "はい"),
    ("{{#ifexpr:|はい|いいえ}}", "いいえ"),
    ("{{#ifexpr:0.0|はい|いいえ}}", "いいえ"),
    ("{{#ifexpr: 1 = 1 and 2 > 1 | はい }}", "はい"),
    ("{{#ifexpr:猫|はい|いいえ}}", ""),
    ("{{#iferror:{{#expr:1/0}}|誤|正}}", "誤"),
    ("{{#iferror:{{#expr:1/1}}|誤|正}}", "正"),
    ("{{#iferror:{{#expr:2*3}}|誤}}", "6"),
    ("{{#iferror:{{#expr:foo}}}}", ""),
    ('{{#iferror:<strong class="error">a</strong>|誤}}', "誤"),
    ("{{#if:{{#expr:foo}}|有|無}}", "有"),
    ("{{#if:0|有|無}}", "有"),
    ("{{#if: \n |有|無}}", "無"),
    # What is left out here is not a number.
    ("{{#expr:{{R|a}}+1}}", ""),
    ("{{#ifexpr:{{R|a}}<1|小|大}}", ""),
]

# https://www.mediawiki.org/wiki/Help:Magic_words
MAGIC_WORDS = [
    ("{{CURRENTYEAR}}年", "2024年"),
    ("{{LOCALYEAR}}", "2024"),
    ("{{CURRENTMONTH}}/{{CURRENTMONTH1}}", "03/3"),
    ("{{CURRENTDAY}}/{{CURRENTDAY2}}", "7/07"),
    ("{{CURRENTMONTHNAME}}", "March"),
    ("{{#expr:{{CURRENTYEAR}}-2000}}周年", "24周年"),
    ("{{padleft:7|3}}", "007"),
    ("{{padleft:xyz|5|ab}}", "abxyz"),
    ("{{padright:7|3|_}}", "7__"),
    ("{{lc:ABC}}{{uc:def}}", "abcDEF"),
    ("{{formatnum:-1234567.8}}", "-1,234,567.8"),
]

# https://www.mediawiki.org/wiki/Writing_systems/Syntax
VARIANTS = [
    ("-{zh-hans:计算机;zh-hant:電腦}-", "计算机"),
    ("-{zh-hans:计算机; zh-hant:電腦;}-", "计算机"),
    ("-{zh-tw:電腦; zh-cn:计算机}-", "计算机"),
    ("-{zh-hk:甲; zh-tw:乙}-", "乙"),
    ("-{zh:丙; zh-hans:甲; zh-hant:乙}-", "丙"),
    ("-{A|zh-cn:博客; zh-hk:網誌}-", "博客"),
    ("-{H|zh-cn:博客; zh-hk:網誌}-", ""),
    ("-{T|zh-cn:博客; zh-hk:網誌}-", ""),
    ("-{H|巨集=>zh-cn:宏;}-", ""),
    ("-{R|甲:乙}-", "甲:乙"),
    ("-{乾}-隆", "乾隆"),
    ("國-{}-號", "國號"),
    ("-{zh;zh-hans;zh-hant|干}-", "干"),
    ("-{zh-hans:{{lang|en|cat}};zh-hant:{{lang|en|dog}}}-", "cat"),
    ("-{zh-hans:[[猫|小猫]];zh-hant:[[貓]]}-", "小猫"),
    ("{{small|-{A|zh-hans:猫;zh-hant:貓}-}}", "猫"),
    ("-{sr-ec:мачка; sr-el:mačka}-", "мачка"),
]

# https://www.mediawiki.org/wiki/Help:Links#Interwiki_links, Help:Links#Interlanguage_links
LINKS = [
    ("[[mw:Help:Links|つなぎ方]]", "つなぎ方"),
    ("[[rfc:2616|RFC 2616]]", "RFC 2616"),
    ("[[re:星屑|リ・星屑]]", "リ・星屑"),
    ("[[doi:10.1000/182|論文]]", "論文"),
    ("[[w:猫|猫]]", "猫"),
    ("[[wikt:猫|猫]]", "猫"),
    ("[[wikt:ja:猫|'''猫''']]", "猫"),
    ("[[s:en:Cat|猫の詩]]", "猫の詩"),
    ("[[c:Cat|写真]]", "写真"),
    ("[[d:Q146|猫]]", "猫"),
    ("[[xx:猫]]", "xx:猫"),
    ("[[abc-de:猫|猫]]", "猫"),
    ("[[en:Cat]]", ""),
    ("[[En:Cat]]", ""),
    ("[[ de :Katze]]", ""),
    ("[[simple:Cat]]", ""),
    ("[[zh-min-nan:Niau]]", ""),
    ("[[be-x-old:Кот]]", ""),
    ("[[map-bms:Kucing]]", ""),
    ("[[:en:Cat|英語版の猫]]", "英語版の猫"),
]

# https://ja.wikipedia.org/wiki/Help:脚注, https://en.wikipedia.org/wiki/Help:Footnotes,
# https://zh.wikipedia.org/wiki/Help:脚注: a number stands in the text, the note at the end.
NOTES = [
    (f"猫{{{{{note}|これは注。|group=注|name=a}}}}は", "猫は")
    for note in (
        *("efn", "efn2", "Efn-ua", "efn-la", "efn-lr", "efn2-ur", "NoteTag", "NoteTag2", "notetag"),
        *("Refnest", "refn", "RefTag", "注", "註", "注釈", "注釋", "註釋", "注释", "脚注", "備註"),
        *("cref2", "cnote2", "Ref label", "note label", "Note", "dref", "hnote", "fn", "r", "rp"),
        *("sfn", "sfnm", "harvnb", "ran", "ref2", "Explanatory footnote", "NoteFoot", "Notelist"),
        *("notelist-ua", "Reflist2", "脚注ヘルプ", "Footnotes", "noteTA"),
    )
]

# https://en.wikipedia.org/wiki/Module:Nihongo, Template:Age_in_years, Template:Interlanguage_link;
# https://ja.wikipedia.org/wiki/Template:Lang-en-short, Template:年数, Template:仮リンク;
# https://zh.wikipedia.org/wiki/Template:Tsl, Template:Link-en
TEMPLATES = [
    ("{{Nihongo|Star|星|Hoshi}}", "Star (星, Hoshi)"),
    ("{{Nihongo|Star|星|Hoshi|lit. star}}", "Star (星, Hoshi, lit. star)"),
    ("{{Nihongo|Star|星|Hoshi|extra=lit. star}}", "Star (星, Hoshi, lit. star)"),
    ("{{Nihongo|Star|星|extra=lit. star|extra2=x}}", "Star (星, lit. star) x"),
    ("{{Nihongo|Star|星||lit. star}}", "Star (星, lit. star)"),
    ("{{Nihongo||東京タワー|Tōkyō tawā}}", "Tōkyō tawā (東京タワー)"),
    ("{{Nihongo||星}}", "(星)"),
    ("{{Nihongo|Star||Hoshi}}", "Star (Hoshi)"),
    ("{{Nihongo|Star|星|Hoshi|lead=yes}}", "Star (Japanese: 星, Hepburn: Hoshi)"),
    ("{{Nihongo3|Star|星|Hoshi}}", "Hoshi (星, Star)"),
    ("{{Nihongo3||星|Hoshi}}", "Hoshi (星)"),
    ("{{Nihongo krt|star|星|hoshi}}", "星 (hoshi, star)"),
    # The name in its footnote is kept, in brackets.
    ("{{Nihongo foot|Star Journey|星の旅|Hoshi no Tabi|extra=lit. journey}}",
     "Star Journey (星の旅, Hoshi no Tabi, lit. journey)"),
    ("{{Nihongo foot|Star Journey|星の旅|Hoshi no Tabi|lead=yes|group=lower-alpha}}",
     "Star Journey (Japanese: 星の旅, Hepburn: Hoshi no Tabi)"),
    ("{{age in years|2000|2010}}", "10"),
    ("{{age in years|1980|5|6|2010|5|5}}", "29"),
    ("{{age in years|1980|5|6|2010|5|6}}", "30"),
    ("{{年数|1980|5|6|2010|5|7}}", "30"),
    ("{{age|2000|3|7}}歳", "24歳"),
    ("{{満年齢|2000|3|8}}歳", "23歳"),
    ("{{年数|2014}}年", "10年"),
    ("{{tsl|en|Star Night|星夜|星之夜}}", "星之夜"),
    ("{{tsl|en|Star Night|星夜}}", "星夜"),
    ("{{tsl|en|Star Night|星夜|}}", "星夜"),
    ("{{le|星夜|Star Night}}", "星夜"),
    ("{{link-en|星夜|Star Night|星之夜}}", "星之夜"),
    ("{{link-ja|星夜|星の夜}}", "星夜"),
    ("{{仮リンク|星の夜|en|Star Night}}", "星の夜"),
    ("{{仮リンク|星の夜|en|Star Night|label=夜}}", "夜"),
    ("{{ill|Star Night|ja|星の夜|lt=the night}}", "the night"),
]  # fmt: skip

TABLE = {
    "switch": SWITCH,
    "ifeq": IF_EQUAL,
    "expr": [(f"{{{{#expr:{expression}}}}}", value) for expression, value in EXPRESSIONS],
    "conditions": CONDITIONS,
    "magic words": MAGIC_WORDS,
    "variants": VARIANTS,
    "links": LINKS,
    "notes": NOTES,
    "templates": TEMPLATES,
}
ROWS = [
    pytest.param(*row, id=f"{group}-{number}")
    for group, rows in TABLE.items()
    for number, row in enumerate(rows)
]


@pytest.mark.parametrize(("wikitext", "text"), ROWS)
def test_a_page_shows_what_mediawiki_shows(wikitext, text):
    assert shown(wikitext) == text


@pytest.mark.parametrize("title", ["Re:星屑から始める生活", "Star/星屑の夜", "a/b:c"])
@pytest.mark.parametrize("word", ["PAGENAME", "FULLPAGENAME", "BASEPAGENAME", "SUBPAGENAME"])
def test_the_name_of_an_article_is_its_whole_title(word, title):
    # https://www.mediawiki.org/wiki/Help:Magic_words#Page_names: articles have no namespace, and
    # on Wikipedia no subpages.
    assert shown(f"{{{{{word}}}}}", title) == title
    page = render_page(title, f"[[Category:{{{{{word}}}}}|*]]")
    assert page.categories == (title[0].upper() + title[1:],)


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("{{lang-en-short|Star}}", "英: Star"),
        ("{{lang-fr-short|étoile}}", "仏: étoile"),
        ("{{lang-ca-short|estel}}", "カタロニア語: estel"),
        ("{{lang-en|Star}}", "英語: Star"),
        ("{{CURRENTMONTHNAME}}", "3月"),
    ],
)
def test_labels_of_japanese_pages_are_japanese(wikitext, text):
    kana = "ひらがなのあるぶん。" * 3
    assert shown(f"{wikitext}。{kana}") == f"{text}。{kana}"


def test_a_note_in_a_field_of_an_infobox_is_dropped():
    notes = "{{efn2|初期の題は別。|name=a}}|年={{Refnest|1}}1999{{NoteTag|推定。}}"
    box = f"{{{{Infobox film|題名=星{notes}}}}}"
    assert render_page("題", box).markdown.split("| --- | --- |\n")[1] == (
        "| 題名 | 星 |\n| 年 | 1999 |\n"
    )


def test_a_date_is_left_out_where_no_day_is_known():
    page = render_page("題", "前{{CURRENTYEAR}}{{CURRENTMONTHNAME}}{{age|2000|1|2}}後")
    assert page.markdown == "# 題\n\n前後\n"
