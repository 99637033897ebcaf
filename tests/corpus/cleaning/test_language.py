import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.cleaning.language import LANGUAGES, language_share
from animelm.corpus.cleaning.text_key import text_key


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("宇宙を旅する少女の物語。", "ja", 1.0),
        ("A story about a girl in space", "ja", 0.0),
        ("A story about a girl in space", "en", 1.0),
        ("这是一部关于宇宙的动画作品", "ja", 0.0),  # no kana
        ("这是一部关于宇宙的动画作品", "zh", 1.0),
        ("우주 이야기", "ko", 1.0),
        ("アニメabc", "ja", 0.5),
        ("2024年", "ja", 0.0),  # kanji alone may be Chinese
        ("第12話と第13話", "ja", 1.0),  # digits belong to every language
        ("1, 2, 3!", "ja", 0.0),
        ("", "en", 0.0),
    ],
)
def test_share_of_letters(text, language, share):
    assert language_share(text_key(text), language) == pytest.approx(share)


@given(st.text(), st.sampled_from(sorted(LANGUAGES)))
def test_a_share_lies_between_0_and_1(text, language):
    assert 0 <= language_share(text_key(text), language) <= 1
