"""The scores as torchmetrics, which a trainer can sum over batches and processes."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from animelm.data.sources.qa import QARecord
from animelm.evaluate.scoring import Distractors, character_f1, exact_match


class MeanScore(Metric):
    """Mean over answers of a score from 0 to 1.

    ``compute`` returns a float32 scalar, NaN without answers; ``answers`` is their number.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    answers: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("answers", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, outputs: Sequence[str], records: Sequence[QARecord]) -> None:
        """Adds generated answers, with the records of their questions in the same order.

        Raises:
            ValueError: the two differ in length.
        """
        for output, record in zip(outputs, records, strict=True):
            self.total += self.score(output, record)
        self.answers += len(outputs)

    def compute(self) -> Tensor:
        return self.total / self.answers

    @abstractmethod
    def score(self, output: str, record: QARecord) -> float:
        """The score of one answer."""


class ExactMatch(MeanScore):
    """Share of outputs that equal an accepted answer after normalization."""

    def score(self, output: str, record: QARecord) -> float:
        return exact_match(output, record.answers)


class CharacterF1(MeanScore):
    """Mean of the best character F1."""

    def score(self, output: str, record: QARecord) -> float:
        return character_f1(output, record.answers)


class KeyAccuracy(MeanScore):
    """Share of outputs that give a key and name no distractor."""

    def __init__(self, distractors: Distractors) -> None:
        super().__init__()
        self.distractors = distractors

    def score(self, output: str, record: QARecord) -> float:
        return self.distractors.accuracy(output, record)


class LooseKeyAccuracy(KeyAccuracy):
    """``KeyAccuracy`` with more spellings that count as equal."""

    def score(self, output: str, record: QARecord) -> float:
        return self.distractors.loose_accuracy(output, record)


def answer_metrics(distractors: Distractors) -> MetricCollection:
    """``accuracy``, ``loose_accuracy``, ``exact_match`` and ``character_f1`` together."""
    return MetricCollection(
        {
            "accuracy": KeyAccuracy(distractors),
            "loose_accuracy": LooseKeyAccuracy(distractors),
            "exact_match": ExactMatch(),
            "character_f1": CharacterF1(),
        },
        compute_groups=False,
    )
