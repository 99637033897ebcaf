import math
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.evaluate.bootstrap import bootstrap_interval, paired_difference, sign_flip_test

T_OF_14 = 2.1447867  # 97.5 % quantile with 14 degrees of freedom, from a table


def _by_hand(scores: list[float], works: list[str], resamples: int) -> tuple[float, float]:
    """The same bootstrap, written question by question."""
    rng = np.random.default_rng(7)
    names = sorted(set(works))
    means = []
    for _ in range(resamples):
        drawn = [
            score
            for name in rng.choice(names, size=len(names))
            for score, work in zip(scores, works, strict=True)
            if work == name
        ]
        means.append(np.mean(drawn))
    # Expanded as for Student's distribution: of 15 works, 1.2 % are left out on each side.
    tail = NormalDist().cdf(-math.sqrt(len(names) / (len(names) - 1)) * T_OF_14)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def test_interval_agrees_with_a_bootstrap_written_by_hand() -> None:
    rng = np.random.default_rng(0)
    works = [f"work{i}" for i in rng.integers(0, 15, size=120)]  # works of different sizes
    scores = [float(rng.random() < (0.9 if work > "work4" else 0.3)) for work in works]
    interval = bootstrap_interval(scores, works, resamples=4000)
    low, high = _by_hand(scores, works, resamples=2000)
    assert interval.mean == pytest.approx(np.mean(scores))
    assert interval.low == pytest.approx(low, abs=0.02)
    assert interval.high == pytest.approx(high, abs=0.02)


def test_questions_on_one_work_count_as_one_observation() -> None:
    """Ten works answered all or nothing: as uncertain as ten questions, not as a hundred."""
    scores = [float(work % 2) for work in range(10) for _ in range(10)]
    by_work = bootstrap_interval(scores, [str(i // 10) for i in range(100)])
    by_question = bootstrap_interval(scores, [str(i) for i in range(100)])
    assert by_work.high - by_work.low > 2.5 * (by_question.high - by_question.low)


def test_one_work_says_nothing_of_the_spread() -> None:
    interval = bootstrap_interval([1.0, 0.0], ["a", "a"])
    assert interval.mean == 0.5
    assert math.isnan(interval.low) and math.isnan(interval.high)


def test_works_that_are_all_answered_in_one_direction_leave_room_for_an_exception() -> None:
    """Forward right and reverse wrong in each of 80 works: every resample has the same mean."""
    works = [f"作品{i}" for i in range(80) for _ in range(2)]
    interval = bootstrap_interval([1.0, 0.0] * 80, works)
    assert interval.mean == 0.5
    assert (interval.low, interval.high) == (
        pytest.approx(0.4549, abs=1e-4),
        pytest.approx(0.5451, abs=1e-4),
    )


@pytest.mark.parametrize(("score", "low", "high"), [(0.0, 0.0, 0.0451), (1.0, 0.9549, 1.0)])
def test_equal_scores_leave_room_for_an_exception(score: float, low: float, high: float) -> None:
    works = [str(i % 80) for i in range(240)]
    interval = bootstrap_interval([score] * 240, works)
    assert interval.mean == score
    assert (interval.low, interval.high) == (
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )
    # Solved for: so seldom would none of 80 works be an exception.
    assert (1 - (high - low)) ** 80 == pytest.approx(0.025, abs=1e-4)


def test_equal_answers_of_two_models_leave_room_for_a_difference_either_way() -> None:
    works = [str(i) for i in range(80)]
    interval = paired_difference([1.0] * 80, [1.0] * 80, works)
    assert interval.mean == 0.0 and interval.high == -interval.low == pytest.approx(
        0.0451, abs=1e-4
    )


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([], [])
    with pytest.raises(ValueError, match="2 scores and 1 works"):
        bootstrap_interval([1.0, 0.0], ["a"])


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from("abcde")), min_size=1),
    st.randoms(use_true_random=False),
)
def test_interval_does_not_depend_on_the_order(pairs: list, random) -> None:
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    first, second = (
        bootstrap_interval([s for s, _ in rows], [w for _, w in rows], resamples=200)
        for rows in (pairs, shuffled)
    )
    assert str(first) == str(second)  # NaN is equal to itself here
    assert math.isnan(first.low) or 0 <= first.low <= first.high <= 1


def test_pairing_takes_the_difficulty_of_the_works_out() -> None:
    """A model better by about 0.1 on every work: clear when paired, though works differ more."""
    rng = np.random.default_rng(0)
    difficulty = np.repeat(rng.random(20) * 0.8, 5)
    works = [str(i // 5) for i in range(100)]
    gains = rng.normal(0.1, 0.01, size=100)
    better, worse = (difficulty + gains).tolist(), difficulty.tolist()
    difference = paired_difference(better, worse, works)
    assert 0.095 < difference.low < difference.high < 0.105
    unpaired = bootstrap_interval(better, works)
    assert unpaired.low < np.mean(worse)


def test_paired_models_must_have_answered_the_same_questions() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        paired_difference([1.0, 0.0], [1.0], ["a", "b"])


@pytest.mark.parametrize("works", [8, 20])
def test_intervals_of_clustered_answers_cover_what_they_promise(works: int) -> None:
    """Of 95 % intervals, 93 to 97 % hold the mean that the answers were drawn with."""
    rng = np.random.default_rng(works)
    runs, covered = 800, 0
    for run in range(runs):
        easy = rng.beta(2.4, 1.6, works)  # some works are known better than others
        members = np.repeat(np.arange(works), rng.integers(4, 10, works))
        scores = (rng.random(len(members)) < easy[members]).astype(float)
        interval = bootstrap_interval(scores, members, resamples=500, seed=run)
        covered += interval.low <= 0.6 <= interval.high
    assert 0.93 <= covered / runs <= 0.97


def test_the_sign_flip_test_counts_patterns_as_by_hand() -> None:
    works = ["a", "a", "b", "c", "d", "e"]
    differences = [1.0, 0.0, 1.0, 1.0, 0.0, -1.0]
    sums = (1, 1, 1, -1)  # by work; that of d is 0
    as_extreme = [
        abs(sum(sign * value for sign, value in zip(signs, sums, strict=True))) >= 2
        for signs in product((1, -1), repeat=4)
    ]
    assert sign_flip_test(differences, works) == pytest.approx(np.mean(as_extreme))


def test_many_questions_on_one_work_do_not_make_a_difference_certain() -> None:
    assert sign_flip_test([1.0] * 50, ["a"] * 50) == 1.0
    assert sign_flip_test([0.0] * 50, [str(i) for i in range(50)]) == 1.0
    assert sign_flip_test([1.0] * 50, [str(i) for i in range(50)]) < 0.001


def test_without_a_difference_the_sign_flip_test_is_seldom_significant() -> None:
    rng = np.random.default_rng(5)
    works = np.repeat(np.arange(12), 4)
    found = [
        sign_flip_test(rng.integers(-1, 2, 12)[works] * rng.random(48), works, 400, seed=run)
        for run in range(400)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.075
