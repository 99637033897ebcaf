"""Finds templates and the links that hold other markup, innermost first, in one pass.

The braces are matched as MediaWiki's preprocessor matches them: runs of braces, three before two.
Unmatched brackets are removed; their text is kept.
"""

import re
from collections.abc import Callable

from animelm.corpus.wikitext.context import TooDeepError

# Of three closing square brackets the last two close the link: "[[a|b [c]]]".
_TOKEN = re.compile(r"\{\{+|\}\}+|\[\[|\]\](?!\](?!\]))")
_DEEPEST = 100
_MOST_OPEN = 100_000

Arguments = list[str]
OnTemplate = Callable[[Arguments, bool, bool], str]
OnLink = Callable[[Arguments], str]


class _Frame:
    """An opening bracket whose end has not been read.

    Attributes:
        braces: number of opening braces; 0 for a link.
        start: where its text begins in the source.
        arguments: the pieces of each argument read so far.
        height: number of levels of brackets inside.
    """

    __slots__ = ("arguments", "braces", "height", "start")

    def __init__(self, braces: int, start: int) -> None:
        self.braces = braces
        self.start = start
        self.arguments: list[list[str]] = [[]]
        self.height = 0

    def add_source(self, text: str) -> None:
        """Adds text of the page. Its pipes separate arguments; those of an expansion do not."""
        if "|" in text:
            first, *others = text.split("|")
            self.arguments[-1].append(first)
            self.arguments.extend([other] for other in others)
        else:
            self.arguments[-1].append(text)

    def take_arguments(self) -> Arguments:
        return ["".join(pieces) for pieces in self.arguments]


def expand(text: str, on_template: OnTemplate, on_link: OnLink) -> str:
    """The text with every template and link replaced by what the callbacks return.

    Args:
        text: wikitext.
        on_template: takes the name and arguments as written, with inner templates expanded; whether
            the template begins a line; and whether it is alone on it.
        on_link: takes the target and the labels.

    Raises:
        TooDeepError: templates are nested more than 100 levels deep, MediaWiki's own limit, or more
            than 100,000 brackets are open at once.
    """
    return _Expansion(text, on_template, on_link).run()


class _Expansion:
    def __init__(self, text: str, on_template: OnTemplate, on_link: OnLink) -> None:
        self._text = text
        self._on_template = on_template
        self._on_link = on_link
        self._output: list[str] = []
        self._stack: list[_Frame] = []
        self._open_braces = 0

    def run(self) -> str:
        position = 0
        text = self._text
        for token in _TOKEN.finditer(text):
            start, end = token.span()
            if start > position:
                self._add_source(text[position:start])
            position = end
            sign = text[start]
            if sign == "{":
                self._open(end - start, end)
                self._open_braces += 1
            elif sign == "[":
                self._open(0, end)
            elif sign == "}":
                self._close_braces(start, end)
            elif self._stack and not self._stack[-1].braces:
                frame = self._stack.pop()
                self._add_result(self._on_link(frame.take_arguments()), frame.height)
        self._add_source(text[position:])
        self._output.extend("|".join(frame.take_arguments()) for frame in self._stack)
        return "".join(self._output)

    def _open(self, braces: int, start: int) -> None:
        if len(self._stack) >= _MOST_OPEN:
            raise TooDeepError(f"more than {_MOST_OPEN:,} brackets are never closed")
        self._stack.append(_Frame(braces, start))

    def _close_braces(self, position: int, end: int) -> None:
        """Closes templates with the braces between two positions."""
        while end - position >= 2:
            if not self._open_braces:
                return
            self._give_up_links()
            frame = self._stack.pop()
            self._open_braces -= 1
            used = 3 if min(frame.braces, end - position) >= 3 else 2
            position += used
            arguments = frame.take_arguments()
            if used == 3:  # a template parameter; in an article its default value
                result = "|".join(arguments[1:])
            else:
                result = self._on_template(
                    arguments, *self._place(frame.start - frame.braces, position)
                )
            left = frame.braces - used
            if left >= 2:
                outer = _Frame(left, frame.start - used)
                outer.height = frame.height
                self._stack.append(outer)
                self._open_braces += 1
                left = 0
            self._add_result("{" * left + result, frame.height)
        if end > position:
            self._add_source("}")

    def _place(self, start: int, end: int) -> tuple[bool, bool]:
        """Whether the brackets between two positions begin a line, and whether they fill it."""
        text = self._text
        while start > 0 and text[start - 1] == " ":
            start -= 1
        begins = start == 0 or text[start - 1] in "\n}"
        if not begins:
            return False, False
        while end < len(text) and text[end] == " ":
            end += 1
        return True, end == len(text) or text[end] in "\n{"

    def _give_up_links(self) -> None:
        """Keeps the text of links that were opened in a template and never closed."""
        texts: list[str] = []
        height = 0
        while not self._stack[-1].braces:
            frame = self._stack.pop()
            texts.append("|".join(frame.take_arguments()))
            height = max(height, frame.height)
        if texts:
            self._add_result("".join(reversed(texts)), height)

    def _add_source(self, text: str) -> None:
        if self._stack:
            self._stack[-1].add_source(text)
        else:
            self._output.append(text)

    def _add_result(self, text: str, height: int) -> None:
        if not self._stack:
            self._output.append(text)
            return
        frame = self._stack[-1]
        frame.height = max(frame.height, height + 1)
        if frame.height >= _DEEPEST:
            raise TooDeepError(f"templates are nested more than {_DEEPEST} deep")
        if text:
            frame.arguments[-1].append(text)
