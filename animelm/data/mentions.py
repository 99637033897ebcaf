"""Which texts name one of some subjects."""

import unicodedata
from collections.abc import Iterable

import ahocorasick

# Names this short occur inside other words: 金 in 金曜日. They count only where they are quoted.
_SHORT = 1
_QUOTES = ("「{}」", "『{}』")


class Mentions:
    """Finds names in texts, all of them in one pass (Aho–Corasick).

    Width and case make no difference. A name is found inside a longer word as well (リン in
    ベルリン): this class serves to keep a subject out of training, where a text too few does no
    harm.

    Args:
        names: the names; one of a single character is found in 「」 or 『』 only.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._automaton = ahocorasick.Automaton()
        for name in names:
            key = _folded(name)
            forms = [key] if len(key) > _SHORT else [quotes.format(key) for quotes in _QUOTES]
            for form in forms:
                self._automaton.add_word(form, name)
        self._empty = len(self._automaton) == 0
        self._automaton.make_automaton()

    def any_in(self, text: str) -> bool:
        """Whether ``text`` contains one of the names."""
        return not self._empty and next(self._automaton.iter(_folded(text)), None) is not None

    def found_in(self, text: str) -> set[str]:
        """The names in ``text``, as they were given."""
        if self._empty:
            return set()
        return {name for _, name in self._automaton.iter(_folded(text))}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
