"""Draws what was learned against what was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from animelm.evaluate.results import Result
from animelm.evaluate.summary import Summary, summarize_model
from animelm.report.page.accuracy import AccuracyExhibits
from animelm.report.page.exhibit import Exhibit
from animelm.report.page.texts import Language, Texts, load_texts
from animelm.report.pixels import to_pixels
from animelm.train.checkpoints.resume import gather_from_processes
from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.loggers.run_log import RunLog

_PIXELS_PER_INCH = 150
_SHOWN = 5  # validations beside the base


class LearnedAndLost(Callback):
    """Logs the report's pictures of accuracy after each validation of a fit.

    ``accuracy/trade_off``: accuracy on what is learned against accuracy on what is to be kept, a
    mark for the base and for each of the last validations. ``accuracy/sets``: accuracy of each
    held-out set. Both have 95 % intervals by work.

    Args:
        language: of the words in the pictures.
    """

    def __init__(self, language: Language = "en") -> None:
        self._texts = load_texts(language)
        self._validations: dict[int, list[Result]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validations = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fits = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if not (fits and isinstance(pl_module, HeldOutSteps)):
            return
        parts = gather_from_processes(pl_module.validation_results)
        answers = [result for part in parts for result in part]
        if not (answers and trainer.is_global_zero):
            return
        step = trainer.global_step
        self._validations[step] = answers
        while len(self._validations) > _SHOWN:
            del self._validations[next(iter(self._validations))]
        word = self._texts("training.step")
        models = {"base": pl_module.base_results} if pl_module.base_results else {}
        models |= {f"{word} {at}": results for at, results in self._validations.items()}
        log = RunLog(trainer.loggers)
        for exhibit in _exhibits(models, self._texts):
            if exhibit.figure is not None:
                pixels = to_pixels(exhibit.figure, exhibit.title, _PIXELS_PER_INCH)
                log.picture(f"accuracy/{exhibit.name.replace('-', '_')}", pixels, step)


def _exhibits(models: Mapping[str, Sequence[Result]], texts: Texts) -> list[Exhibit]:
    named = {
        name: [replace(result, model=name) for result in results]
        for name, results in models.items()
    }
    summaries = {name: summarize_model(results, 0, None, None) for name, results in named.items()}
    summary = Summary(summaries, {}, seconds=0.0)
    everything = [result for results in named.values() for result in results]
    return AccuracyExhibits(summary, everything, texts).overview()
