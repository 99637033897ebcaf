"""Saves the answers that ``predict`` generates."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info

from animelm.data.batches.batch import QuestionBatch
from animelm.errors import UserError
from animelm.files import make_folder, write_whole


class AnswerWriter(BasePredictionWriter):
    """Writes the answers of ``predict`` as JSON Lines: id, question, output, held_out_set.

    The file is written completely or not at all. With several processes each writes its own file.

    Args:
        path: the file; None writes ``predictions.jsonl`` in the trainer's ``default_root_dir``.

    Raises:
        UserError: no file can be written there; raised before the model is loaded.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(write_interval="batch")
        self.path = path
        self._lines: list[str] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage != "predict":
            return
        path = self._path(trainer)
        make_folder(path.parent, "the folder of AnswerWriter's path")
        if path.is_dir():
            raise UserError(f"AnswerWriter's path {path}: is a folder; expected a file's name")

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
        path = self._path(trainer)
        write_whole(path, "".join(self._lines))
        rank_zero_info(f"{len(self._lines):,} answers written to {path}")

    def _path(self, trainer: pl.Trainer) -> Path:
        path = self.path or Path(trainer.default_root_dir) / "predictions.jsonl"
        if trainer.world_size > 1:
            path = path.with_suffix(f".{trainer.global_rank}{path.suffix}")
        return path
