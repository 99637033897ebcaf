"""Builds the model of a run, ready to be trained or evaluated, and writes what was trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from peft import PeftModel
from torch.distributed.device_mesh import DeviceMesh
from transformers import GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.model.checkpoint.load import load_base, load_config
from animelm.model.compile import compile_norms, require_compiler
from animelm.model.embedding_offload import keep_embeddings_on_cpu
from animelm.model.fused.layers import fuse_layers, problem_with_fused_layers
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import save_adapter
from animelm.model.lora.targets import TargetAudit, audit_targets
from animelm.model.moe.engines import choose_engine
from animelm.model.moe.experts import compile_swiglu, use_expert_engine
from animelm.model.precision import choose_compute_dtype
from animelm.report.audit import print_audit
from animelm.train.adapter_record import RunRecord, check_run
from animelm.train.finite import require_finite_weights
from animelm.train.fsdp.sharding import shard_layers, whole_adapter
from animelm.train.pretrain import Pretraining
from animelm.train.settings import ModelSettings


@dataclass(frozen=True)
class BuiltModel:
    """A model and what belongs to it.

    Attributes:
        model: a base with adapters, or a base that is trained from scratch.
        tokenizer: of the base.
        audit: trainable parameters per target; None for an adapter that is only evaluated and for
            a base that is trained from scratch.
        record: what the run trains on; None for a base that is trained from scratch.
        pretraining: of a base that is trained from scratch; None for adapters.
    """

    model: PeftModel | CausalLM
    tokenizer: PreTrainedTokenizerBase
    audit: TargetAudit | None = None
    record: RunRecord | None = None
    pretraining: Pretraining | None = None

    @property
    def causal(self) -> CausalLM:
        """The base itself; its linear layers hold the adapters."""
        model = self.model
        return cast(CausalLM, model.get_base_model() if isinstance(model, PeftModel) else model)

    def save(
        self, folder: Path, writes: bool, steps: int, settings: ModelSettings, step_name: str
    ) -> None:
        """Writes the adapter as PEFT does, with its record; or the base trained from scratch.

        Args:
            folder: where to write.
            writes: whether this process writes; all processes must call it together.
            steps: optimizer steps that were taken.
            settings: of the model.
            step_name: name of the run, such as sft.

        Raises:
            UserError: a trained weight is not finite.
        """
        if self.pretraining:
            require_finite_weights(dict(self.model.named_parameters()))
            if writes:
                self.pretraining.save(folder)
            return
        model = cast(PeftModel, self.model)
        weights = whole_adapter(model)
        require_finite_weights(weights)
        if writes:
            save_adapter(model, folder, weights)
            cast(RunRecord, self.record).write(folder, step_name, steps, settings)


def build_model(settings: ModelSettings, trainer: L.Trainer, mesh: DeviceMesh | None) -> BuiltModel:
    """Loads the base and its adapters, or initializes a base; reports what is trained.

    Args:
        settings: of the model.
        trainer: that will run it.
        mesh: processes that share the model; None if each process has all of it.

    Raises:
        UserError: settings exclude each other, the base or an adapter is missing or does not fit,
            or a target matches nothing.
    """
    _require_supported(settings, trainer, sharded=mesh is not None)
    tokenizer = load_tokenizer(settings.base)
    check_vocabulary(tokenizer, settings.base)
    # A base is read and packed on the CPU, and moved when it is complete. Lightning has made the
    # trainer's device the default one for new tensors.
    with torch.device("cpu"):
        if settings.from_scratch:
            pretraining = Pretraining(settings.base)
            built = BuiltModel(pretraining.model, tokenizer, pretraining=pretraining)
        else:
            built = _load_adapted(settings, trainer, tokenizer)
    _prepare(built, settings, mesh)
    # Loading leaves the model in evaluation mode, without dropout and activation checkpointing.
    built.model.train()
    return built


def _require_supported(settings: ModelSettings, trainer: L.Trainer, sharded: bool) -> None:
    """Checks settings that exclude each other, before anything is loaded."""
    if trainer.precision != "32-true":
        raise UserError(
            f"trainer.precision is {trainer.precision}; leave it at 32-true and choose the type of "
            "the matrix products with --model.compute.dtype"
        )
    if settings.from_scratch and sharded:
        raise UserError(
            "model.from_scratch trains all weights, which cannot be sharded; use strategy/ddp.yaml"
        )
    if settings.memory.embeddings_on_cpu and (settings.from_scratch or sharded):
        raise UserError(
            "model.memory.embeddings_on_cpu keeps the embeddings frozen and whole on each process; "
            "it can be combined neither with model.from_scratch, which trains them, nor with "
            "strategy/fsdp2.yaml, which shards them"
        )
    if settings.compute.compile_kernels:
        require_compiler(trainer.strategy.root_device)


def _load_adapted(
    settings: ModelSettings, trainer: L.Trainer, tokenizer: PreTrainedTokenizerBase
) -> BuiltModel:
    trains = trainer.state.fn == TrainerFn.FITTING
    source = settings.adapter.for_training() if trains else settings.adapter
    source.require_folder()
    record = check_run(settings, trainer)
    dtype = _compute_dtype(settings, trainer)
    rank_zero_info(f"Base {settings.base}: {settings.quantization} weights, computing in {dtype}")
    base = load_base(settings.base, settings.quantization, dtype)
    _choose_expert_engine(base, settings, trainer, dtype)
    _fuse_layers(base, settings, trainer, dtype)
    if settings.memory.embeddings_on_cpu:
        keep_embeddings_on_cpu(base)
    if not trains:
        rank_zero_info(f"Evaluating {source.folder or 'the base model without an adapter'}")
    model = source.load_onto(base, settings.lora)
    if source.evaluate is not None:
        return BuiltModel(model, tokenizer, record=record)
    audit = audit_targets(model, settings.lora.target_modules)
    if trains and trainer.is_global_zero:
        print_audit(audit)
    return BuiltModel(model, tokenizer, audit, record)


def _choose_expert_engine(
    base: CausalLM, settings: ModelSettings, trainer: L.Trainer, dtype: torch.dtype
) -> None:
    if not isinstance(base, GptOssForCausalLM):
        return
    widths = (base.config.hidden_size, base.config.intermediate_size)
    choice = choose_engine(
        settings.compute.expert_engine,
        trainer.strategy.root_device,
        dtype,
        widths,
        settings.compute.experts_at_once or None,
    )
    rank_zero_info(str(choice))
    use_expert_engine(base, choice.engine)


def _fuse_layers(
    base: CausalLM, settings: ModelSettings, trainer: L.Trainer, dtype: torch.dtype
) -> None:
    device = trainer.strategy.root_device
    if device.type == "cpu" or not settings.compute.fused_layers:
        return
    problem = problem_with_fused_layers(base, device, dtype)
    if problem is None:
        fuse_layers(base)
    outcome = "take one operation each" if problem is None else f"are not fused: {problem}"
    rank_zero_info(f"Norms, rotary embedding and attention {outcome}")


def _compute_dtype(settings: ModelSettings, trainer: L.Trainer) -> torch.dtype:
    """The type of the matrix products, the same on all processes."""
    config = load_config(settings.base)
    # Not the module's device, which is the CPU until the model has been moved.
    device = trainer.strategy.root_device.type
    dtype = choose_compute_dtype(
        settings.compute.dtype, device, config.hidden_size, config.intermediate_size
    )
    # Each process has measured on its own, and may have got another result.
    return trainer.strategy.broadcast(dtype)


def _prepare(built: BuiltModel, settings: ModelSettings, mesh: DeviceMesh | None) -> None:
    """Compiles kernels, sets up activation checkpointing and shards the model."""
    model, memory, compiled = built.causal, settings.memory, settings.compute.compile_kernels
    if compiled:
        compile_swiglu(model)
        compile_norms(model)
    if memory.activation_checkpointing:
        adapters = AdapterShape.of(settings.lora, built.audit)
        recompute_activations(model, adapters, memory.stored_activation_bytes, compiled)
    if mesh is not None:
        shard_layers(model, mesh["data_parallel"])
