import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from animelm.data.sources.qa import QARecord
from animelm.errors import UserError
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Scores
from animelm.evaluate.summary import (
    Summary,
    paired_differences,
    pool_summaries,
    read_summary,
    summarize_model,
    write_summary,
)

Make = Callable[..., QARecord]


def _results(make_record: Make, model: str, right: set[int]) -> list[Result]:
    """Eight questions on four works; those numbered in ``right`` are answered."""
    results = []
    for number in range(8):
        direction = "reverse" if number % 2 else "forward"
        record = make_record(id=str(number), work=f"作品{number // 2}", direction=direction)
        scores = Scores(float(number in right), 0.0, 0.5, float(number in right or number == 7))
        answer = Answer(record, "anime_unseen_wording", "", reached_end=True)
        results.append(make_result(model, answer, scores, seed=0))
    return results


def test_scores_are_means_per_set_and_direction(make_record: Make) -> None:
    results = _results(make_record, "sft", right={0, 2, 4, 5})
    model = summarize_model(results, 0, 12.5, None)
    scores = model.sets["anime_unseen_wording"]
    assert (scores.n, scores.works, scores.accuracy, scores.character_f1) == (8, 4, 0.5, 0.5)
    assert scores.ci95 is not None and 0 <= scores.ci95[0] < 0.5 < scores.ci95[1] <= 1
    assert scores.directions["forward"].accuracy == 0.75
    assert scores.directions["reverse"].accuracy == 0.25
    assert scores.directions["reverse"].n == 4
    assert (scores.loose_accuracy, scores.directions["reverse"].loose_accuracy) == (0.625, 0.5)
    assert (model.perplexity_anime, model.perplexity_general) == (12.5, None)


def test_a_set_without_questions_has_no_scores(make_record: Make) -> None:
    scores = summarize_model(_results(make_record, "sft", set()), 0, None, None).sets[
        "general_rehearsed"
    ]
    assert (scores.n, scores.works, scores.accuracy, scores.ci95) == (0, 0, None, None)
    assert scores.directions == {}


def test_summary_json_puts_the_sets_under_their_model(make_record: Make, tmp_path: Path) -> None:
    model = summarize_model(_results(make_record, "base", {1}), 0, float("inf"), None)
    path = tmp_path / "summary.json"
    write_summary(path, Summary({"base": model}, {}, 1.5, {"q_proj": 10}))
    written = json.loads(path.read_text(encoding="utf-8"))
    assert set(written["models"]["base"]) == {
        "anime_unseen_wording",
        "anime_only_read",
        "general_rehearsed",
        "general_unrehearsed",
        "perplexity_anime",
        "perplexity_general",
        "retrieval",
    }
    assert written["models"]["base"]["anime_unseen_wording"]["n"] == 8
    assert written["models"]["base"]["perplexity_anime"] is None  # JSON has no infinity
    assert written["trainable_parameters_per_target"] == {"q_proj": 10}
    assert written["seconds"] == 1.5


def test_differences_pair_every_later_model_with_every_earlier_one(make_record: Make) -> None:
    results = {
        "base": _results(make_record, "base", set()),
        "cpt": _results(make_record, "cpt", {0}),
        "sft": _results(make_record, "sft", set(range(8))),
    }
    differences = paired_differences(results, seed=0)
    assert list(differences) == ["cpt-base", "sft-base", "sft-cpt"]
    assert differences["sft-base"]["anime_unseen_wording"].accuracy == 1.0
    low, high = differences["sft-base"]["anime_unseen_wording"].ci95 or (1.0, 1.0)
    assert 0 < low < high == 1.0, "four works leave room for an exception"
    assert differences["sft-cpt"]["anime_unseen_wording"].accuracy == 7 / 8


def test_models_asked_different_questions_are_not_paired(make_record: Make) -> None:
    results = _results(make_record, "base", set())
    other = [replace(result, id=f"other-{result.id}") for result in results]
    with pytest.raises(ValueError, match="same questions"):
        paired_differences({"base": results, "cpt": other}, seed=0)


def _summary(make_record: Make, seed: int, anime: float | None) -> tuple[Summary, list[Result]]:
    results = {
        "base": _results(make_record, "base", set(range(seed))),
        "sft": _results(make_record, "sft", {0, 1, 2, 6}),
    }
    models = {name: summarize_model(rows, seed, anime, None) for name, rows in results.items()}
    summary = Summary(models, paired_differences(results, seed), 2.0, {"q_proj": 8}, (seed,))
    return summary, [result for rows in results.values() for result in rows]


def test_a_summary_is_read_as_it_was_written(make_record: Make, tmp_path: Path) -> None:
    summary, _ = _summary(make_record, 3, 12.5)
    write_summary(tmp_path / "summary.json", summary)
    assert read_summary(tmp_path / "summary.json") == summary


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"models": {"base": {}}}', '{"models": 3}'])
def test_a_file_that_is_no_summary_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"summary\.json: not (the summary of a comp|valid JSON)"):
        read_summary(path)
    with pytest.raises(UserError, match=r"nowhere\.json: cannot be read: No such file"):
        read_summary(tmp_path / "nowhere.json")


def test_seeds_are_pooled_over_all_answers(make_record: Make) -> None:
    summaries, results = zip(
        *(_summary(make_record, seed, anime) for seed, anime in ((2, 10.0), (6, 20.0))), strict=True
    )
    pooled = pool_summaries(summaries, [result for rows in results for result in rows])
    assert pooled.seeds == (2, 6)
    assert pooled.seconds == 4.0
    assert pooled.trainable_parameters_per_target == {"q_proj": 8}
    base = pooled.models["base"].sets["anime_unseen_wording"]
    # Both seeds ask about the same four works, which do not become eight.
    assert (base.n, base.works, base.accuracy) == (16, 4, 0.5)
    assert pooled.models["base"].perplexity_anime == 15.0
    assert pooled.models["base"].perplexity_general is None
    difference = pooled.differences["sft-base"]["anime_unseen_wording"]
    assert difference.accuracy == 0.0
    assert difference.ci95 is not None and difference.ci95[0] < 0 < difference.ci95[1]


def test_a_perplexity_that_one_seed_lacks_has_no_mean(make_record: Make) -> None:
    summaries, results = zip(
        *(_summary(make_record, seed, anime) for seed, anime in ((2, 10.0), (6, float("inf")))),
        strict=True,
    )
    pooled = pool_summaries(summaries, [result for rows in results for result in rows])
    assert pooled.models["base"].perplexity_anime is None


@pytest.mark.parametrize(
    "change",
    [{"seconds": "a"}, {"seconds": 1e999}, {"models": {}}, {"seeds": ["../x"]}, {"seeds": [None]}],
)
def test_values_of_other_types_are_refused(
    make_record: Make, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "summary.json"
    summary, _ = _summary(make_record, 0, None)
    path.write_text(json.dumps(summary.to_json() | change), encoding="utf-8")
    with pytest.raises(UserError, match=r"summary\.json: not the summary of a comparison"):
        read_summary(path)
