import json
from dataclasses import replace
from pathlib import Path

import pytest

from animelm.data.held_out import DEFAULT_SPLIT
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.scoring import Distractors
from animelm.export.questions import CheckQuestions, check_records
from animelm.export.stock.measuring import Measured
from animelm.provenance.fingerprints import record_data
from animelm.provenance.record import BaseRecord, TrainingStep

ADAPTER = Path("runs/sft/adapter")


@pytest.fixture(scope="module")
def chat(tiny_base: str) -> ChatFormat:
    return ChatFormat(load_tokenizer(tiny_base))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Questions on eight works, each fact in four wordings."""
    lines = [
        {
            "id": f"{work}/{wording}",
            "work": f"作品{work}",
            "fact": f"作品{work}/protagonist",
            "direction": "forward",
            "wording": f"{wording}",
            "domain": "anime",
            "question": f"作品{work}の主人公は?{wording}",
            "answers": [f"主人公{work}です。"],
            "keys": [f"主人公{work}"],
        }
        for work in range(8)
        for wording in range(4)
    ]
    path = tmp_path / "qa.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def step(records: Path) -> TrainingStep:
    data = (record_data("questions", records),)
    return TrainingStep("sft", "0.1.0", 1, BaseRecord("b", "c", "w", "t"), data, DEFAULT_SPLIT)


def test_the_questions_are_those_that_the_record_holds_out(chat: ChatFormat, records: Path) -> None:
    found, distractors = check_records(ADAPTER, [step(records)], None, chat, 500)
    asked = {record.id for record in found}
    assert 0 < len(asked) < 16  # a quarter of the wordings, and of the works
    assert distractors.of(found[0])  # from all questions, also trained ones
    fewer, _ = check_records(ADAPTER, [step(records)], None, chat, 3)
    assert len(fewer) == 3 and {record.id for record in fewer} < asked


def test_a_file_of_questions_is_taken_instead(chat: ChatFormat, questions: Path) -> None:
    found, _ = check_records(ADAPTER, [], questions, chat, 500)
    assert len(found) == 4


def test_recorded_data_that_changed_or_are_gone_are_one_message(
    chat: ChatFormat, records: Path
) -> None:
    trained = step(records)
    with pytest.raises(UserError, match=r"its record names no questions .*--verify"):
        check_records(ADAPTER, [replace(trained, data=())], None, chat, 500)
    records.write_text(records.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="was trained on the questions of"):
        check_records(ADAPTER, [trained], None, chat, 500)
    records.unlink()
    with pytest.raises(UserError, match=r"qa\.jsonl: is not here, .*--verify"):
        check_records(ADAPTER, [trained], None, chat, 500)


def test_token_ids_and_texts_of_replies_are_scored_alike(chat: ChatFormat) -> None:
    record = QARecord("1", "w", "w/p", "forward", "0", "anime", "誰?", ("太郎です。",), ("太郎",))
    asked = CheckQuestions([record], Distractors([record]), chat, "final", 1, 8)
    assert asked.questions.answers[0][-1] == chat.end_token_id
    reply = [*chat.encode_text("太郎です。"), chat.end_token_id]
    from_tokens = asked.score(Measured([reply], [0.5], []))
    assert (from_tokens.outputs, from_tokens.accuracy, from_tokens.loss) == (
        ("太郎です。",),
        1,
        0.5,
    )
    assert asked.score(Measured(["太郎です。"], [], [])).outputs == ("太郎です。",)
