"""The progress bar in the terminal."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar


class TrainingProgressBar(RichProgressBar):
    """Lightning's Rich progress bar with the loss and, beside :class:`Throughput`, tokens/s."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The bar's fields: loss, tokens/s, and whatever else was logged with ``prog_bar=True``."""
        fields: dict[str, int | str | float | dict[str, float]] = {}
        logged = trainer.callback_metrics
        if "train/loss" in logged:
            fields["loss"] = logged["train/loss"].item()
        if "train/tokens_per_second" in logged:
            fields["tokens/s"] = f"{logged['train/tokens_per_second'].item():,.0f}"
        others = super().get_metrics(trainer, pl_module)
        for name in ("v_num", "train/loss", "train/loss_step", "train/tokens_per_second"):
            others.pop(name, None)
        return fields | others
