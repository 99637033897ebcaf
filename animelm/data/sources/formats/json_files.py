"""JSON files: a list of objects, one object a line, or objects one after another."""

import json
from collections.abc import Iterator
from pathlib import Path

from animelm.data.sources.formats.asked import Row
from animelm.errors import UserError
from animelm.reading import json_lines, read_utf8, require_characters

_BETWEEN = " \t\n,"


def json_rows(path: Path) -> Iterator[Row]:
    """The objects of a ``.json`` or ``.jsonl`` file, with the line that each begins on.

    Raises:
        UserError: not UTF-8, not JSON, or something else than objects.
    """
    text = read_utf8(path)
    if path.suffix.lower() == ".jsonl" and not text.lstrip().startswith("["):
        for number, values in json_lines(path):
            yield Row(f"{path}:{number}", f"on line {number}", values)
        return
    decoder, line, counted = json.JSONDecoder(), 1, 0
    in_list = text.lstrip().startswith("[")
    at = text.find("[") + 1 if in_list else 0
    while True:
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        if at == len(text):
            if in_list:
                raise UserError(f"{path}:{line}: not valid JSON: the list is not closed")
            return
        if in_list and text[at] == "]":
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except RecursionError as error:
            raise UserError(f"{path}:{line}: not valid JSON: nested too deeply") from error
        except ValueError as error:  # json's own errors, and integers of thousands of digits
            line, reason = getattr(error, "lineno", line), getattr(error, "msg", error)
            raise UserError(f"{path}:{line}: not valid JSON: {reason}") from error
        if "\\u" in text[at:end]:
            require_characters(json.dumps(value, ensure_ascii=False), f"{path}:{line}")
        if not isinstance(value, dict):
            raise UserError(f"{path}:{line}: expected a JSON object {{…}}")
        yield Row(f"{path}:{line}", f"on line {line}", value)
        at = end
    if text[at + 1 :].strip():
        raise UserError(f"{path}:{line}: not valid JSON: text follows the list")
