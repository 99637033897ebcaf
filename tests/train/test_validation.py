import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from animelm.data.sources.qa import QARecord
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Distractors, Scores
from animelm.train.validation import HeldOutResults, learned_and_lost


def record(work: str, name: str, direction: str) -> QARecord:
    forward = direction == "forward"
    return QARecord(
        id=f"{work}/{direction}",
        work=work,
        fact=f"{work}/protagonist",
        direction=direction,
        wording=f"protagonist/{direction}/00",
        domain="anime",
        question=f"{work}の主人公は?" if forward else f"{name}が主人公の作品は?",
        answers=(f"{name}です。",) if forward else (f"{work}です。",),
        keys=(name,) if forward else (work,),
    )


RECORDS = [
    record(work, name, direction)
    for work, name in (("どろろ", "百鬼丸"), ("銀魂", "坂田銀時"))
    for direction in ("forward", "reverse")
]


def answered(output: str, asked: QARecord) -> Answer:
    return Answer(asked, "unseen_wording", output, True)


def alone(values: torch.Tensor) -> torch.Tensor:
    return values


@pytest.fixture
def held_out() -> HeldOutResults:
    return HeldOutResults(torch.device("cpu"))


def test_perplexity_is_taken_over_all_tokens_of_a_set(held_out: HeldOutResults) -> None:
    held_out.add_loss("articles", 10.0, 4)
    held_out.add_loss("replay", 8.0, 8)
    held_out.add_loss("articles", 2.0, 2)
    figures = held_out.perplexities(alone)
    assert figures["validation/articles/loss"] == pytest.approx(2.0)
    assert figures["validation/articles/perplexity"] == pytest.approx(math.exp(2))
    assert figures["validation/replay/perplexity"] == pytest.approx(math.e)


def test_perplexity_sums_over_processes(held_out: HeldOutResults) -> None:
    held_out.add_loss("articles", 10.0, 4)
    other = torch.tensor([2.0, 2.0], dtype=torch.float64)
    figures = held_out.perplexities(lambda values: values + other)
    assert figures["validation/articles/loss"] == pytest.approx(2.0)


def test_scores_stand_per_set_and_per_direction(held_out: HeldOutResults) -> None:
    outputs = [
        "百鬼丸です。",
        "銀魂です。",
        "坂田銀時です。",
        "どろろです。",
    ]  # right, wrong, right, wrong
    answers = [answered(output, asked) for output, asked in zip(outputs, RECORDS, strict=True)]
    held_out.add_answers("unseen_wording", answers[:2])
    held_out.add_answers("unseen_wording", answers[2:])
    figures = held_out.scores(Distractors(RECORDS), alone)
    assert figures["accuracy/unseen_wording"] == pytest.approx(0.5)
    assert figures["validation/unseen_wording/questions"] == 4
    directions = "validation_directions/unseen_wording"
    assert figures[f"{directions}_forward/accuracy"] == pytest.approx(1.0)
    assert figures[f"{directions}_forward/exact_match"] == pytest.approx(1.0)
    assert figures[f"{directions}_reverse/accuracy"] == pytest.approx(0.0)
    assert figures[f"{directions}_reverse/questions"] == 2


def test_a_direction_that_nobody_asks_has_no_score(held_out: HeldOutResults) -> None:
    held_out.add_answers("general", [answered("百鬼丸です。", RECORDS[0])])
    assert not [name for name in held_out.scores(Distractors(RECORDS), alone) if "reverse" in name]


def test_every_process_takes_part_in_the_sum_of_each_direction(held_out: HeldOutResults) -> None:
    """One that has no such question would leave the others waiting."""
    sums = []

    def total(values: torch.Tensor) -> torch.Tensor:
        sums.append(values.clone())
        return values

    held_out.add_answers("general", [answered("百鬼丸です。", RECORDS[0])])
    held_out.scores(Distractors(RECORDS), total)
    assert [value.item() for value in sums] == [1, 1, 0]


def test_a_direction_that_only_another_process_asks_is_scored_here_too(
    held_out: HeldOutResults,
) -> None:
    held_out.add_answers("general", [answered("百鬼丸です。", RECORDS[0])])
    figures = held_out.scores(Distractors(RECORDS), lambda values: values + 1)
    assert figures["validation_directions/general_reverse/questions"] == 1
    assert "validation_directions/general_reverse/accuracy" in figures


def test_results_tell_which_answers_were_right(held_out: HeldOutResults) -> None:
    answers = [answered("百鬼丸が主人公です。", RECORDS[0]), answered("知りません。", RECORDS[2])]
    held_out.add_answers("unseen_wording", answers)
    right, wrong = held_out.results(Distractors(RECORDS))
    assert (right.accuracy, right.exact_match) == (1, 0)
    assert (wrong.accuracy, wrong.exact_match) == (0, 0)
    assert right.question == RECORDS[0].question
    assert right.held_out_set == "unseen_wording"


def test_an_answer_that_was_never_begun_is_wrong_and_marked(held_out: HeldOutResults) -> None:
    unbegun = Answer(RECORDS[0], "general", "", reached_end=False, reached_final=False)
    held_out.add_answers("general", [unbegun])
    distractors = Distractors(RECORDS)
    scores = held_out.scores(distractors, alone)
    for name in (
        "accuracy/general",
        "validation/general/loose_accuracy",
        "validation/general/exact_match",
    ):
        assert scores[name] == 0
    assert scores["validation/general/character_f1"] == 0
    [result] = held_out.results(distractors)
    assert not (result.reached_final or result.accuracy)


def scored(rights: str, name: str = "general") -> list[Result]:
    """Answers to as many questions; a 1 is a right one."""
    scores = [Scores(float(right), float(right), 0.0, 0.0) for right in rights]
    records = [replace(RECORDS[0], id=str(number)) for number in range(len(rights))]
    return [
        make_result("m", Answer(asked, name, "", True), score, seed=0)
        for asked, score in zip(records, scores, strict=True)
    ]


def figures_of(base: str, now: str, total: Callable = lambda counts: counts) -> dict[str, float]:
    return learned_and_lost(scored(base), scored(now), ["general"], total)


def test_learned_and_lost_are_shares_of_all_questions_of_a_set() -> None:
    figures = figures_of("0000111111", "0011011110")
    assert figures == {"accuracy/learned/general": 0.2, "accuracy/lost/general": 0.2}
    # The same accuracy hides them.
    assert figures_of("01", "10") == {"accuracy/learned/general": 0.5, "accuracy/lost/general": 0.5}


def test_where_nothing_can_be_learned_or_lost_there_is_no_figure() -> None:
    assert figures_of("000", "001") == {"accuracy/learned/general": pytest.approx(1 / 3)}
    assert figures_of("111", "001") == {"accuracy/lost/general": pytest.approx(2 / 3)}


def test_what_the_base_was_not_asked_is_left_out() -> None:
    assert figures_of("10", "0110") == {
        "accuracy/learned/general": 0.5,
        "accuracy/lost/general": 0.5,
    }
    assert learned_and_lost([], scored("01"), ["general"], lambda counts: counts) == {}


def test_counts_of_all_processes_are_summed() -> None:
    """The other one has two questions more, of which it lost one."""
    other = [0, 1, 1, 0]
    both = figures_of(
        "01", "11", lambda counts: [a + b for a, b in zip(counts, other, strict=True)]
    )
    assert both == {"accuracy/learned/general": 0.25, "accuracy/lost/general": 0.25}
    assert learned_and_lost([], [], ["general"], lambda counts: other) == {
        "accuracy/lost/general": 0.5
    }
