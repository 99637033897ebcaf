"""The notes of a comparison: read again, and refused where others have changed them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from animelm.errors import UserError
from animelm.evaluate.comparison.journal import JOURNAL, AnswerJournal
from animelm.evaluate.results import Result

IDENTITY = {"models": ["a"]}
MEASURED = {"perplexity": {"anime_articles": 2.0}, "routers": {}, "parameters": {}}
RESULT = Result(
    "base", "anime_only_read", "1", "anime", "作品", "作品/author", "forward", "author/forward/00",
    "誰?", ("私",), ("私",), "私\u2028です", True, 1.0, 1.0, 1.0, 0,
)  # fmt: skip


def test_answers_and_measures_are_found_again(tmp_path: Path) -> None:
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        journal.add([RESULT])
        journal.add_measured("base", 0, MEASURED)
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        assert list(journal.results.values()) == [RESULT]
        assert journal.measured == {("base", 0): MEASURED}
        journal.finish()
    assert not journal.path.exists()


@pytest.mark.parametrize("rest", [b"{", b"x" * 100_000])
def test_a_line_that_was_not_finished_is_dropped(tmp_path: Path, rest: bytes) -> None:
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        journal.add([RESULT])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + rest)
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        assert len(journal.results) == 1
    assert journal.path.read_bytes() == whole


def test_notes_that_hold_no_whole_line_are_begun_again(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"{")
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        journal.add([RESULT])
    with AnswerJournal(tmp_path, IDENTITY) as journal:
        assert len(journal.results) == 1


def test_notes_of_another_comparison_are_refused(tmp_path: Path) -> None:
    AnswerJournal(tmp_path, IDENTITY).__exit__(None, None, None)
    with pytest.raises(UserError, match="unfinished answers of a comparison with other models"):
        AnswerJournal(tmp_path, {"models": ["b"]})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[" * 100_000, "2: not valid JSON: nested too deeply"),
        (b"\xff", "not UTF-8"),
        (b"[1]", "2: expected a JSON object"),
        (b'{"measured": 5, "model": "base", "run": 0}', "2: not a line that compare wrote"),
        (b'{"measured": {}, "model": "base", "run": 0}', "2: not a line that compare wrote"),
        (b'{"measured": {}, "model": [], "run": {}}', "2: not a line that compare wrote"),
        (b"{}", "2: schema_version is None"),
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    AnswerJournal(tmp_path, IDENTITY).__exit__(None, None, None)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(UserError, match=rf"{JOURNAL}.*{told}"):
        AnswerJournal(tmp_path, IDENTITY)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_notes_that_are_no_file_are_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / JOURNAL)
    with pytest.raises(UserError, match=rf"{JOURNAL}: is a .*; expected a file"):
        AnswerJournal(tmp_path, IDENTITY)
