"""Losses and answers of a validation pass on the held-out sets."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from animelm.data.sources.qa import DIRECTIONS
from animelm.evaluate.generate import Answer
from animelm.evaluate.metrics import answer_metrics
from animelm.evaluate.scoring import Distractors

_NO_ANSWER = "(the final channel was not reached)"
_LARGEST_EXPONENT = 700.0  # exp of more overflows

SumOverProcesses = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ValidationAnswer:
    """One answered question, for the table of examples."""

    question: str
    output: str
    answers: tuple[str, ...]
    held_out_set: str
    exact: bool
    key_found: bool


class HeldOutResults:
    """Collects losses of held-out blocks and answers to held-out questions, by set.

    Every process has the same sets in the same order, each with a part of its blocks or questions,
    and all processes must ask for the figures at the same time.

    Args:
        device: where the process group can sum tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._losses: dict[str, tuple[float, int]] = {}
        self._answers: dict[str, list[Answer]] = {}

    def add_loss(self, name: str, loss: float, tokens: int) -> None:
        """Adds the token losses of a batch: their sum in nats, and their number."""
        before, counted = self._losses.get(name, (0.0, 0))
        self._losses[name] = (before + loss, counted + tokens)

    def add_answers(self, name: str, answers: list[Answer]) -> None:
        """Adds the answers to a batch of questions."""
        self._answers.setdefault(name, []).extend(answers)

    def figures(self, distractors: Distractors, total: SumOverProcesses) -> dict[str, float]:
        """All figures by the names under which they are logged.

        Args:
            distractors: distractors, for the scores of answers.
            total: sums a tensor over all processes.
        """
        return {**self.perplexities(total), **self.scores(distractors, total)}

    def perplexities(self, total: SumOverProcesses) -> dict[str, float]:
        """Mean token loss in nats, and perplexity, of each set of blocks."""
        figures = {}
        for name, sums in self._losses.items():
            loss, tokens = total(self._tensor(*sums)).tolist()
            mean = loss / tokens if tokens else math.nan
            figures[f"validation/{name}/loss"] = mean
            figures[f"validation/{name}/perplexity"] = math.exp(min(mean, _LARGEST_EXPONENT))
        return figures

    def scores(self, distractors: Distractors, total: SumOverProcesses) -> dict[str, float]:
        """Scores and number of questions of each set, and of each direction in it."""
        figures: dict[str, float] = {}
        for name, answers in self._answers.items():
            found = self._score(f"validation/{name}", answers, distractors, total)
            # TensorBoard sorts by name, and this is what one looks for first.
            found[f"accuracy/{name}"] = found.pop(f"validation/{name}/accuracy")
            figures |= found
            for direction in DIRECTIONS:
                chosen = [answer for answer in answers if answer.record.direction == direction]
                prefix = f"validation_directions/{name}_{direction}"
                figures |= self._score(prefix, chosen, distractors, total)
        return figures

    def examples(self, distractors: Distractors) -> list[ValidationAnswer]:
        """Every answer of this process, with its scores."""
        return [
            _validation_answer(answer, distractors)
            for answers in self._answers.values()
            for answer in answers
        ]

    def _score(
        self, prefix: str, answers: list[Answer], distractors: Distractors, total: SumOverProcesses
    ) -> dict[str, float]:
        # A process without such a question must still take part in the sums.
        questions = float(total(self._tensor(len(answers))))
        if not questions:
            return {}
        metrics: MetricCollection = answer_metrics(distractors).to(self._device)
        metrics.update([answer.output for answer in answers], [answer.record for answer in answers])
        values = {f"{prefix}/{name}": float(value) for name, value in metrics.compute().items()}
        return {**values, f"{prefix}/questions": questions}

    def _tensor(self, *values: float) -> Tensor:
        # MPS has no float64.
        dtype = torch.float32 if self._device.type == "mps" else torch.float64
        return torch.tensor(values, dtype=dtype, device=self._device)


def _validation_answer(answer: Answer, distractors: Distractors) -> ValidationAnswer:
    scores = distractors.score(answer.output, answer.record)
    record = answer.record
    return ValidationAnswer(
        record.question,
        answer.output if answer.reached_final else _NO_ANSWER,
        record.answers,
        answer.held_out_set,
        scores.exact_match == 1,
        scores.accuracy == 1,
    )
