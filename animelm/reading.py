"""Reads files of others within bounds: none may hang, fill the memory, or end in a traceback."""

import codecs
import json
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import yaml

from animelm.errors import UserError

MIB = 1 << 20
LONGEST_TEXT = 32 * MIB
"""Bytes of one article or one line. The longest articles of Wikipedia have about 2 MiB."""

_LARGEST_FILE = 128 * MIB  # of those that are read whole
_LONGEST_NUMBER = 400  # characters
_YAML_DEPTH = 100
_YAML_SIZE = MIB  # nodes and characters, counted again wherever an alias repeats them


def open_regular(path: Path) -> BufferedReader:
    """Opens a file for reading.

    Raises:
        UserError: it cannot be opened, or is a pipe, socket or device, which may never end.
    """
    try:
        mode = path.stat().st_mode  # before opening, which waits for a pipe's writer
        if stat.S_ISREG(mode):
            return path.open("rb")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {_reason(error)}") from error
    kind = "is a folder" if stat.S_ISDIR(mode) else "is a pipe or device"
    raise UserError(f"{path}: {kind}; expected a file")


def read_bytes(path: Path, limit: int = _LARGEST_FILE) -> bytes:
    """Reads a whole file.

    Args:
        path: the file.
        limit: its largest size in bytes.

    Raises:
        UserError: as ``open_regular``; or it is larger.
    """
    with open_regular(path) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {_reason(error)}") from error
    if len(content) > limit:
        raise UserError(f"{path}: larger than {limit // MIB} MiB; split it into several files")
    return content


def decode_utf8(content: bytes, path: Path) -> str:
    """Decodes the content of a file, without byte order mark and with ``\\n`` as line end.

    Raises:
        UserError: not UTF-8; the message names the file and the offset of the first invalid byte.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
            f"{_other_encoding(content)}; save the file as UTF-8"
        ) from error
    return plain_lines(text)


def _other_encoding(content: bytes) -> str:
    """What a text that is not UTF-8 seems to be, for a message."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ", it seems to be UTF-16"
    for encoding, name in (("shift_jis", "Shift-JIS"), ("euc_jp", "EUC-JP")):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return f", it seems to be {name}"
    return ""


def plain_lines(text: str) -> str:
    """The text without a byte order mark at its begin, and with ``\\n`` for every line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_utf8(path: Path, limit: int = _LARGEST_FILE) -> str:
    """Reads a UTF-8 file.

    Args:
        path: the file.
        limit: its largest size in bytes.

    Raises:
        UserError: as ``read_bytes`` and ``decode_utf8``.
    """
    return decode_utf8(read_bytes(path, limit), path)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: as ``read_utf8`` and ``parse_json``.
    """
    return parse_json(read_utf8(path), str(path))


def parse_json(text: str, where: str) -> Any:
    """Parses JSON.

    Args:
        text: the JSON.
        where: the file, and the line where there are several, for messages.

    Raises:
        UserError: not JSON, nested too deeply, a number of thousands of digits, or an escape for
            half a surrogate pair, which is no character.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise UserError(f"{where}: not valid JSON: nested too deeply") from error
    except ValueError as error:  # json's own errors, and integers of thousands of digits
        raise UserError(f"{where}: not valid JSON: {getattr(error, 'msg', error)}") from error
    if "\\u" in text:
        require_characters(json.dumps(value, ensure_ascii=False), where)
    return value


def require_characters(text: str, where: str) -> None:
    """Refuses halves of surrogate pairs, which no encoding can write.

    Args:
        text: any text.
        where: what holds it, for messages.

    Raises:
        UserError: the text holds one.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise UserError(
            f"{where}: holds {half}, half of a surrogate pair, which is no character; write the "
            "character itself"
        ) from error


def require_utf8_name(path: Path) -> Path:
    """The path; its name must be UTF-8, or what is trained would have no name.

    Raises:
        UserError: it is not, such as in an archive from a system that uses Shift-JIS.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path}: this name is not UTF-8; rename the file, such as with "
            "convmv -f shift_jis -t utf-8"
        ) from error
    return path


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the line number and the JSON object of every line that is not empty.

    Raises:
        UserError: not UTF-8, a line that is too long, or one that is not a JSON object.
    """
    for number, line in _lines(path):
        if line.strip():
            value = parse_json(line, f"{path}:{number}")
            if not isinstance(value, dict):
                raise UserError(f"{path}:{number}: expected a JSON object {{…}}")
            yield number, value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; one is in memory at a time.

    Not by ``splitlines``: JSON allows U+2028 and U+0085 inside a string.
    """
    number = offset = 0
    with open_regular(path) as file:
        while content := file.readline(LONGEST_TEXT + 1):
            if len(content) > LONGEST_TEXT:
                raise UserError(
                    f"{path}:{number + 1}: longer than {LONGEST_TEXT // MIB} MiB; expected a "
                    "record on each line"
                )
            try:
                text = content.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}: not UTF-8: byte 0x{content[error.start]:02x} at offset "
                    f"{offset + error.start}; save the file as UTF-8"
                ) from error
            offset += len(content)
            # A carriage return alone ends a line as well.
            for line in plain_lines(text).removesuffix("\n").split("\n"):
                number += 1
                yield number, line


class _PlainLoader(yaml.CSafeLoader):
    """Safe YAML, which also gives the line of a value that does not exist."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            # Reading takes a time that is quadratic in the number of digits.
            if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
                raise ValueError(f"a number of {len(node.value)} characters")
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
            problem = f"{error} (read as {kind}; a text needs quotes)"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def parse_yaml(text: str, where: str, what: str = "") -> Any:
    """Parses YAML into plain values.

    Args:
        text: the YAML.
        where: the file, for messages.
        what: what of the file it is, such as "front matter is ".

    Raises:
        UserError: not YAML, a value that does not exist such as the 45th of a month, nesting that
            is too deep, or aliases that repeat so much that it would fill the memory.
    """
    try:
        _require_bounded(text)
        return yaml.load(text, _PlainLoader)  # derived from the safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise UserError(f"{where}{line}: {what}not valid YAML: {problem}") from error


def require_bounded_option(argument: str) -> None:
    """Refuses an option whose value is YAML that would fill the memory; all else is left alone.

    Raises:
        UserError: it would.
    """
    option, _, value = argument.rpartition("=")
    try:
        _require_bounded(value)
    except _TooLarge as error:
        raise UserError(f"{option or 'an option'}: {error.problem}") from error
    except yaml.YAMLError:
        return


class _TooLarge(yaml.constructor.ConstructorError):
    """YAML that is refused before it is built."""


def _require_bounded(text: str) -> None:
    """Checks depth and size without building anything: aliases can double a value at each line."""
    if "*" not in text and len(text) < 1000:
        return
    open_sizes, anchors = [0], list[str | None]()
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, yaml.CSafeLoader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            open_sizes.append(1)
            anchors.append(anchor)
            if anchor:
                sizes.pop(anchor, None)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = open_sizes.pop(), anchors.pop()
            open_sizes[-1] += size
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            open_sizes[-1] += 1 + len(event.value)
            if anchor:
                sizes[anchor] = 1 + len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            if anchor in anchors:
                _refuse(event, "an alias inside of what it repeats")
            open_sizes[-1] += sizes.get(str(anchor), 1)
        if len(open_sizes) > _YAML_DEPTH:
            _refuse(event, f"nested more than {_YAML_DEPTH} deep")
        if open_sizes[-1] > _YAML_SIZE:
            _refuse(event, "its aliases repeat more than fits into memory")


def _refuse(event: Any, problem: str) -> None:
    raise _TooLarge(None, None, problem, event.start_mark)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
