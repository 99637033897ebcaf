import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from animelm.data.held_out import DEFAULT_SPLIT, split_questions
from animelm.data.sources.qa import QARecord
from animelm.evaluate.evaluation_set import prepare_evaluation
from animelm.evaluate.settings import CompareSettings


@pytest.fixture
def records(make_record: Callable[..., QARecord]) -> list[QARecord]:
    """Four wordings of a question on each of twelve works."""
    return [
        make_record(
            id=f"{work}/{wording}",
            work=f"作品{work}",
            fact=f"作品{work}/protagonist",
            wording=f"protagonist/forward/{wording}",
            question=f"作品{work}の主人公は?{wording}",
        )
        for work in range(12)
        for wording in range(4)
    ]


@pytest.fixture
def settings(records: list[QARecord], tmp_path: Path) -> CompareSettings:
    path = tmp_path / "qa.jsonl"
    lines = (json.dumps(asdict(record), ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8")
    return CompareSettings(base="base", records=path, cache=tmp_path / "cache")


def test_the_questions_are_those_of_the_test_part_and_at_most_questions_per_set(
    records: list[QARecord], settings: CompareSettings, tokenizer: PreTrainedTokenizerBase
) -> None:
    held_out = split_questions(records, [], DEFAULT_SPLIT)
    evaluation = prepare_evaluation(settings, DEFAULT_SPLIT, tokenizer)
    assert evaluation.questions == held_out.test
    settings.questions_per_set = 2
    shortened = prepare_evaluation(settings, DEFAULT_SPLIT, tokenizer)
    assert {len(members) for members in shortened.questions.values()} == {2}
    for name, members in shortened.questions.items():
        assert set(members) <= set(held_out.test[name])
    assert shortened.steps == 4


def test_with_retrieval_the_article_on_the_work_precedes_the_question(
    settings: CompareSettings, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    for number in range(10):  # none on 作品10 and 作品11
        text = f"---\ntitle: 作品 {number}\n---\n本文その{number}。"
        (folder / f"{number:04d}.md").write_text(text, encoding="utf-8")
    settings.articles = folder
    evaluation = prepare_evaluation(settings, DEFAULT_SPLIT, tokenizer)

    def prompts(retrieval: bool) -> dict[str, str]:
        return {
            record.id: tokenizer.decode(row[mask.bool()])
            for name, asked in evaluation.questions.items()
            for batch in evaluation.question_batches(
                name, asked, evaluation.data.chat, "final", retrieval
            )
            for record, row, mask in zip(
                batch.records, batch.input_ids, batch.attention_mask, strict=True
            )
        }

    plain, retrieved = prompts(False), prompts(True)
    assert plain.keys() == retrieved.keys()
    with_article = 0
    for records in evaluation.questions.values():
        for record in records:
            number = record.work.removeprefix("作品")
            assert "本文" not in plain[record.id]
            if int(number) < 10:
                context = f"本文その{number}。\n\n{record.question}"
                expected = plain[record.id].replace(record.question, context)
                with_article += 1
            else:
                expected = plain[record.id]
            assert retrieved[record.id] == expected
    assert 0 < with_article < len(plain)
