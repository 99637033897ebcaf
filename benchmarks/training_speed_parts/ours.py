"""animelm as a user runs it: ``AdaptedLM`` under Lightning's Trainer, on packed documents."""

from collections.abc import Iterator
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from measuring.matrix_products import BareProducts

from animelm.data.batches.batch import Document, PackedBatch
from animelm.data.batches.packing import Piece, build_batch
from animelm.model.lora.adapters import LoraSettings
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ComputeSettings
from training_speed_parts.checkpoint import PAD_TOKEN_ID
from training_speed_parts.clock import StepClock
from training_speed_parts.documents import Documents, load_steps, token_count
from training_speed_parts.setting import ALPHA, RANK, Measured, Ours


class PackedSteps:
    """One packed block a step.

    The steps' sums of tokens differ by less than 1 %, so one block size fits all; what is left of
    it is padding, as at the end of the blocks of an ordinary run.
    """

    def __init__(self, steps: list[Documents]) -> None:
        self._steps = steps
        self._block_size = max(map(token_count, steps))

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[PackedBatch]:
        for step in self._steps:
            documents = [
                Document(ids.astype(np.int32), np.ones(len(ids), dtype=np.bool_), "document")
                for ids in step
            ]
            block = [Piece(index, 0, len(ids)) for index, ids in enumerate(step)]
            yield build_batch(documents, [block], self._block_size, PAD_TOKEN_ID)


class _Watch(Callback):
    """Feeds the clock; after the timed steps, times the bare products of each further step."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self.products: BareProducts | None = None
        self.step_seconds = self.product_seconds = 0.0
        self._begun = 0.0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: PackedBatch, batch_idx: int
    ) -> None:
        self.clock.losses.append(float(outputs["loss"]))
        self.clock.step_ended()
        if self.products is not None:
            self.step_seconds += self.clock.now() - self._begun
            self.product_seconds += self.products.run(batch.supervised_tokens)
        elif len(self.clock.marks) >= self.clock.total_steps:
            self.products = BareProducts(cast(AdaptedLM, pl_module).model, self.clock.now)
        self._begun = self.clock.now()


def run_ours(setting: Ours, clock: StepClock) -> Measured:
    """Trains in this process and returns what was measured."""
    clock.imports_ended()
    run = clock.run
    steps = load_steps(run.documents, clock.total_steps + setting.bare_steps)
    clock.tokens = list(map(token_count, steps))
    module = AdaptedLM(
        base=str(run.checkpoint),
        quantization=cast(Quantization, setting.quantization),
        lora=LoraSettings(RANK, ALPHA, dropout=0.0),
        compute=ComputeSettings(cast(ComputeType, setting.compute_type), compile_kernels=True),
        optimizer=OptimizerSettings(
            "adamw", run.learning_rate, beta2=0.99, warmup_share=0.0, final_share=1.0
        ),
    )
    watch = _Watch(clock)
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=len(steps),
        gradient_clip_val=1.0,
        callbacks=[watch],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    torch.manual_seed(0)
    trainer.fit(module, train_dataloaders=PackedSteps(steps))
    share = watch.product_seconds / watch.step_seconds if watch.step_seconds else None
    return clock.result(share)
