"""What a set can be answered with by a model that knows nothing: the control of an accuracy."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from animelm.evaluate.normalization import normalize
from animelm.evaluate.results import Result


def control_accuracy(results: Sequence[Result]) -> float | None:
    """The accuracy of the answer that is most often right, given to every question of a set.

    Sets that ask for yes or no, or whose questions share answers, are half answered that way. Of a
    multiple choice it is the accuracy of choosing by chance.

    Args:
        results: the answers of one model to one set; what they hold does not matter.

    Returns:
        0 to 1; None without questions.
    """
    questions = {(result.seed, result.id): result for result in results}.values()
    if not questions:
        return None
    choices = [result.choices for result in questions if result.choices]
    if choices:
        return fmean(1 / count for count in choices)
    counts = Counter(key for result in questions for key in set(map(normalize, result.keys)))
    return max(counts.values(), default=0) / len(questions)
