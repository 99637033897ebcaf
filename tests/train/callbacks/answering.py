"""A module that answers held-out questions without a language model, and a run of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.data.batches.batch import PackedBatch, QuestionBatch
from animelm.data.sources.qa import QARecord
from animelm.evaluate.generate import Answer
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Scores
from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.settings import GenerationSettings

WRONG, RIGHT = "知りません。", "レベッカ宮本です。"
ANIME, GENERAL = "anime_only_read", "general_rehearsed"


def record(number: int) -> QARecord:
    return QARecord(
        id=f"question {number}",
        work=f"work {number % 4}",
        fact=f"work {number % 4}/protagonist",
        direction="forward",
        wording="protagonist/forward/00",
        domain="anime",
        question=f"問{number}",
        answers=(RIGHT, "天才少女、レベッカ宮本です。"),
        keys=("レベッカ宮本",),
    )


def result(number: int, output: str) -> Result:
    """An answer to a question of ``ANIME``."""
    answer = Answer(record(number), ANIME, output, reached_end=True)
    right = float(output == RIGHT)
    return make_result("trained", answer, Scores(right, right, right, right), seed=0)


def questions(name: str, count: int) -> QuestionBatch:
    ids = torch.ones(count, 1, dtype=torch.long)
    return QuestionBatch(ids, ids, [record(number) for number in range(count)], name)


class Answering(HeldOutSteps):
    """The base knows only ``GENERAL``; trained, it knows ``ANIME``, and forgets a quarter.

    Attributes:
        bare: for each batch of questions, whether the adapters were disabled.
    """

    def __init__(self, model: torch.nn.Module | None = None) -> None:
        super().__init__(GenerationSettings())
        self.tiny, self.bare = TinyModule(model), []

    def answers(self, batch: QuestionBatch) -> list[Answer]:
        adapters = [part for part in self.modules() if hasattr(part, "lora_A")]
        self.bare.append(all(part.disable_adapters for part in adapters))
        base, general = self.trainer.sanity_checking, batch.held_out_set == GENERAL
        found = []
        for number, asked in enumerate(batch.records):
            right = general if base else not (general and number % 4 == 0)
            output = RIGHT if right else WRONG
            found.append(Answer(asked, batch.held_out_set, output, reached_end=True))
        return found

    def training_step(self, batch: PackedBatch, batch_idx: int) -> torch.Tensor:
        return self.tiny.model(input_ids=batch.input_ids).logits.float().mean()

    def loss_sum(self, batch: PackedBatch) -> torch.Tensor:
        return torch.zeros(())

    def described(self) -> dict[str, str | int | float | bool]:
        return {"model.lora.rank": 4, "model.base": "tiny"}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.tiny.configure_optimizers()


def fit(
    folder: Path,
    callbacks: Iterable[Callback],
    module: Answering | None = None,
    asked: Iterable[QuestionBatch] = (questions(ANIME, 8), questions(GENERAL, 8)),
    **settings: Any,
) -> tuple[pl.Trainer, Answering]:
    """Two steps, a validation after each, and one of the base before."""
    module = module or Answering()
    defaults = {"num_sanity_val_steps": -1, "val_check_interval": 1}
    trainer = make_trainer(folder, callbacks, **(defaults | settings))
    sets = [torch.utils.data.DataLoader([batch], batch_size=None) for batch in asked]
    trainer.fit(module, loader([make_batch(0), make_batch(1)]), sets)
    return trainer, module
