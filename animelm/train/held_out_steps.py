"""Validation, test and prediction steps of a model that is trained or evaluated."""

from abc import abstractmethod
from dataclasses import asdict
from typing import cast

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import PackedBatch, QuestionBatch
from animelm.evaluate.generate import Answer, answer_questions
from animelm.evaluate.scoring import Distractors
from animelm.model.architecture import CausalLM
from animelm.train.settings import GenerationSettings
from animelm.train.validation import HeldOutResults, ValidationAnswer


class HeldOutSteps(L.LightningModule):
    """Losses of held-out articles and answers to held-out questions, over all processes.

    Args:
        generation: how answers are generated.

    Attributes:
        model: None until it has been built.
        tokenizer: of the model.
        validation_answers: examples of the last validation.
    """

    def __init__(self, generation: GenerationSettings) -> None:
        super().__init__()
        self.generation = generation
        self.model: PeftModel | CausalLM | None = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.validation_answers: list[ValidationAnswer] = []
        self._held_out = HeldOutResults(self.device)

    @abstractmethod
    def loss_sum(self, batch: PackedBatch) -> Tensor:
        """Sum of the token losses of a batch, in nats."""

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return cast(Tensor, self.trainer.strategy.reduce(values, reduce_op="sum"))

    def on_validation_epoch_start(self) -> None:
        self._held_out = HeldOutResults(self.device)

    def validation_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collects losses of held-out blocks, or answers to held-out questions."""
        if isinstance(batch, QuestionBatch):
            self._held_out.add_answers(batch.held_out_set, self._answers(batch))
        else:
            loss = float(self.loss_sum(batch))
            self._held_out.add_loss(batch.name, loss, batch.supervised_tokens)

    def on_validation_epoch_end(self) -> None:
        """Logs perplexity and answer scores of each held-out set."""
        # Distractors are taken from all records of the data module, trained or not.
        datamodule = getattr(self.trainer, "datamodule", None)
        distractors = Distractors(list(getattr(datamodule, "records_for_scoring", [])))
        figures = self._held_out.figures(distractors, self._sum_over_processes)
        fits = self.trainer.state.fn == TrainerFn.FITTING
        for name, value in figures.items():
            shown = name.startswith("accuracy/")
            # In all validations of a fit their number is the same: a flat chart.
            logger = not (fits and name.endswith("/questions"))
            # All processes have the same figures; sync_dist only keeps Lightning from warning.
            self.log(name, value, prog_bar=shown, logger=logger, sync_dist=True)
        self.validation_answers = self._held_out.examples(distractors)

    def _answers(self, batch: QuestionBatch) -> list[Answer]:
        model, tokenizer = cast(CausalLM, self.model), cast(PreTrainedTokenizerBase, self.tokenizer)
        return list(answer_questions(model, tokenizer, [batch], **asdict(self.generation)))

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(
        self, batch: QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[str]:
        """The generated answers of a batch of questions."""
        return [answer.output for answer in self._answers(batch)]
