import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from animelm.data.sources.qa import QARecord
from animelm.errors import UserError
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result, read_results, write_results
from animelm.evaluate.scoring import Scores


@pytest.fixture
def result(make_record: Callable[..., QARecord]) -> Result:
    # U+2028 ends a line to many a reader, but not in JSON Lines.
    answer = Answer(make_record(), "general", "エド\u2028ワード\n", reached_end=True)
    return make_result("sft", answer, Scores(1.0, 0.0, 0.25, 1.0), seed=3)


def test_results_come_back_as_written(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "results.jsonl"
    results = [result, replace(result, id="2", model="base", reached_end=False)]
    write_results(path, results)
    assert read_results(path) == results
    assert [p.name for p in path.parent.iterdir()] == ["results.jsonl"]
    assert json.loads(path.read_text(encoding="utf-8").split("\n")[0])["schema_version"] == 1


def test_an_answer_that_was_never_begun_is_marked(
    tmp_path: Path, make_record: Callable[..., QARecord]
) -> None:
    answer = Answer(make_record(), "general", "", reached_end=False, reached_final=False)
    path = tmp_path / "results.jsonl"
    write_results(path, [make_result("base", answer, Scores(0.0, 0.0, 0.0, 0.0), seed=3)])
    assert not read_results(path)[0].reached_final


def test_results_written_before_that_mark_was_are_read(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [result])
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["reached_final"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert read_results(path) == [result]


def test_results_that_json_cannot_hold_leave_the_old_file(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [result])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_results(path, [replace(result, accuracy=float("nan"))])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": None}, "key 'output' is None; expected str"),
        ({"reached_end": 1}, "key 'reached_end' is 1; expected bool"),
        ({"accuracy": "high"}, "key 'accuracy' is 'high'; expected float"),
        ({"seed": True}, "key 'seed' is True; expected int"),
        ({"keys": ["エド", 1]}, "expected list of strings"),
        ({"schema_version": 2}, "schema_version is 2; expected 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_line_and_key(
    tmp_path: Path, result: Result, change: dict, message: str
) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [result])
    good = path.read_text(encoding="utf-8")
    path.write_text(good + json.dumps({**json.loads(good), **change}) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message) as raised:
        read_results(path)
    assert f"{path}:2" in str(raised.value)


def test_a_missing_key_is_named(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "results.jsonl"
    write_results(path, [result])
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["wording"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match="key 'wording' is missing"):
        read_results(path)
