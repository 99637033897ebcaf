from animelm.data.held_out import QUESTION_SETS
from animelm.evaluate.summary import MeanScores, ModelSummary, SetScores, Summary
from animelm.report.page.findings import (
    asked_sets,
    before_and_after_models,
    few_works,
    questions_in,
    smallest_p,
)

EMPTY = SetScores(0, None, None, None, 0, None, {})


def _model(works: dict[str, int], questions: int = 30, retrieval: bool = False) -> ModelSummary:
    forward = {"forward": MeanScores(questions, 0.5, 0.5, 0.5)}
    sets = {
        name: SetScores(questions, 0.5, 0.5, 0.5, count, (0.4, 0.6), forward)
        for name, count in works.items()
    }
    return ModelSummary({**dict.fromkeys(QUESTION_SETS, EMPTY), **sets}, retrieval=retrieval)


def _summary(**models: ModelSummary) -> Summary:
    return Summary(models, {}, 1.0)


def test_a_model_that_sees_the_right_article_is_not_what_training_led_to() -> None:
    works = {"anime_only_read": 9}
    summary = _summary(
        base=_model(works), sft=_model(works), searched=_model(works, retrieval=True)
    )
    assert before_and_after_models(summary) == ("base", "sft")
    assert before_and_after_models(_summary(base=_model(works))) is None


def test_sets_on_fewer_than_eight_works_are_few_and_say_which_p_they_can_reach() -> None:
    works = {"anime_only_read": 7, "general_rehearsed": 8, "own": 1, "anime_trained": 20}
    summary = _summary(base=_model(works))
    assert few_works(summary) == {"anime_only_read": 7, "own": 1}
    assert smallest_p(4) == 0.125
    assert asked_sets(summary)[0] == "anime_trained"


def test_a_question_that_two_adapters_answer_is_one_question() -> None:
    works = {"own": 5}
    summary = _summary(base=_model(works), seeds=_model(works, questions=60))
    assert questions_in(summary, "own") == 30
