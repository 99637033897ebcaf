"""The form in which texts are compared: their letters and digits."""

import re
import unicodedata

_OTHERS = re.compile(r"[\W_]+")


def text_key(text: str) -> str:
    """The letters and digits of a text, with width (NFKC) and case folded.

    White space, punctuation and markup are dropped.
    """
    # Punctuation first: the rest of a Japanese text is mostly in NFKC, which is checked quickly.
    plain = _OTHERS.sub("", unicodedata.normalize("NFC", text))
    if not unicodedata.is_normalized("NFKC", plain):
        plain = _OTHERS.sub("", unicodedata.normalize("NFKC", plain))
    return plain.casefold()
