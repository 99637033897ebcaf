import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from animelm.data.held_out import SplitSettings
from animelm.errors import UserError
from animelm.provenance.record import (
    RECORD_FILE,
    BaseRecord,
    DataRecord,
    TrainingStep,
    read_record,
    write_record,
)

BASE = BaseRecord("checkpoints/small", "c0", "w0", "t0")
ARTICLES = DataRecord("articles", "記事", "a0")
CPT = TrainingStep("cpt", "0.1.0", 12, BASE, (ARTICLES,), SplitSettings(0), {"rank": 16})
SFT = TrainingStep(
    "sft", "0.1.0", 3, BASE, (), SplitSettings(held_out_works=0.25), {}, "runs/cpt", "stack"
)


def test_a_record_is_read_as_it_was_written_with_the_steps_in_their_order(tmp_path: Path) -> None:
    write_record(tmp_path, [CPT, SFT])
    assert read_record(tmp_path) == (CPT, SFT)


def test_an_adapter_without_a_record_has_no_steps(tmp_path: Path) -> None:
    assert read_record(tmp_path) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": {}}, "steps must be a list of one step or more"),
        ({"steps": []}, "steps must be a list of one step or more"),
        ({"foo": 1}, "expected an object with schema and steps"),
        ({"schema": "1"}, "schema is '1'; expected 1"),
        ({"schema": True}, "schema is True; expected 1"),
        ({"schema": 9}, "schema is 9; expected 1"),
        ({"steps": ["sft"]}, r"steps\[0\]: expected an object, not str"),
    ],
)
def test_a_malformed_record_is_named_with_its_key(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    content = {"schema": 1, "steps": [asdict(CPT)]} | changed
    (tmp_path / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"{RECORD_FILE}: {message}"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"step": 3}, r"steps\[0\].step: expected str, found int"),
        ({"optimizer_steps": True}, r"steps\[0\].optimizer_steps: expected int, found bool"),
        ({"base": None}, r"steps\[0\].base: expected an object"),
        ({"class_path": "os.system"}, r"steps\[0\].class_path: is not a field"),
        ({"settings": {"rank": [1]}}, r"steps\[0\].settings.rank: expected a text, a number"),
        ({"split": {"seed": "1"}}, r"steps\[0\].split.seed: expected a number or null, found '1'"),
        ({"split": {"seed": 3.5}}, r"steps\[0\].split.seed: expected a whole number, found 3.5"),
        ({"split": {"class_path": 1}}, r"steps\[0\].split.class_path: is not a field"),
        ({"split": {"held_out_works": 3}}, "held_out_works must be at least 0"),
        (
            {"data": [{"role": "x", "path": "p", "sha256": "s"}]},
            r"steps\[0\].data\[0\].role: is 'x'; expected one of articles, general_articles",
        ),
    ],
)
def test_a_step_with_a_wrong_field_is_refused_by_name(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    content = {"schema": 1, "steps": [asdict(CPT) | changed]}
    (tmp_path / RECORD_FILE).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_record(tmp_path)


def test_a_record_that_is_no_json_is_named(tmp_path: Path) -> None:
    for text in ("{", "[" * 100_000):
        (tmp_path / RECORD_FILE).write_text(text)
        with pytest.raises(UserError, match=rf"{RECORD_FILE}: not valid JSON"):
            read_record(tmp_path)
