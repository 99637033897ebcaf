from collections.abc import Callable

import pytest

from animelm.data.sources.qa import QARecord
from animelm.evaluate.metrics import CharacterF1, ExactMatch, answer_metrics
from animelm.evaluate.scoring import Distractors

Make = Callable[..., QARecord]
OUTPUTS = [
    "「鋼の錬金術師」の主人公はエドワード・エルリックです",
    "エドワードだよ",
    "ルフィ",
    "エドワードとルフィ",
]


def test_metrics_are_means_over_all_batches(make_record: Make) -> None:
    record = make_record()
    luffy = make_record(work="ONE PIECE", fact="ONE PIECE/protagonist", keys=("ルフィ",))
    metrics = answer_metrics(Distractors([record, luffy]))
    metrics.update(OUTPUTS[:1], [record])
    metrics.update(OUTPUTS[1:], [record] * 3)
    values = metrics.compute()
    assert values["accuracy"] == pytest.approx(2 / 4)
    assert values["exact_match"] == pytest.approx(1 / 4)
    assert 1 / 4 < values["character_f1"] < 1
    metrics.reset()
    metrics.update(OUTPUTS[2:3], [record])
    assert metrics.compute()["accuracy"] == 0


def test_states_of_two_processes_add_up(make_record: Make) -> None:
    first, second, whole = CharacterF1(), CharacterF1(), CharacterF1()
    first.update(OUTPUTS[:1], [make_record()])
    second.update(OUTPUTS[1:], [make_record()] * 3)
    whole.update(OUTPUTS, [make_record()] * 4)
    first.merge_state(second)
    assert first.compute() == pytest.approx(float(whole.compute()))
    assert first.answers == 4


def test_outputs_and_records_must_be_as_many(make_record: Make) -> None:
    with pytest.raises(ValueError, match="zip"):
        ExactMatch().update(OUTPUTS, [make_record()])
