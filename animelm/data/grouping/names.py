"""Names that are looked for in texts."""

from collections.abc import Iterable, Iterator

import ahocorasick

from animelm.data.grouping.text import folded, key_of, occurs


class Names:
    """Names that are looked for in texts, whatever their width and case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._spellings: dict[str, str] = {}
        for name in names:
            self._spellings.setdefault(key_of(name), name)
        self._automaton = ahocorasick.Automaton()
        for name in self._spellings.values():
            if len(name) > 1:
                self._automaton.add_word(folded(name), name)
        self._automaton.make_automaton()

    def __contains__(self, name: str) -> bool:
        return key_of(name) in self._spellings

    def longest_in(self, text: str, without: str = "") -> str | None:
        """The longest name in a text, the first of several; None without one.

        Args:
            text: the text.
            without: a text whose names are not meant.
        """
        names = [name for name in self.all_in(text) if not occurs(name, without)]
        return max(names, key=len) if names else None

    def separate_in(self, text: str) -> list[str]:
        """The names in a text of which none is a part of a longer one, each once, in order."""
        if not len(self._automaton):
            return []
        found = (name for _, name in self._automaton.iter_long(folded(text)))
        return [name for name in dict.fromkeys(found) if occurs(name, text)]

    def all_in(self, text: str) -> Iterator[str]:
        """The names in a text, in the order of their ends; none that divides a word."""
        if len(self._automaton):
            for _, name in self._automaton.iter(folded(text)):
                if occurs(name, text):
                    yield name
