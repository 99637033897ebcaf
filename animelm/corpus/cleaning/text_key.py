"""What two texts are compared by: their letters."""

import re
import unicodedata

_OTHERS = re.compile(r"[\W_]+")


def letters(text: str) -> str:
    """Letters and digits of a text alone, of one width and one case (NFKC).

    White space, punctuation and markup make no difference to it.
    """
    # Punctuation goes first: what is left of Japanese is mostly normal, which is quickly seen.
    plain = _OTHERS.sub("", unicodedata.normalize("NFC", text))
    if not unicodedata.is_normalized("NFKC", plain):
        plain = _OTHERS.sub("", unicodedata.normalize("NFKC", plain))
    return plain.casefold()
