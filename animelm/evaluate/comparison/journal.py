"""Answers that are kept while a comparison runs, so that a second run goes on where one stopped."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from animelm.errors import UserError
from animelm.evaluate.results import Result, parse_result, result_line
from animelm.files import write_errors_as_user_errors
from animelm.reading import json_lines, open_regular

JOURNAL = "answers.partial.jsonl"
_MEASURED = ("perplexity", "routers", "parameters")
_PART = 1 << 16  # bytes
Answered = tuple[str, int, str, str]
"""A question that a model has answered: model, run, set, id."""


class AnswerJournal:
    """A file to which answers are added as they come, and which is read when it exists.

    Its first line holds a hash of what decides the answers; another comparison does not go on with
    them. A line that a killed process left unfinished is dropped.

    Args:
        folder: of the comparison.
        identity: what decides the answers, as JSON values.

    Attributes:
        results: the answers that are known, by question.
        measured: what was measured on articles, by model and run.

    Raises:
        UserError: the folder holds unfinished answers of another comparison, or the file cannot be
            read or written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.results: dict[Answered, Result] = {}
        self.measured: dict[tuple[str, int], dict[str, Any]] = {}
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False, default=str)
        self._identity = hashlib.sha256(text.encode()).hexdigest()
        if self.path.exists():
            open_regular(self.path).close()
        with write_errors_as_user_errors(self.path):
            self._file = self.path.open("a+b")
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, results: Iterable[Result]) -> None:
        """Writes answers; they are on the disk when this returns."""
        added = list(results)
        self._write("".join(f"{result_line(result)}\n" for result in added))
        for result in added:
            self.results[_key(result)] = result

    def add_measured(self, model: str, run: int, values: dict[str, Any]) -> None:
        """Writes what was measured on articles."""
        line = {"model": model, "run": run, "measured": values}
        self._write(json.dumps(line, ensure_ascii=False) + "\n")
        self.measured[model, run] = values

    def finish(self) -> None:
        """Removes the file, once the results have been written."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        with write_errors_as_user_errors(self.path):
            self._file.write(text.encode("utf-8"))
            self._file.flush()
            os.fsync(self._file.fileno())

    def _read(self) -> None:
        self._drop_unfinished_line()
        lines = 0
        for lines, values in json_lines(self.path):
            self._read_line(f"{self.path}:{lines}", lines, values)
        if not lines:
            self._write(json.dumps({"comparison": self._identity}) + "\n")

    def _drop_unfinished_line(self) -> None:
        size = end = self._file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _PART)
            self._file.seek(begin)
            found = self._file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            self._file.truncate(end)

    def _read_line(self, where: str, number: int, values: dict[str, Any]) -> None:
        try:
            if number == 1:
                same = values["comparison"] == self._identity
            elif "measured" in values:
                measured = values["measured"]
                if not all(isinstance(measured[name], dict) for name in _MEASURED):
                    raise TypeError("values of other types")
                self.measured[values["model"], values["run"]] = measured
        except (KeyError, TypeError) as error:
            raise UserError(f"{where}: not a line that compare wrote; delete the file") from error
        if number == 1:
            if not same:
                raise UserError(
                    f"{self.path}: holds unfinished answers of a comparison with other models, "
                    "questions or settings; name another --output, or delete this file"
                )
        elif "measured" not in values:
            result = parse_result(where, values)
            self.results[_key(result)] = result


def _key(result: Result) -> Answered:
    return (result.model, result.run, result.held_out_set, result.id)
