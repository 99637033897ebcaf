from collections.abc import Callable
from pathlib import Path

import pytest

from animelm.data.sources.qa import QARecord
from animelm.data.split import split_qa
from animelm.evaluate.evaluation_set import held_out_sets
from animelm.evaluate.settings import CompareSettings

Make = Callable[..., QARecord]


@pytest.fixture
def settings() -> CompareSettings:
    return CompareSettings(base="base", records=Path("qa.jsonl"), seed=1)


def _records(make_record: Make, domain: str, works: int) -> list[QARecord]:
    return [
        make_record(
            id=f"{domain}{work}/{wording}",
            work=f"{domain}{work}",
            fact=f"{domain}{work}/protagonist",
            wording=f"protagonist/forward/{wording}",
            domain=domain,
            question=f"{domain}{work}の主人公は?{wording}",
        )
        for work in range(works)
        for wording in range(4)
    ]


def test_the_sets_are_what_training_with_the_same_settings_holds_out(
    make_record: Make, settings: CompareSettings
) -> None:
    anime, general = _records(make_record, "anime", 8), _records(make_record, "general", 5)
    sets = held_out_sets(anime, general, settings)
    split = split_qa(anime, 0.25, 0.25, seed=1)
    assert sets["anime_unseen_wording"] == split.unseen_wording
    assert sets["anime_unseen_work"] == split.unseen_work
    assert {r.work for r in sets["general"]} == {f"general{i}" for i in range(5)}
    assert len(sets["general"]) == 5  # one wording of each subject, no subject held out


def test_a_question_that_is_trained_elsewhere_is_not_asked(
    make_record: Make, settings: CompareSettings
) -> None:
    anime = _records(make_record, "anime", 8)
    held_out = split_qa(anime, 0.25, 0.25, seed=1).unseen_wording[0]
    copy = make_record(id="copy", work="general", fact="general/x", question=held_out.question)
    assert held_out in held_out_sets(anime, [], settings)["anime_unseen_wording"]
    assert held_out not in held_out_sets(anime, [copy], settings)["anime_unseen_wording"]


def test_each_set_is_cut_to_questions_per_set(make_record: Make, settings: CompareSettings) -> None:
    settings.questions_per_set = 2
    anime, general = _records(make_record, "anime", 12), _records(make_record, "general", 5)
    assert {len(m) for m in held_out_sets(anime, general, settings).values()} == {2}
