import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.evaluate.normalization import normalize, occurrences, searchable

JAPANESE = st.text(
    alphabet="あいキラヤマトルフィー鋼錬金術月年日0123456789abcXYZ・「」 、!☆", max_size=12
)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("「ぽにぽにだっしゅ!」です。", "ぽにぽにだっしゅです"),
        ("『鋼の錬金術師』", "鋼の錬金術師"),
        ("ガンダム", "ガンダム"),  # half-width katakana with a voicing mark of its own
        ("NARUTO", "naruto"),
        ("レベッカ 宮本", "レベッカ宮本"),
        ("レベッカ\u3000宮本\n", "レベッカ宮本"),
        ("ジャン=ジャック・ルソー", "ジャンジャックルソー"),
        ("らき☆すた", "らきすた"),
        ("“東のエデン”", "東のエデン"),
        ("サーバント×サービス", "サーバント×サービス"),
        ("2011年", "2011年"),
        ("1,234,567人", "1234567人"),
        ("12、34", "12 34"),  # two numbers do not become one
        ("3.5", "3.5"),
        ("K-ON!", "kon"),
        ("か゛ンタ゛ム", "がンダム"),
    ],
)
def test_normalize_leaves_only_what_tells_names_apart(written: str, normal: str) -> None:
    assert normalize(written) == normal


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("レベッカ宮本", "主人公はレベッカ 宮本です。"),
        ("レベッカ・宮本", "主人公はレベッカ宮本です"),
        ("キラ", "「キラ」とラクスです"),
        ("キラ", "キラ・ヤマトです"),
        ("ガンダム", "『ガンダム』の続編"),
        ("ソニコ", "すーぱーソニコ"),  # the ー belongs to the hiragana before it
        ("2011年1月", "放送開始は2011年1月です"),
        ("2011年1月", "2011年 1月"),
        ("1000", "1,000話"),
        ("3.5", "およそ3.5です"),
        ("Code Geass", "CODE GEASS"),
        ("ルパン三世", "アニメ「ルパン三世」"),
    ],
)
def test_a_name_is_found_however_it_is_written(name: str, text: str) -> None:
    assert occurrences(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("1", "11"),
        ("1", "1.5"),
        ("5", "1.5"),
        ("1月", "11月"),
        ("一月", "十一月"),
        ("2011年1月", "2011年11月"),
        ("2011年1月", "12011年1月"),
        ("000", "1,000"),
        ("12", "1、2"),
        ("1 2", "12"),
        ("キラ", "キラキラ"),
        ("エド", "エドワード"),
        ("マリア", "タマリア"),
        ("ルパ", "ルパン"),
        ("H", "He"),
        ("ON", "K-ONE"),
        ("「」", "「」"),
        ("鋼", ""),
    ],
)
def test_part_of_a_longer_word_or_number_is_not_the_name(name: str, text: str) -> None:
    assert occurrences(name, text) == []


@given(JAPANESE)
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(JAPANESE)
def test_a_name_is_found_in_a_sentence_about_it(name: str) -> None:
    assert bool(occurrences(name, f"答えは「{name}」です。")) == bool(normalize(name))


@given(JAPANESE, JAPANESE)
def test_what_is_found_is_there(name: str, text: str) -> None:
    if occurrences(name, text):
        assert normalize(name).replace(" ", "") in normalize(text).replace(" ", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [("◎", "答えは◎です。"), ("◎", "◎"), ("!?", "「!?」"), ("!?", "答えは!?です"), ("☆☆", "☆ ☆")],
)
def test_a_name_of_symbols_is_found_among_the_symbols(name: str, text: str) -> None:
    assert [searchable(text)[start:end] for start, end in occurrences(name, text)] == [
        normalize(name)
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("◎", "○"), ("◎", ""), ("!", "!!"), ("!", "わかりません!"), ("!", "K-ON!です"), ("☆", "☆★")],
)
def test_symbols_of_a_longer_run_or_at_the_end_of_a_sentence_are_no_name(
    name: str, text: str
) -> None:
    assert occurrences(name, text) == []


def test_symbols_tell_texts_apart_that_have_nothing_else() -> None:
    assert normalize("「◎」") == "◎" != normalize("○")
    assert normalize("!?") == "!?"


@given(st.text(max_size=12))
def test_any_text_is_normalized_once_and_for_all(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)
