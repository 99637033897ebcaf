"""Ten losses of a fixed run, against those that were written down (tests/golden/README.md)."""

import json
import os
from pathlib import Path

import lightning as L
import pytest

from animelm.model.lora.adapters import LoraSettings
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ComputeSettings

GOLDEN = Path(__file__).parent.parent / "golden"


class Losses(L.Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.values.append(trainer.callback_metrics["train/loss"].item())


@pytest.mark.parametrize(
    ("name", "dropout"), [("cpt_losses.json", 0.1), ("cpt_losses_without_dropout.json", 0.0)]
)
def test_ten_steps_take_the_course_that_was_written_down(fit, batches, name, dropout) -> None:
    losses = Losses()
    # Two batches over and over, so that there is something to learn in ten steps.
    fit(
        batches(2) * 5,
        callbacks=[losses],
        # Matrices of 4,096 values and more have 8-bit optimizer states.
        lora=LoraSettings(rank=64, dropout=dropout),
        optimizer=OptimizerSettings(learning_rate=1e-2, warmup_share=0.1),
        trainer={"gradient_clip_val": 1.0},
    )
    if os.environ.get("WRITE_GOLDEN"):
        (GOLDEN / name).write_text(json.dumps(losses.values, indent=1) + "\n", encoding="utf-8")
    golden = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    assert golden[-1] < golden[0] - 0.5  # the run learns
    assert losses.values == pytest.approx(golden, rel=1e-4)


def test_grouped_products_take_the_same_course(fit, batches) -> None:
    """Sums in another order change the last bits, which ten steps with 8-bit states amplify."""
    losses = Losses()
    fit(
        batches(2) * 5,
        callbacks=[losses],
        lora=LoraSettings(rank=64, dropout=0.0),
        optimizer=OptimizerSettings(learning_rate=1e-2, warmup_share=0.1),
        compute=ComputeSettings("float32", expert_engine="grouped_mm"),
        trainer={"gradient_clip_val": 1.0},
    )
    golden = json.loads((GOLDEN / "cpt_losses_without_dropout.json").read_text(encoding="utf-8"))
    assert losses.values == pytest.approx(golden, rel=1e-3)
