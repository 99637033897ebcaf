"""How texts are cut and compared when questions are grouped."""

import re
import unicodedata
from functools import lru_cache

from animelm.corpus.cleaning.text_key import text_key

_QUOTED = re.compile(r"「([^「」]+)」|『([^『』]+)』")
_LONGEST_NAME = 60
_SENTENCE = re.compile(r"。.|\n")
# Runs of katakana, Latin letters or digits are words; other characters stand alone.
_UNITS = re.compile(r"[ァ-ヴヷ-ヺー]+|[a-z\u00df-\u024f]+|\d+(?:[.,]\d+)*|\s+|.", re.DOTALL)
_WORD = re.compile(r"[ァ-ヴヷ-ヺーa-z\u00df-\u024f\d]")

# The end of a sentence before another one. A title may hold one: a particle goes on after it, and
# what stands in 「」 or 『』 is not divided.
_BOUNDARY = re.compile(
    r"[。！？!?](?=[^のはがをにでともへや、。！？!?」』)）\s])|[。！？!?]\s+(?=\S)|(?<![、,])\n\s*(?=\S)|"
    r"(?<=[a-z0-9)]{4})\.\s+(?=[A-Z])"
)
_IN_QUOTES = re.compile(r"「[^「」]*」|『[^『』]*』")

_COPULA = re.compile(
    r"(?:なの|なん)?(?:です|でした|でしょう|だった|である|であった|だ|になります|となります|"
    r"となっています|といいます|と言います|という|と呼ばれています|だと思います)(?:ね|よ)?$"
)
_LISTED = re.compile(r"[、,，・/／&＆+＋と]|\band\b", re.IGNORECASE)
_END = " \t\n。．.！!、,"
_ASKING = re.compile(
    r"(?:を?(?:教えて|答えて|示して|書いて)(?:ください|下さい)?|の?(?:です|でしょう|だろう|だと言えます)か|"
    r"誰|だれ|何|なに|なん|どこ|どちら|どっち|いつ|いくつ|いくら|どれ|の名前|は|とは|の)$"
)


def folded(text: str) -> str:
    """The text with width (NFKC) and case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


@lru_cache(maxsize=1 << 16)
def key_of(text: str) -> str:
    """The form in which questions, names and answers are compared; never empty."""
    return text_key(text) or folded(text).strip() or text


def forms_of(key: str) -> list[str]:
    """The forms in which a key is compared: as it is, and as a list without order.

    So マルタ語、英語 and 英語とマルタ語 have a form in common.
    """
    parts = sorted({key_of(part) for part in _LISTED.split(key) if part.strip()})
    return [key_of(key), "、".join(parts)] if len(parts) > 1 else [key_of(key)]


def quoted_names(text: str) -> list[str]:
    """What stands in 「」 or 『』, in order, each once, without whole sentences."""
    names = dict.fromkeys(a or b for a, b in _QUOTED.findall(text))
    return [
        name
        for name in map(str.strip, names)
        if name and len(name) <= _LONGEST_NAME and not _SENTENCE.search(name)
    ]


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence."""
    text = text.strip()
    outside = _IN_QUOTES.sub(lambda match: "・" * len(match[0]), text)
    end = _BOUNDARY.search(outside)
    return text[: end.end()].strip() if end else text


def has_several_sentences(text: str) -> bool:
    """Whether another sentence follows the first one."""
    return first_sentence(text) != text.strip()


def unquoted(text: str) -> str:
    """The text without a pair of 「」 or 『』 around the whole of it."""
    match = _QUOTED.fullmatch(text.strip())
    return (match[1] or match[2]).strip() if match else text.strip()


@lru_cache(maxsize=1 << 16)
def without_copula(answer: str) -> str:
    """An answer without です, である and the like at its end."""
    text = answer.strip().rstrip(_END)
    shorter = _COPULA.sub("", text).rstrip(_END)
    return shorter or text


@lru_cache(maxsize=1 << 16)
def asked_core(question: str) -> str:
    """A question as it is compared, without the words at its end that only ask."""
    text, before = key_of(question), ""
    while text != before:
        before, text = text, _ASKING.sub("", text)
    return text or key_of(question)


def units(text: str) -> list[str]:
    """A folded text in units that are not divided: words of katakana, Latin letters or digits, and
    single other characters."""
    return _UNITS.findall(folded(text))


def is_word(unit: str) -> bool:
    """Whether a unit is a word of katakana, Latin letters or digits."""
    return bool(_WORD.match(unit))


def occurs(name: str, text: str) -> bool:
    """Whether ``name`` stands in ``text`` without dividing a word of katakana, Latin or digits."""
    wanted, cut = folded(name), folded(text)
    start = cut.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not (_joins(cut, start) or _joins(cut, end)):
            return True
        start = cut.find(wanted, start + 1)
    return False


def _joins(text: str, at: int) -> bool:
    """Whether one word goes on across a place in a folded text."""
    if not 0 < at < len(text):
        return False
    return len(_UNITS.findall(text[at - 1 : at + 1])) == 1
