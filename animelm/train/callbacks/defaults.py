"""The callbacks that every run has, unless its config gives others."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar

from animelm.errors import UserError
from animelm.train.callbacks.adapter_checkpoint import AdapterCheckpoint
from animelm.train.callbacks.answer_writer import AnswerWriter
from animelm.train.callbacks.held_out.base_figures import BaseFigures
from animelm.train.callbacks.held_out.learned_and_lost import LearnedAndLost
from animelm.train.callbacks.held_out.run_description import RunDescription
from animelm.train.callbacks.progress import TrainingProgressBar
from animelm.train.callbacks.qa_examples import QAExamples
from animelm.train.callbacks.router.statistics import RouterStatistics
from animelm.train.callbacks.run_checkpoint import RunCheckpoint
from animelm.train.callbacks.stop_on_signal import StopOnSignal
from animelm.train.callbacks.throughput import Throughput
from animelm.train.stop_signals import StopSignals


@dataclass(frozen=True)
class Periods:
    """How often the default callbacks act; one in trainer.callbacks replaces that of its class.

    Args:
        checkpoint: Number of optimizer steps after which a checkpoint and the adapter are written,
            beside the checkpoints of each epoch and of checkpoints.minutes. By default the adapter
            is written at the end of training.
        router_statistics: Number of optimizer steps after which router statistics are logged.

    Raises:
        UserError: a period is below 1.
    """

    checkpoint: int | None = None
    router_statistics: int = 50

    def __post_init__(self) -> None:
        for name, steps in (
            ("checkpoint", self.checkpoint),
            ("router_statistics", self.router_statistics),
        ):
            if steps is not None and steps < 1:
                raise UserError(f"every_n_steps.{name} is {steps}; expected 1 or more steps")


@dataclass(frozen=True)
class CheckpointSettings:
    """Checkpoints of the run beside those at the end of each epoch.

    Args:
        minutes: Minutes of training after which one is written. null for none.
        keep_last: Number of checkpoints that are kept.
    """

    minutes: float | None = 10
    keep_last: int = 2


def with_default_callbacks(
    given: Sequence[Callback],
    periods: Periods,
    checkpoints: CheckpointSettings,
    progress_bar: bool,
    checkpointing: bool,
    signals: StopSignals,
) -> list[Callback]:
    """Adds the default callbacks to those of a config.

    The defaults are a progress bar, throughput, router statistics, the base's figures, pictures and
    examples of what is learned and lost, the run's settings, a writer of predictions, the
    checkpoints of run and adapter, and an orderly end at a signal. A given
    callback replaces the default one of the same class; all other given callbacks are added.

    Args:
        given: the config's ``trainer.callbacks``.
        periods: of the default callbacks.
        checkpoints: of the run.
        progress_bar: the trainer's ``enable_progress_bar``; without it there is none by default.
        checkpointing: its ``enable_checkpointing``; without it Lightning writes no checkpoint.
        signals: that end the run in order.
    """
    steps = periods.checkpoint
    defaults: list[Callback] = [
        Throughput(),
        RouterStatistics(every_n_steps=periods.router_statistics),
        BaseFigures(),
        RunDescription(),
        LearnedAndLost(),
        QAExamples(),
        AnswerWriter(),
        AdapterCheckpoint(every_n_steps=steps),
    ]
    if progress_bar:
        defaults.insert(0, TrainingProgressBar())
    if checkpointing:
        defaults.append(RunCheckpoint(steps, checkpoints.minutes, checkpoints.keep_last))
    kept = [d for d in defaults if not any(_replaces(g, d) for g in given)]
    # Lightning moves those that write checkpoints behind all others.
    return [*kept, *given, StopOnSignal(signals)]


def _replaces(given: Callback, default: Callback) -> bool:
    # Lightning accepts only one progress bar, of whatever class, and a config's own checkpoints
    # are of Lightning's class.
    kinds = [kind for kind in (ProgressBar, ModelCheckpoint) if isinstance(default, kind)]
    return isinstance(given, (*kinds, type(default)))
