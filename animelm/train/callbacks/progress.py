"""The progress bar in the terminal."""

import re
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.progress import BarColumn

_BAR_WIDTH = 10  # columns, which leaves about 20 of 80 for the fields

Fields = dict[str, int | str | float | dict[str, float]]


class TrainingProgressBar(RichProgressBar):
    """Lightning's Rich progress bar with the loss and, beside :class:`Throughput`, tokens/s.

    After a validation it shows the accuracy on each held-out set under the set's name.

    Args:
        refresh_rate: updates per second; 0 shows no bar.
        leave: keep the bar of an epoch in the terminal when the epoch has ended.
        theme: styles; ``metrics_text_delimiter`` separates the fields, by default by line breaks.
        console_kwargs: settings of Rich's console.
    """

    def __init__(
        self,
        refresh_rate: int = 100,
        leave: bool = False,
        theme: RichProgressBarTheme = RichProgressBarTheme(metrics_text_delimiter="\n"),  # noqa: B008 (never changed)
        console_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(refresh_rate, leave, theme, console_kwargs)

    @property
    def sanity_check_description(self) -> str:
        """What is asked before training is the base, see :class:`BaseFigures`."""
        return "Base"

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns, with a shorter bar that leaves room for the fields."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = _BAR_WIDTH
        return columns

    def _get_train_description(self, current_epoch: int) -> str:
        """Epochs counted from 1: Lightning would call the only one of a run 0/0."""
        last = self.trainer.max_epochs
        of_all = f"/{last}" if last is not None and last > 0 else ""
        # As long as the other bars' texts, or the bar would flicker.
        return f"Epoch {current_epoch + 1}{of_all}".ljust(len(self.validation_description))

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Fields:
        """The bar's fields: loss, tokens/s, and all other values logged with ``prog_bar=True``."""
        fields: Fields = {}
        logged = trainer.callback_metrics
        if "train/loss" in logged:
            fields["loss"] = logged["train/loss"].item()
        if "train/tokens_per_second" in logged:
            fields["tokens/s"] = f"{logged['train/tokens_per_second'].item():,.0f}"
        others = super().get_metrics(trainer, pl_module)
        for name in ("v_num", "train/loss", "train/loss_step", "train/tokens_per_second"):
            others.pop(name, None)
        return fields | {_short(name): value for name, value in others.items()}


def _short(name: str) -> str:
    """Shortens the name of an accuracy to its held-out set, to fit into 80 columns."""
    return re.sub(r"^accuracy/(.+)$", r"\1", name)
