"""Keeps what ``predict`` generates."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info

from animelm.data.batch import QuestionBatch


class AnswerWriter(BasePredictionWriter):
    """Writes the answers of ``predict`` as JSON Lines: id, question, output, held_out_set.

    The file appears whole or not at all. With several processes each writes its own share.

    Args:
        path: the file; None: ``predictions.jsonl`` in the trainer's ``default_root_dir``.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(write_interval="batch")
        self.path = path
        self._lines: list[str] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._lines = []

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: QuestionBatch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for record, output in zip(batch.records, prediction, strict=True):
            line = {
                "id": record.id,
                "question": record.question,
                "output": output,
                "held_out_set": batch.held_out_set,
            }
            self._lines.append(json.dumps(line, ensure_ascii=False) + "\n")

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = self.path or Path(trainer.default_root_dir) / "predictions.jsonl"
        if trainer.world_size > 1:
            path = path.with_suffix(f".{trainer.global_rank}{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text("".join(self._lines), encoding="utf-8")
        os.replace(partial, path)
        rank_zero_info(f"{len(self._lines):,} answers written to {path}")
