import pytest


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        # Formatting
        ("{{lang|en|cat}}、{{Lang-en|cat}}、{{lang-en-short|cat}}", "cat、英語: cat、英: cat"),
        ("{{small|'''猫'''}}{{nowrap|犬}}{{color|red|鳥}}{{Template:Small|魚}}", "猫犬鳥魚"),
        ("{{要出典範囲|猫は走る|date=2020年}}。", "猫は走る。"),
        ("{{仮リンク|猫|en|Cat}}と{{仮リンク|犬|en|Dog|label=白い犬}}", "猫と白い犬"),
        ("{{bar box|title=猫|bars={{bar percent|白|gray|43.3}}|caption=毛の色。}}",
         "猫\n白: 43.3%\n毛の色。"),
        ("{{Columns-list|2|\n* 猫\n}}\n{{columns-list|30em|犬}}", "- 猫\n\n犬"),
        ("{{audio|neko.ogg|発音}}猫{{IPAc-en|k|æ|t}}", "猫/kæt/"),
        # Readings
        ("{{読み仮名|空|そら}}と{{ruby|海|うみ}}と{{読み仮名_ruby不使用|山|やま}}",
         "空（そら）と海（うみ）と山（やま）"),
        ("{{Nihongo|Star|星|Hoshi}}, {{nihongo|Sky|空}}", "Star (星, Hoshi), Sky (空)"),
        # Dates and measures
        ("{{生年月日と年齢|1980|1|2}}と{{start date|2009|4|5}}と{{start date|2009}}",
         "1980年1月2日と2009-04-05と2009"),
        ("{{convert|1000|km|mi|0}}、{{convert|5|ft|6|in|cm}}、{{convert|1|-|3|m|ft}}",
         "1,000 km、5 ft 6 in、1–3 m"),
        ("{{frac|1|2}}、{{val|1.5|0.2|e=3|u=m}}、{{sup|2}}", "1/2、1.5 ± 0.2×10^3 m、²"),
        # Countries
        ("{{JPN}}と{{Flagicon|USA}}{{flag|カナダ}}", "日本とカナダ"),
        # Nothing
        ("猫{{要出典|date=2020年}}{{Sfn|本|2001}}{{R|a}}{{efn|注。}}は走る。", "猫は走る。"),
        ("{{Main|猫}}\n{{複数の問題|a=1|b=2}}\n猫。\n{{Navbox|name=a|list1=b}}\n{{アジア}}",
         "猫。"),
        ("* {{Cite book|title=猫|date=2001}}\n猫。", "猫。"),
        # Unknown
        ("これは{{未知の書式|猫}}だ。", "これは猫だ。"),
        ("これは{{未知の番号|a/123}}猫だ。", "これは猫だ。"),
        ("これは{{未知の飾り|a|b}}猫{{未知の飾り|date=x}}だ。", "これは猫だ。"),
        ("猫。\n{{未知の案内|犬}}\n鳥。", "猫。\n\n鳥。"),
        ("{{未知の引用|猫は走る。|作者}}", "猫は走る。"),
        ("{{未知の枠|\n* 猫\n* 犬\n}}", "- 猫\n- 犬"),
        ("{{columns-list|colwidth=9em|\n* 猫\n}}", "- 猫"),
        # Lists and quotations
        ("{{hlist|猫|犬}}、{{Quote|猫は走る。|名前}}", "猫, 犬、猫は走る。\n\n名前"),
        # Marks
        ("猫{{·}}犬{{=}}{{mdash}}", "猫 · 犬=—"),
    ],
)  # fmt: skip
def test_what_a_template_leaves(body, wikitext, text):
    # Kana, so that labels come in Japanese.
    kana = "ひらがなのあるぶん。"
    assert body(f"{wikitext}\n\n{kana}") == f"{text}\n\n{kana}"


def test_labels_follow_the_page_s_language(body):
    assert body("The {{lang-ja|neko}} of {{JPN}}.") == "The Japanese: neko of Japan."
