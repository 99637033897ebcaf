"""Validation, test and prediction steps of a model that is trained or evaluated."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import PackedBatch, QuestionBatch
from animelm.evaluate.generate import Answer, answer_questions
from animelm.evaluate.results import Result
from animelm.evaluate.scoring import Distractors
from animelm.model.architecture import CausalLM
from animelm.train.loggers.run_log import RunLog
from animelm.train.settings import GenerationSettings
from animelm.train.validation import LEARNED, LOST, HeldOutResults, charted, learned_and_lost


class HeldOutSteps(L.LightningModule):
    """Losses of held-out articles and answers to held-out questions, over all processes.

    Args:
        generation: how answers are generated.

    Attributes:
        model: None until it has been built.
        tokenizer: of the model.
        validation_results: this process's answers of the last validation.
        validation_figures: all figures of the last validation, by their names in the log.
        base_results: the base's answers of all processes, from which what was learned and lost is
            counted; empty if they are not known.
    """

    def __init__(self, generation: GenerationSettings) -> None:
        super().__init__()
        self.generation = generation
        self.model: PeftModel | CausalLM | None = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.validation_results: list[Result] = []
        self.validation_figures: dict[str, float] = {}
        self.base_results: list[Result] = []
        self._held_out = HeldOutResults(self.device)

    @abstractmethod
    def loss_sum(self, batch: PackedBatch) -> Tensor:
        """Sum of the token losses of a batch, in nats."""

    @abstractmethod
    def described(self) -> dict[str, str | int | float | bool]:
        """Settings of the run by name, for comparing it with others."""

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return cast(Tensor, self.trainer.strategy.reduce(values, reduce_op="sum"))

    def _sum_counts(self, counts: Sequence[int]) -> Sequence[float]:
        # float32 counts exactly up to 2**24 questions.
        summed = self._sum_over_processes(torch.tensor(counts, device=self.device).float())
        return cast(list[float], summed.tolist())

    def on_validation_epoch_start(self) -> None:
        self._held_out = HeldOutResults(self.device)

    def validation_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collects losses of held-out blocks, or answers to held-out questions."""
        if isinstance(batch, QuestionBatch):
            self._held_out.add_answers(batch.held_out_set, self.answers(batch))
        else:
            loss = float(self.loss_sum(batch))
            self._held_out.add_loss(batch.name, loss, batch.supervised_tokens)

    def on_validation_epoch_end(self) -> None:
        """Logs perplexity and scores of each held-out set, and what was learned and lost of it."""
        # Distractors are taken from all records of the data module, trained or not.
        datamodule = getattr(self.trainer, "datamodule", None)
        distractors = Distractors(list(getattr(datamodule, "records_for_scoring", [])))
        figures = self._held_out.figures(distractors, self._sum_over_processes)
        results = self._held_out.results(distractors)
        if self.base_results:
            sets = self._held_out.question_sets
            figures |= learned_and_lost(self.base_results, results, sets, self._sum_counts)
        fits = self.trainer.state.fn == TrainerFn.FITTING
        for name, value in figures.items():
            shown = name.startswith("accuracy/") and not name.startswith((LEARNED, LOST))
            # All processes have the same figures; sync_dist only keeps Lightning from warning.
            self.log(name, value, prog_bar=shown, logger=not fits, sync_dist=True)
        if fits and self.trainer.is_global_zero and not self.trainer.sanity_checking:
            # Lightning would log them at the step before, where no picture and no table is.
            RunLog(self.trainer.loggers).figures(charted(figures), self.global_step)
        self.validation_results, self.validation_figures = results, figures

    def answers(self, batch: QuestionBatch) -> list[Answer]:
        """Generates answers to a batch of questions."""
        model, tokenizer = cast(CausalLM, self.model), cast(PreTrainedTokenizerBase, self.tokenizer)
        return list(answer_questions(model, tokenizer, [batch], **asdict(self.generation)))

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(
        self, batch: QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[str]:
        """The generated answers of a batch of questions."""
        return [answer.output for answer in self.answers(batch)]
