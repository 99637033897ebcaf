"""What reaches a terminal: text of others must not move its cursor or rename its window.

Titles, file names, column names and values of settings may hold control sequences. Everything that
is printed goes through ``say``, ``say_json`` or ``Terminal``, and what libraries log through
``plain_messages``.
"""

import errno
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters except tab and line feed, marks of writing direction, line separators, halves
# of surrogate pairs, and invisible tags.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)

# Packages that warn of what a user can change; the place in their code says nothing to a user.
_FOR_USERS = frozenset(("animelm", "lightning"))


def printable(text: str) -> str:
    """The text with U+FFFD for every character that a terminal would obey instead of show."""
    return _CONTROL.sub("\ufffd", text)


def say(text: object, stream: TextIO | None = None) -> None:
    """Prints a line.

    Args:
        text: the line.
        stream: where to; None for the standard output.
    """
    target = sys.stdout if stream is None else stream
    line = printable(str(text))
    encoding = getattr(target, "encoding", None) or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), file=target, flush=True)


def say_json(values: Any, indent: int | None = None) -> None:
    """Prints a value as JSON, with ``\\u`` escapes for what ``printable`` would replace."""
    text = json.dumps(values, ensure_ascii=False, indent=indent)
    escaped = _CONTROL.sub(lambda found: json.dumps(found[0])[1:-1], text)
    print(escaped, flush=True)


def show_every_character() -> None:
    """Makes both output streams show ``?`` for what their encoding lacks, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class Terminal(Console):
    """A console whose texts cannot control the terminal; its own styles still can."""

    def on_broken_pipe(self) -> None:
        """Raises the error, instead of an exit without a message."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable, with ``printable`` texts."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text), style)


@contextmanager
def plain_messages() -> Iterator[None]:
    """Makes log records and warnings ``printable`` for as long as the context lasts.

    A warning for users, of animelm or Lightning, is one line without a place in the code.
    """
    make_record, format_warning = logging.getLogRecordFactory(), warnings.formatwarning

    def plain_record(*arguments: Any, **settings: Any) -> logging.LogRecord:
        record = make_record(*arguments, **settings)
        with suppress(TypeError, ValueError):  # wrong arguments, which logging itself reports
            record.msg, record.args = printable(record.getMessage()), None
        return record

    def plain_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if issubclass(category, UserWarning) and _FOR_USERS.intersection(Path(filename).parts):
            return printable(f"warning: {message}\n")
        return printable(format_warning(message, category, filename, lineno, line))

    logging.setLogRecordFactory(plain_record)
    warnings.formatwarning = plain_warning
    try:
        yield
    finally:
        logging.setLogRecordFactory(make_record)
        warnings.formatwarning = format_warning
