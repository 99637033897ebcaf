"""The share of a text that is written in the script of a language."""

import re
from collections.abc import Iterator

_KANA = r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
_HAN = r"々〆〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LATIN = r"A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_SCRIPTS = {
    "ja": _KANA + _HAN,
    "zh": _HAN,
    "ko": r"\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "ru": r"\u0400-\u052f",
    "uk": r"\u0400-\u052f",
    "el": r"\u0370-\u03ff\u1f00-\u1fff",
    "ar": r"\u0620-\u064a\u066e-\u06d3\u0750-\u077f",
    "he": r"\u05d0-\u05ea",
    "th": r"\u0e01-\u0e46",
    **dict.fromkeys(("de", "en", "es", "fr", "id", "it", "nl", "pl", "pt", "sv", "vi"), _LATIN),
}
LANGUAGES = frozenset(_SCRIPTS)
"""Codes of the supported languages."""

_FOREIGN = {language: re.compile(f"[^{script}]+") for language, script in _SCRIPTS.items()}
_JAPANESE = re.compile(f"[{_SCRIPTS['ja']}]+")
_NO_KANA = re.compile(f"[^{_KANA}]+")
_DIGITS = re.compile(r"\d+")
# Japanese prose is about half kana, and a list of names a tenth; Chinese has next to none.
_LEAST_KANA = 0.02


def language_share(letters: str, language: str) -> float:
    """Share of letters, 0 to 1, that belong to the script of a language.

    Japanese needs kana: if less than 2 % of kana and kanji are kana, kanji do not count. Languages
    of the Latin script are not distinguished.

    Args:
        letters: letters of a text, see ``text_key``; digits do not count.
        language: one of ``LANGUAGES``.

    Returns:
        The share; 0 if there are no letters.
    """
    letters = _DIGITS.sub("", letters)
    if not letters:
        return 0.0
    own = _FOREIGN[language].sub("", letters)
    if language == "ja":
        kana = _NO_KANA.sub("", own)
        if len(kana) < _LEAST_KANA * len(own):
            own = kana
    return len(own) / len(letters)


def japanese_runs(text: str) -> Iterator[tuple[int, int]]:
    """First character (included) and last (excluded) of every run of kana and kanji."""
    return (match.span() for match in _JAPANESE.finditer(text))
