"""The LightningModule: a 4-bit base with LoRA adapters, or a small base trained from scratch."""

import os
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.lora.adapters import LoraSettings
from animelm.model.lora.targets import TargetAudit
from animelm.model.loss import chunked_cross_entropy
from animelm.model.quantization.linear4bit import Quantization
from animelm.train.accumulation import TokenWeightedAccumulation
from animelm.train.build import BuiltModel, build_model
from animelm.train.checkpoints.files import AtomicCheckpointIO
from animelm.train.checkpoints.resume import (
    ResumedState,
    require_same_weights,
    save_process_states,
)
from animelm.train.checkpoints.setup import TrainingSetup, require_changeable
from animelm.train.finite import FiniteGuard, require_finite_weights
from animelm.train.held_out_steps import HeldOutSteps
from animelm.train.initial_adapter import AdapterSource
from animelm.train.optimizer import OptimizerSettings, configure_optimizer
from animelm.train.settings import (
    ComputeSettings,
    GenerationSettings,
    MemorySettings,
    ModelSettings,
)


class AdaptedLM(HeldOutSteps):
    """A 4-bit base with LoRA on attention and on every expert, or on a dense model's MLP.

    Args:
        base: Checkpoint folder or Hugging Face hub id of the base model.
        step_name: Name of this training step, such as cpt or sft, recorded in the adapter.
        quantization: nf4 stores attention and experts, or a dense model's MLP, in 4 bits.
            nf4-double also stores their scales in 8 bits, which saves 0.86 GiB for the 20B. mxfp4
            keeps the experts of a released gpt-oss exactly as they are. none quantizes nothing.
        lora: Shape and targets of the adapter.
        adapter: Earlier adapters that the run starts from or evaluates.
        optimizer: Optimizer and learning-rate schedule.
        memory: Ways to use less memory.
        compute: How products and elementwise formulas are computed.
        generation: How answers are generated in validation.
        from_scratch: Train all weights of a randomly initialized model instead of an adapter. This
            is how the embedded base is made; base then needs only config.json and the tokenizer.
        allowed_changes: Names of settings that may differ from those of the checkpoint that a run
            goes on from, such as trainer.max_epochs, or data for the content of the data.
    """

    def __init__(
        self,
        base: str,
        step_name: str = "cpt",
        quantization: Quantization = "nf4",
        lora: LoraSettings = LoraSettings(),  # noqa: B008 (all groups are frozen)
        adapter: AdapterSource = AdapterSource(),  # noqa: B008
        optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008
        memory: MemorySettings = MemorySettings(),  # noqa: B008
        compute: ComputeSettings = ComputeSettings(),  # noqa: B008
        generation: GenerationSettings = GenerationSettings(),  # noqa: B008
        from_scratch: bool = False,
        allowed_changes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(generation)
        self.settings = ModelSettings(
            base, quantization, lora, adapter, memory, compute, from_scratch
        )
        self.step_name, self.optimizer_settings = step_name, optimizer
        require_changeable(allowed_changes)
        self._allowed_changes = allowed_changes
        # Checkpoints hold only trained weights; the base is read again from its own files.
        self.strict_loading = False
        self.audit: TargetAudit | None = None
        self._built: BuiltModel | None = None
        self._accumulation = TokenWeightedAccumulation()
        self._resumed = ResumedState()
        self._guard = FiniteGuard()

    def setup(self, stage: str) -> None:
        """Checkpoint files are written atomically, unless the trainer has a plugin for them."""
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:
            strategy.checkpoint_io = AtomicCheckpointIO()

    def configure_model(self) -> None:
        """Builds the model once, as ``build_model`` says."""
        if self._built is None:
            self._built = build_model(self.settings, self.trainer, self.device_mesh)
            self.model, self.tokenizer = self._built.model, self._built.tokenizer
            self.audit = self._built.audit

    @property
    def _ready(self) -> BuiltModel:
        if self._built is None:
            raise RuntimeError("the model is loaded by configure_model, which has not run yet")
        return self._built

    def _trained(self) -> list[Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def loss_sum(self, batch: PackedBatch) -> Tensor:
        """Sum of the token losses of a batch, in nats."""
        hidden = packed_hidden_states(self._ready.model, batch.input_ids, batch.position_ids)
        head = self._ready.causal.lm_head.weight
        compiled = self.settings.compute.compile_kernels
        return chunked_cross_entropy(hidden, head, batch.targets, compiled)

    def training_step(self, batch: PackedBatch, batch_idx: int) -> Tensor:
        """The batch's part of the step's loss; logs the mean over the step's tokens so far."""
        if pretraining := self._ready.pretraining:
            pretraining.start_batch()
        total = self.loss_sum(batch)
        tokens = (batch.targets != IGNORED).sum().to(total.dtype)
        # Both in one copy, for which the host waits for the device.
        sums = self._sum_over_processes(torch.stack([total.detach(), tokens]))
        losses, supervised = sums.tolist()
        self._guard.check_loss(losses, batch, self.trainer)
        divisor = self._accumulation.add(losses, supervised)
        # As tensors of the host: Lightning would copy a number to the device, and wait for it.
        self.log("train/loss", torch.tensor(self._accumulation.mean_loss), prog_bar=True)
        # Gradients are averaged over processes, but every token must count the same, whichever
        # process and batch it is in.
        loss = total * self.trainer.world_size / divisor
        if pretraining:
            loss = loss + pretraining.balance_loss() * (supervised / divisor)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/learning_rate", torch.as_tensor(rate))
        # Lightning divides by the number of batches; the accumulation divides by their tokens.
        return loss * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Rescales accumulated gradients to the mean over all tokens, before clipping."""
        self._accumulation.finish(self._trained())

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips, and ends the run if a gradient is not finite."""
        self._guard.clip(optimizer, gradient_clip_val, gradient_clip_algorithm, self.trainer)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimizer, and a schedule over all steps of the run.

        Raises:
            UserError: the run has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        return configure_optimizer(self.parameters(), self.optimizer_settings, steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps only trained weights, and adds the state of all processes."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if name in trained}
        require_finite_weights(checkpoint["state_dict"])
        save_process_states(checkpoint, self._setup, self._accumulation, self._trained())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises a UserError if its weights or its setup differ from those of this run."""
        require_same_weights(checkpoint["state_dict"], dict(self.named_parameters()))
        trains = self.trainer.state.fn == TrainerFn.FITTING
        self._resumed.load(checkpoint, self._setup if trains else None)

    @cached_property
    def _setup(self) -> TrainingSetup:
        built, changes = self._ready, self._allowed_changes
        optimizer, dtype = self.optimizer_settings, built.causal.dtype
        return TrainingSetup.of(
            self.trainer, self.settings, optimizer, dtype, built.record, changes
        )

    def described(self) -> dict[str, str | int | float | bool]:
        """Settings of the run by name, without hashes of what they name."""
        setup = self._setup
        shares = getattr(getattr(self.trainer, "datamodule", None), "shares", None)
        values = {
            "model.base": self.settings.base,
            "model.step_name": self.step_name,
            "seed_everything": os.environ.get("PL_GLOBAL_SEED"),
            "blocks_per_step": setup.blocks_per_step,
            **setup.named_settings,
            "data.shares": None,
            **{f"data.shares.{n}": v for n, v in (asdict(shares) if shares else {}).items()},
        }
        return {name: v for name, v in values.items() if isinstance(v, str | int | float | bool)}

    def on_train_start(self) -> None:
        """Restores data position, random numbers and accumulated gradients of a resumed run."""
        loader = self.trainer.train_dataloader
        self._resumed.restore(loader, self.global_rank, self._accumulation, self._trained())

    def save_adapter(self, folder: Path, steps: int | None = None) -> None:
        """Writes what was trained in so many steps, as ``BuiltModel.save`` says."""
        writes = self.trainer.is_global_zero
        steps = self.trainer.global_step if steps is None else steps
        self._ready.save(folder, writes, steps, self.settings, self.step_name)
