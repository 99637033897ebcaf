"""One spelling for what the looser score counts as equal; docs/scoring.md has the table."""

import re
import unicodedata
from functools import lru_cache

import kanjize
from opencc import OpenCC

# Variants in names that OpenCC's table of old and new Japanese characters does not have.
_VARIANTS = str.maketrans("髙﨑邉嶋嶌冨舘靑槗𠮷埜桒", "高崎辺島島富館青橋吉野桑")
_REPEATED = re.compile("([一-鿿])々")
_KANJI_DIGITS = "〇一二三四五六七八九十百千万億兆"
_NUMBER = re.compile(f"(?<![0-9.,])[0-9]*[{_KANJI_DIGITS}][0-9{_KANJI_DIGITS}]*")
_LEADING_ZEROS = re.compile("(?<![0-9.,])0+(?=[0-9]+(?:年|月|日|時|分|秒|話|巻|回|期))")
_COUNTER = re.compile("(?<=[0-9])[かカヵヶ箇](?=[月所国年条])")
_V = {"ヴァ": "バ", "ヴィ": "ビ", "ヴェ": "ベ", "ヴォ": "ボ", "ヴュ": "ビュ", "ヴ": "ブ"}
_V_SOUND = re.compile("|".join(_V))
# JIS Z 8301 writes no final ー after three or more sounds: コンピュータ.
_FINAL_LENGTHENING = re.compile("(?<=[ァ-ヺー]{3})ー+(?![ァ-ヺー])")


@lru_cache(maxsize=1 << 16)
def one_spelling(text: str) -> str:
    """The text in one of the spellings that the looser score does not tell apart."""
    plain = unicodedata.normalize("NFKC", text).translate(_VARIANTS)
    plain = _REPEATED.sub(r"\1\1", _old_to_new().convert(plain))
    plain = _LEADING_ZEROS.sub("", _NUMBER.sub(_digits, plain))
    plain = _COUNTER.sub("ケ", plain).replace("ヶ", "ケ").replace("ヵ", "カ")
    plain = _V_SOUND.sub(lambda found: _V[found[0]], plain)
    return _FINAL_LENGTHENING.sub("", plain)


@lru_cache(maxsize=1)
def _old_to_new() -> OpenCC:
    return OpenCC("t2jp")


def _digits(number: re.Match[str]) -> str:
    """The number in digits; as it is where it is none (十十)."""
    try:
        return str(kanjize.kanji2number(number[0]))
    except ValueError:
        return number[0]
