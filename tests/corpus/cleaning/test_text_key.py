import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.cleaning.text_key import text_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("「銀魂」の主人公は誰ですか?", "『銀魂』の 主人公は、誰ですか？"),
        ("ＡＢＣ１２３", "abc123"),
        ("ｱﾆﾒ", "アニメ"),
        ("か\u3099ある", "がある"),
        ("**太字**の[[語]]", "太字の語"),
        ("snake_case", "snakecase"),
    ],
)
def test_only_letters_make_a_difference(one, other):
    assert text_key(one) == text_key(other) != ""


@given(st.text())
def test_composed_and_decomposed_text_have_the_same_letters(text):
    assert text_key(unicodedata.normalize("NFD", text)) == text_key(
        unicodedata.normalize("NFC", text)
    )


@given(st.text())
def test_nothing_but_letters_and_digits_is_left(text):
    assert all(character.isalnum() for character in text_key(text))
