"""Losses and answers of a validation pass on the held-out sets."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from animelm.data.sources.qa import DIRECTIONS
from animelm.evaluate.comparison.outcomes import by_set, changes, count_outcomes
from animelm.evaluate.generate import Answer
from animelm.evaluate.metrics import answer_metrics
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Distractors

_LARGEST_EXPONENT = 700.0  # exp of more overflows

# TensorBoard opens the first two groups by name: the accuracies, with these, and train/….
LEARNED, LOST = "accuracy/learned/", "accuracy/lost/"

SumOverProcesses = Callable[[Tensor], Tensor]


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
            found[f"accuracy/{name}"] = found.pop(f"validation/{name}/accuracy")
            figures |= found
            for direction in DIRECTIONS:
                chosen = [answer for answer in answers if answer.record.direction == direction]
                prefix = f"validation_directions/{name}_{direction}"
                figures |= self._score(prefix, chosen, distractors, total)
        return figures

    def results(self, distractors: Distractors) -> list[Result]:
        """Every answer of this process, with its scores."""
        return [
            make_result("trained", answer, distractors.score(answer.output, answer.record), seed=0)
            for answers in self._answers.values()
            for answer in answers
        ]

    @property
    def question_sets(self) -> list[str]:
        """Names of the sets of questions, the same in all processes."""
        return list(self._answers)

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


def charted(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of a validation without those that are the same in all validations of a fit."""
    return {name: value for name, value in figures.items() if not name.endswith("/questions")}


def learned_and_lost(
    base: Iterable[Result],
    now: Sequence[Result],
    sets: Iterable[str],
    total: Callable[[Sequence[int]], Sequence[float]],
) -> dict[str, float]:
    """What was learned and lost since the base, as shares of the questions of each set.

    ``accuracy/learned/<set>``: questions that the base answered wrongly and the model rightly.
    ``accuracy/lost/<set>``: those that the base answered rightly and the model wrongly. The
    accuracy is the base's, plus the one, minus the other. Where the base knew nothing, nothing can
    be lost, and where it knew everything, nothing be learned: there is no such figure.

    Args:
        base: answers of the base; questions that it was not asked are left out.
        now: answers of the model.
        sets: names of the sets.
        total: sums numbers over all processes, each of which may have other questions of a set.
    """
    before = {(result.held_out_set, result.id): result for result in base}
    asked = [result for result in now if (result.held_out_set, result.id) in before]
    earlier = [before[result.held_out_set, result.id] for result in asked]
    found = by_set(changes(earlier, asked))
    figures = {}
    for name in sets:
        counts = count_outcomes(found.get(name, ()))
        gained, kept, lost, never = total([*counts.values()])
        questions = gained + kept + lost + never
        if gained + never:
            figures[f"{LEARNED}{name}"] = gained / questions
        if kept + lost:
            figures[f"{LOST}{name}"] = lost / questions
    return figures
