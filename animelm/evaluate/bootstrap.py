"""Confidence intervals and tests for questions that are not independent within a work.

Cluster bootstrap by work, and paired differences between models on the same questions: Miller,
"Adding Error Bars to Evals" (arXiv 2411.00640), sections 2.2 and 4.

Legend: Q questions, W works, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, permutation_test, t

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean and its percentile interval.

    Attributes:
        mean: mean over all questions, equally weighted.
        low: lower bound; NaN with fewer than two works, which give no estimate of the spread.
        high: upper bound; NaN likewise.
    """

    mean: float
    low: float
    high: float


def bootstrap_interval(
    scores: Sequence[float],
    works: Sequence[str],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Bootstraps the mean score, drawing whole works with replacement.

    The percentiles are expanded for a small number of works, which by themselves would be too
    narrow: the tail is Φ(-√(W / (W - 1)) · t) with t the quantile of Student's distribution with
    W - 1 degrees of freedom (Hesterberg, arXiv 1411.5279, section 5.2).

    Where the mean is the same in every work, it is in every resample, too, and the interval would
    be a point. It then reaches as far from the mean as the exact interval of Clopper and Pearson
    (Biometrika 26, 1934) does for as many works without an exception: to 0.045 for 80 works that
    are all answered wrongly.

    Args:
        scores: [Q] one per question.
        works: [Q] the work of each question.
        level: share of the resampled means inside the interval, between 0 and 1.
        resamples: number of resamples, R.
        seed: seed of the draw; the same seed gives the same interval.
        bounds: the lowest and the highest score there is.

    Raises:
        ValueError: there are no scores, or not as many works.
    """
    if not len(scores) or len(scores) != len(works):
        raise ValueError(
            f"{len(scores)} scores and {len(works)} works; expected the same number, at least one"
        )
    values = np.asarray(scores, dtype=np.float64)
    mean = float(values.mean())
    names, members = np.unique(np.asarray(works), return_inverse=True)
    if len(names) < 2:
        return Interval(mean, float("nan"), float("nan"))
    sums = np.bincount(members, weights=values)  # [W]
    counts = np.bincount(members)  # [W]
    if np.ptp(sums / counts) < _ROUNDING:
        reach = binomtest(0, len(names)).proportion_ci(level, method="exact").high
        low, high = np.clip([mean - reach, mean + reach], *bounds)
        return Interval(mean, float(low), float(high))
    share = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), share, size=resamples)  # [R, W]
    means = (draws @ sums) / (draws @ counts)  # [R]
    spread = np.sqrt(len(names) / (len(names) - 1)) * t.ppf((1 + level) / 2, len(names) - 1)
    tail = norm.cdf(-spread)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high))


def paired_difference(
    scores: Sequence[float],
    reference: Sequence[float],
    works: Sequence[str],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of ``scores - reference``, question by question [Q].

    The other parameters are those of ``bootstrap_interval``.

    Raises:
        ValueError: the two models did not answer the same number of questions.
    """
    if len(scores) != len(reference):
        raise ValueError(f"paired scores differ in number: {len(scores)} and {len(reference)}")
    differences = np.subtract(np.asarray(scores, float), np.asarray(reference, float))
    return bootstrap_interval(differences.tolist(), works, level, resamples, seed, (-1.0, 1.0))


def sign_flip_test(
    differences: Sequence[float], works: Sequence[str], resamples: int = 9999, seed: int = 0
) -> float:
    """Two-sided p-value of the hypothesis that two models answer equally well.

    If they do, each work's summed difference could as well have the other sign. All signs are
    tried, or ``resamples`` random ones where there are more (Fisher, The Design of Experiments,
    1935, section 21). Signs are flipped by work, so that the questions of one work count once.

    Args:
        differences: [Q] score of one model minus that of the other.
        works: [Q] the work of each question.
        resamples: largest number of sign patterns that are tried.
        seed: seed of the random patterns.

    Raises:
        ValueError: there are no differences, or not as many works.
    """
    if not len(differences) or len(differences) != len(works):
        raise ValueError(f"{len(differences)} differences and {len(works)} works")
    _, members = np.unique(np.asarray(works), return_inverse=True)
    sums = np.bincount(members, weights=np.asarray(differences, dtype=np.float64))  # [W]
    moved = sums[np.abs(sums) > _ROUNDING]  # the sign of 0 changes nothing
    if len(moved) < 2:
        return 1.0  # either sign of one work is as likely
    test = permutation_test(
        (moved,),
        lambda values, axis: values.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)
