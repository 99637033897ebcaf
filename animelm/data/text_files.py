"""Reads text files of the user, with errors that name the place of a mistake."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from animelm.errors import UserError


def decode_utf8(content: bytes, path: Path) -> str:
    """Decodes the content of a file, without byte order mark and with ``\\n`` as line end.

    Raises:
        UserError: not UTF-8; the message names the file and the offset of the first invalid byte.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}; "
            "save the file as UTF-8"
        ) from error
    return plain_lines(text)


def plain_lines(text: str) -> str:
    """The text without a byte order mark at its begin, and with ``\n`` for every line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_utf8(path: Path) -> str:
    """Reads a UTF-8 file.

    Raises:
        UserError: not UTF-8, or it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_utf8(content, path)


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the line number and the JSON object of every line that is not empty.

    Raises:
        UserError: not UTF-8, or a line that is not a JSON object.
    """
    # Not splitlines(): JSON allows U+2028 and U+0085 inside a string.
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply")
            raise UserError(f"{path}:{number}: not valid JSON: {reason}") from error
        if not isinstance(value, dict):
            raise UserError(f"{path}:{number}: expected a JSON object {{…}}")
        yield number, value
