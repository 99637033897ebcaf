"""The LightningModule: a 4-bit base with LoRA adapters, or a small base trained whole."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from peft import PeftModel
from torch import Tensor
from torchmetrics import MetricCollection
from transformers import GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.batch import PackedBatch, QuestionBatch
from animelm.data.qa import QARecord
from animelm.evaluate.generate import Answer, answer_questions
from animelm.evaluate.metrics import answer_metrics
from animelm.evaluate.scoring import Rivals
from animelm.model.adapters import (
    DEFAULT_TARGETS,
    LoraSettings,
    TargetAudit,
    add_adapter,
    audit_targets,
    load_adapter,
    read_ancestry,
    save_adapter,
    stack_adapter,
)
from animelm.model.attention import packed_hidden_states
from animelm.model.checkpoint import initial_model, load_base, load_tokenizer, save_base
from animelm.model.loss import chunked_cross_entropy
from animelm.model.precision import ComputeType, choose_compute_dtype
from animelm.model.quantize import Quantization
from animelm.report.audit import print_audit
from animelm.train.balance import LoadBalance
from animelm.train.optimiser import OptimiserSettings, build_optimiser, build_schedule

_BALANCE_WEIGHT = 0.01


@dataclass(frozen=True)
class ValidationAnswer:
    """One answered question, for the table of examples."""

    question: str
    output: str
    answers: tuple[str, ...]
    held_out_set: str
    exact: bool
    key_found: bool


class AdaptedLM(L.LightningModule):
    """A gpt-oss base in 4 bits with LoRA on attention and on every expert.

    Args:
        base: Checkpoint folder or Hugging Face hub id of the base model.
        step_name: What this run is, written into the adapter's ancestry (cpt, sft, …).
        quantization: nf4 holds attention and experts in 4 bits; none leaves them as they are.
        target_modules: Projections that get an adapter. A name that matches nothing is an error.
        rank: Width r of LoRA's low-rank product.
        alpha: LoRA's update is scaled by alpha / rank.
        dropout: Share of an adapter's inputs that is zeroed in training.
        init_adapter: Folder of an adapter to start from, such as CPT's for SFT. Default: a fresh one.
        init_mode: continue trains the adapter of init_adapter further; stack freezes it and trains a
            second one on top.
        evaluated_adapter: Folder of the adapter that validate, test and predict load. Default: that of
            init_adapter.
        optimiser: Optimiser and learning-rate schedule.
        activation_checkpointing: Forget the activations inside each layer and compute them again in the
            backward pass: less memory, more time.
        compute_type: Type of the matrix products; auto measures which is faster on this machine.
        max_new_tokens: Longest answer in validation, in tokens.
        whole: Train all weights of a model with random weights instead: how the embedded base is made.
            ``base`` then needs only config.json and the tokenizer.
    """

    def __init__(
        self,
        base: str,
        step_name: str = "cpt",
        quantization: Quantization = "nf4",
        target_modules: list[str] = list(DEFAULT_TARGETS),  # noqa: B006 (shown by --help, never changed)
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.05,
        init_adapter: Path | None = None,
        init_mode: Literal["continue", "stack"] = "continue",
        evaluated_adapter: Path | None = None,
        optimiser: OptimiserSettings = OptimiserSettings(),  # noqa: B008 (frozen)
        activation_checkpointing: bool = False,
        compute_type: ComputeType = "auto",
        max_new_tokens: int = 64,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self.base = base
        self.step_name = step_name
        self.quantization: Quantization = quantization
        self.lora = LoraSettings(rank, alpha, dropout, tuple(target_modules))
        self.init_adapter = init_adapter
        self.init_mode = init_mode
        self.evaluated_adapter = evaluated_adapter
        self.optimiser_settings = optimiser
        self.activation_checkpointing = activation_checkpointing
        self.compute_type: ComputeType = compute_type
        self.max_new_tokens = max_new_tokens
        self.whole = whole
        # Checkpoints hold only what is trained; the base is read again from its own files.
        self.strict_loading = False
        self.model: PeftModel | GptOssForCausalLM | None = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.audit: TargetAudit | None = None
        self._balance: LoadBalance | None = None
        self.validation_answers: list[ValidationAnswer] = []
        self._answers: dict[str, list[Answer]] = {}

    def configure_model(self) -> None:
        """Loads the base and its adapters once; reports what is trained."""
        if self.model is not None:
            return
        self.tokenizer = load_tokenizer(self.base)
        if self.whole:
            self.model = initial_model(self.base, seed=torch.initial_seed() % 2**31)
            self._balance = LoadBalance(self.model, _BALANCE_WEIGHT)
        else:
            self.model = self._adapted_model()
            self.audit = audit_targets(self.model, self.lora.target_modules)
            if self.global_rank == 0:
                print_audit(self.audit)
        if self.activation_checkpointing:
            self._causal.gradient_checkpointing_enable({"use_reentrant": False})
        # Loading leaves the model in evaluation mode, in which dropout and checkpointing rest.
        self.model.train()

    def _adapted_model(self) -> PeftModel:
        dtype = choose_compute_dtype(self.compute_type, self.device.type)
        rank_zero_info(f"Base {self.base}: {self.quantization} weights, computing in {dtype}")
        base = load_base(self.base, self.quantization, dtype)
        if self.evaluated_adapter and self.trainer.state.fn != TrainerFn.FITTING:
            return load_adapter(base, self.evaluated_adapter, trainable=False)
        if self.init_adapter is None:
            return add_adapter(base, self.lora)
        if self.init_mode == "stack":
            return stack_adapter(base, self.init_adapter, self.lora)
        return load_adapter(base, self.init_adapter, trainable=True)

    @property
    def _causal(self) -> GptOssForCausalLM:
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def loss_sum(self, batch: PackedBatch) -> Tensor:
        """Sum of the token losses of a batch, in nats."""
        hidden = packed_hidden_states(self.model, batch.input_ids, batch.position_ids)
        return chunked_cross_entropy(hidden, self._causal.lm_head.weight, batch.targets)

    def training_step(self, batch: PackedBatch, batch_idx: int) -> Tensor:
        """Mean token loss over the supervised positions."""
        if self._balance:
            self._balance.begin()
        loss = self.loss_sum(batch) / max(1, batch.supervised_tokens)
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log("train/learning_rate", self.lr_schedulers().get_last_lr()[0])
        return loss if self._balance is None else loss + self._balance.loss()

    def on_validation_epoch_start(self) -> None:
        self._answers = {}
        self._losses: dict[str, tuple[float, int]] = {}

    def validation_step(self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collects losses of held-out blocks, or answers questions."""
        if isinstance(batch, QuestionBatch):
            answers = answer_questions(self.model, self.tokenizer, [batch], self.max_new_tokens)
            self._answers.setdefault(batch.held_out_set, []).extend(answers)
        else:
            loss, tokens = self._losses.get(batch.name, (0.0, 0))
            self._losses[batch.name] = (loss + float(self.loss_sum(batch)), tokens + batch.supervised_tokens)

    def on_validation_epoch_end(self) -> None:
        """Logs perplexity and answer scores of each held-out set."""
        for name, (loss, tokens) in self._losses.items():
            sums = self.all_gather(torch.tensor([loss, float(tokens)], dtype=torch.float64)).view(-1, 2).sum(0)
            mean = float(sums[0] / sums[1])
            self.log_dict({f"validation/{name}/loss": mean, f"validation/{name}/perplexity": math.exp(min(mean, 700))})
        rivals = Rivals(self._known_records())
        self.validation_answers = []
        for name, answers in self._answers.items():
            self._log_scores(f"validation/{name}", answers, rivals)
            for direction in ("forward", "reverse"):
                chosen = [answer for answer in answers if answer.record.direction == direction]
                if chosen:
                    self._log_scores(f"validation_directions/{name}_{direction}", chosen, rivals)
            self.validation_answers += [_validation_answer(answer, rivals) for answer in answers]

    def _log_scores(self, prefix: str, answers: list[Answer], rivals: Rivals) -> None:
        metrics: MetricCollection = answer_metrics(rivals).to(self.device)
        metrics.update([answer.output for answer in answers], [answer.record for answer in answers])
        for name, value in metrics.compute().items():
            self.log(f"{prefix}/{name}", value, prog_bar=name == "accuracy" and prefix.startswith("validation/"))
        self.log(f"{prefix}/questions", float(len(answers)), reduce_fx="sum")

    def _known_records(self) -> list[QARecord]:
        """All records of the data module, from which rival answers are known."""
        return list(getattr(self.trainer.datamodule, "records_for_scoring", []))

    def test_step(self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """As validation."""
        self.validation_step(batch, batch_idx, dataloader_idx)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: QuestionBatch, batch_idx: int, dataloader_idx: int = 0) -> list[str]:
        """The generated answers of a batch of questions."""
        return [a.output for a in answer_questions(self.model, self.tokenizer, [batch], self.max_new_tokens)]

    def configure_optimizers(self) -> dict[str, Any]:
        optimiser = build_optimiser(self.parameters(), self.optimiser_settings)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimiser, self.optimiser_settings, steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps only what is trained."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained}

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter as PEFT does, with its ancestry; a base trained whole is written as such."""
        if self.whole:
            save_base(self.model, folder)
            return
        ancestry = read_ancestry(self.init_adapter) if self.init_adapter else []
        step = {"step": self.step_name, "base": self.base, "optimiser_steps": str(self.trainer.global_step)}
        if self.init_adapter:
            step["init_adapter"], step["init_mode"] = str(self.init_adapter), self.init_mode
        save_adapter(self.model, folder, [*ancestry, step])


def _validation_answer(answer: Answer, rivals: Rivals) -> ValidationAnswer:
    scores = rivals.score(answer.output, answer.record)
    record = answer.record
    return ValidationAnswer(
        record.question, answer.output, record.answers, answer.held_out_set, scores.exact_match == 1, scores.accuracy == 1
    )
