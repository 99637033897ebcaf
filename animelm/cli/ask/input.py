"""Lines of questions, from a prompt or from a pipe, whatever they are encoded in."""

import codecs
import io
import re
import sys
from collections.abc import Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.output import create_output

from animelm.errors import UserError

_PROMPT = "質問> "
_LONGEST_LINE = 1 << 20  # bytes
_WIDE = {  # longest marks first: that of UTF-16 begins that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_JIS_ESCAPE = b"\x1b$"  # begins Japanese characters in ISO-2022-JP
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_ENCODINGS = ("cp932", "euc_jp")


def typed_lines() -> Iterator[bytes]:
    """Lines typed at a prompt with editing and history, until Ctrl-D; Ctrl-C clears the line."""
    session: PromptSession[str] = PromptSession(
        _PROMPT, output=create_output(stdout=sys.stdout, always_prefer_tty=True)
    )
    while True:
        try:
            # The bytes of a terminal that does not send UTF-8 come as surrogates.
            yield session.prompt().encode("utf-8", "surrogateescape")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def piped_lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """Lines of a stream that are not blank.

    Args:
        stream: the bytes; UTF-16 and UTF-32 are known by their byte order mark.

    Raises:
        UserError: a line is longer than a MiB.
    """
    begin = stream.peek(4)[:4]
    lines: Iterator[bytes] = iter(lambda: stream.readline(_LONGEST_LINE + 1), b"")
    wide = next((name for mark, name in _WIDE.items() if begin.startswith(mark)), None)
    if wide:
        text = io.TextIOWrapper(stream, encoding=wide, errors="replace")
        lines = (line.encode("utf-8", "replace") for line in iter(text.readline, ""))
    for line in lines:
        if len(line) > _LONGEST_LINE:
            raise UserError("a question is longer than 1 MiB; expected one a line")
        if line.strip():
            yield line


def question_of(line: bytes) -> str:
    """The question in a line, without spaces around it.

    Raises:
        UserError: it is in none of UTF-8, ISO-2022-JP, Shift_JIS and EUC-JP.
    """
    if _JIS_ESCAPE in line and (text := _decoded(line, "iso2022_jp")) is not None:
        return text.strip()
    if (text := _decoded(line, "utf-8-sig")) is not None:
        return text.strip()
    readings = [text for name in _ENCODINGS if (text := _decoded(line, name)) is not None]
    if not readings:
        raise UserError("not UTF-8, ISO-2022-JP, Shift_JIS or EUC-JP; save the questions as UTF-8")
    return min(readings, key=_half_width).strip()


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return None
    # Python's Shift_JIS reads bytes without a meaning as characters for private use.
    return None if _PRIVATE.search(text) else text


def _half_width(text: str) -> int:
    """The number of half-width katakana, as which EUC-JP reads in Shift_JIS."""
    return sum("\uff61" <= character <= "\uff9f" for character in text)
