import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from animelm.data.held_out import split_questions
from animelm.data.sources.qa import QARecord
from animelm.evaluate.evaluation_set import prepare_evaluation
from animelm.evaluate.settings import CompareSettings


def test_the_questions_are_those_held_out_and_at_most_questions_per_set(
    make_record: Callable[..., QARecord], tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    records = [
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
    path = tmp_path / "qa.jsonl"
    lines = (json.dumps(asdict(record), ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8")
    settings = CompareSettings(base="base", records=path, seed=1)
    held_out = split_questions(records, [], [], settings.split_settings).held_out
    assert prepare_evaluation(settings, tokenizer).questions == held_out
    settings.questions_per_set = 2
    shortened = prepare_evaluation(settings, tokenizer)
    assert {len(members) for members in shortened.questions.values()} == {2}
    assert all(set(shortened.questions[name]) <= set(held_out[name]) for name in held_out)
    assert shortened.steps == 4
