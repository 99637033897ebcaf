"""Shows answers of the base and of the trained model beside the expected ones."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from animelm.evaluate.comparison.outcomes import changes
from animelm.evaluate.results import Result
from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.loggers.run_log import RunLog
from animelm.train.loggers.table import Cell, LogTable

_NO_ANSWER = "(the final channel was not reached)"


class QAExamples(Callback):
    """Logs a table of answers per held-out set after each validation.

    The name is ``answers/<held-out set>``. Questions are selected by their hash, so that the same
    ones are shown each time. If the base was asked before training, its answers stand beside them,
    and the outcome is what became of its knowledge: gained, kept, lost or never known.

    Args:
        examples_per_set: rows of each table.
        longest_text: number of characters after which a text is cut.
    """

    def __init__(self, examples_per_set: int = 20, longest_text: int = 300) -> None:
        self.examples_per_set = examples_per_set
        self.longest_text = longest_text

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        if not isinstance(pl_module, HeldOutSteps):
            return
        base = {(result.held_out_set, result.id): result for result in pl_module.base_results}
        sets: dict[str, list[Result]] = defaultdict(list)
        for result in pl_module.validation_results:
            sets[result.held_out_set].append(result)
        for name, results in sets.items():
            results.sort(key=lambda result: sha256(result.question.encode()).digest())
            table = answers_table(results[: self.examples_per_set], base, self.longest_text)
            RunLog(trainer.loggers).table(f"answers/{name}", table, trainer.global_step)


def answers_table(
    results: Iterable[Result], base: Mapping[tuple[str, str], Result], longest_text: int = 300
) -> LogTable:
    """A table with one row per answer, in which long texts are cut.

    Args:
        results: the answers.
        base: the base's answers by set and id; empty leaves their columns out.
        longest_text: number of characters after which a text is cut.
    """
    columns = ["question", "accepted", *(["base"] if base else []), "trained", "outcome"]
    rows = []
    for result in results:
        earlier = base.get((result.held_out_set, result.id))
        row: list[Cell] = [
            _cut(result.question, longest_text),
            [_cut(text, longest_text) for text in result.answers],
        ]
        if base:
            row.append(_answer(earlier, longest_text) if earlier else "")
        row += [_answer(result, longest_text), _outcome(earlier, result)]
        rows.append(row)
    return LogTable(columns, rows, ends_in_remark=True)


def _answer(result: Result, longest: int) -> str:
    return _cut(result.output if result.reached_final else _NO_ANSWER, longest)


def _outcome(earlier: Result | None, result: Result) -> str:
    """Gained, kept, lost or never known; without an answer of the base, right or wrong."""
    if earlier is None:
        return "right" if result.accuracy == 1 else "wrong"
    [change] = changes([earlier], [result])
    return change.outcome.replace("_", " ")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
