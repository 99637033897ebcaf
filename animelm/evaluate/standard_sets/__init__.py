"""Published Japanese question sets from local files, in the form that compare asks them."""

from animelm.evaluate.standard_sets.question_set import QuestionSet
from animelm.evaluate.standard_sets.reading import STANDARD_SETS, read_standard_set

__all__ = ["STANDARD_SETS", "QuestionSet", "read_standard_set"]
