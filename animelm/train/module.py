"""The LightningModule: a 4-bit base with LoRA adapters, or a small base trained whole."""

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from jsonargparse.typing import NonNegativeFloat
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from peft import PeftModel
from torch import Tensor, initial_seed
from torch.nn import Parameter
from torch.optim import Optimizer
from transformers import GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.batches.batch import PackedBatch, QuestionBatch
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.generate import Answer, answer_questions
from animelm.evaluate.scoring import Rivals
from animelm.model.activation_checkpointing import recompute_activations
from animelm.model.architecture import CausalLM
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.model.checkpoint.load import initial_model, load_base, load_config, save_base
from animelm.model.compile import compile_norms, require_compiler
from animelm.model.embedding_offload import keep_embeddings_on_cpu
from animelm.model.kept_activations import AdapterShape
from animelm.model.lora.adapters import LoraSettings, save_adapter
from animelm.model.lora.targets import DEFAULT_TARGETS, TargetAudit, audit_targets
from animelm.model.loss import chunked_cross_entropy
from animelm.model.moe.experts import compile_swiglu
from animelm.model.precision import ComputeType, choose_compute_dtype
from animelm.model.quantization.linear4bit import Quantization
from animelm.report.audit import print_audit
from animelm.train.accumulation import Window
from animelm.train.checkpoint_io import WholeFiles
from animelm.train.fsdp.sharding import shard_layers, whole_tensors
from animelm.train.initial_adapter import InitMode, Start
from animelm.train.load_balancing import LoadBalance
from animelm.train.optimizer import OptimiserSettings, build_optimiser, build_schedule
from animelm.train.resume import (
    Setup,
    go_on,
    require_same_setup,
    require_same_weights,
    state_of_all,
)
from animelm.train.validation import HeldOut, ValidationAnswer

_BALANCE_WEIGHT = 0.01
_PROCESSES = "animelm_processes"
_ADAPTER_PART = re.compile(r"\.(lora_|modules_to_save\.)")


class AdaptedLM(L.LightningModule):
    """A base in 4 bits with LoRA on attention and on every expert, or on a dense model's MLP.

    Args:
        base: Checkpoint folder or Hugging Face hub id of the base model.
        step_name: What this run is, written into the adapter's ancestry (cpt, sft, …).
        quantization: nf4 holds attention and experts (or a dense model's MLP) in 4 bits;
            nf4-double holds the scales of these in 8 bits (for the 20B 0.86 GiB less); mxfp4
            keeps the experts of a released gpt-oss to the bit; none leaves all as they are.
        target_modules: Projections that get an adapter. A name that matches nothing is an error.
        rank: Width r of LoRA's low-rank product.
        alpha: LoRA's update is scaled by alpha / rank.
        dropout: Share of an adapter's inputs that is zeroed in training.
        init_adapter: Folder of an adapter to start from, such as CPT's for SFT. Default: a fresh
            one.
        init_mode: continue trains the adapter of init_adapter further; stack freezes it and trains
            a second one on top.
        evaluated_adapter: Folder of the adapter that validate, test and predict load. Default: that
            of init_adapter.
        optimiser: Optimiser and learning-rate schedule.
        activation_checkpointing: Forget the activations inside each layer and compute most of them
            again in the backward pass: less memory, more time.
        kept_activations_gib: What the last layers keep of a batch's activations in spite of
            activation_checkpointing, in GiB: more memory, less time. plan shows what fits.
        compute_type: Type of the matrix products; auto measures which is faster on this machine.
        compile_kernels: Compile the experts' gated unit, the norms and the loss into one loop each.
            On a CPU this needs a C++ compiler, and takes some 20 seconds the first time.
        embeddings_on_cpu: Leave the embeddings in the machine's memory where the rest is on a GPU:
            of each batch only its tokens' rows travel. For the 20B 1.08 GiB less.
        max_new_tokens: Longest answer in validation, in tokens.
        max_thinking_tokens: Tokens on top of these when the data module's answer_from is start.
        whole: Train all weights of a model with random weights instead: how the embedded base is
            made. ``base`` then needs only config.json and the tokenizer.

    Raises:
        UserError: a setting of LoRA or of the optimiser has no meaning.
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
        init_mode: InitMode = "continue",
        evaluated_adapter: Path | None = None,
        optimiser: OptimiserSettings = OptimiserSettings(),  # noqa: B008 (frozen)
        activation_checkpointing: bool = False,
        kept_activations_gib: NonNegativeFloat = 0.0,
        compute_type: ComputeType = "auto",
        compile_kernels: bool = False,
        embeddings_on_cpu: bool = False,
        max_new_tokens: int = 64,
        max_thinking_tokens: int = 512,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self.base = base
        self.step_name = step_name
        self.quantization: Quantization = quantization
        self.lora = LoraSettings(rank, alpha, dropout, tuple(target_modules))
        self.start = Start(self.lora, init_adapter, init_mode, evaluated_adapter)
        self.optimiser_settings = optimiser
        self.activation_checkpointing = activation_checkpointing
        self.kept_activation_bytes = int(kept_activations_gib * 2**30)
        self.compute_type: ComputeType = compute_type
        self.compile_kernels = compile_kernels
        self.embeddings_on_cpu = embeddings_on_cpu
        self.max_new_tokens = max_new_tokens
        self.max_thinking_tokens = max_thinking_tokens
        self.whole = whole
        # Checkpoints hold only what is trained; the base is read again from its own files.
        self.strict_loading = False
        self.model: PeftModel | CausalLM | None = None
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.audit: TargetAudit | None = None
        self.validation_answers: list[ValidationAnswer] = []
        self._balance: LoadBalance | None = None
        self._ancestry: list[dict[str, str]] = []
        self._held_out = HeldOut(self.device)
        self._window = Window()
        self._resumed: dict[str, Any] = {}
        self._loader_states: list[dict[str, Any]] = []

    def setup(self, stage: str) -> None:
        """Checkpoints are written whole, unless the trainer has a plugin that writes them."""
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:
            strategy.checkpoint_io = WholeFiles()

    def configure_model(self) -> None:
        """Loads the base and its adapters once; reports what is trained.

        Raises:
            UserError: the base or an adapter is missing or does not fit, or a target matches
                nothing.
        """
        if self.model is not None:
            return
        if self.trainer.precision != "32-true":
            raise UserError(
                f"trainer.precision is {self.trainer.precision}; leave it at 32-true and choose "
                "the type of the matrix products with --model.compute_type"
            )
        if self.whole and self.device_mesh is not None:
            raise UserError("a base trained whole cannot be sharded; take strategy/ddp.yaml")
        if self.embeddings_on_cpu and (self.whole or self.device_mesh is not None):
            raise UserError(
                "model.embeddings_on_cpu leaves them whole and frozen on each process; a base "
                "trained whole trains them, and strategy/fsdp2.yaml shares them out"
            )
        if self.compile_kernels:
            require_compiler(self.trainer.strategy.root_device)
        self.tokenizer = load_tokenizer(self.base)
        check_vocabulary(self.tokenizer, self.base)
        # A base is read and packed on the CPU, and moved when it is whole. Lightning has made the
        # trainer's device the default one for new tensors.
        with torch.device("cpu"):
            self.model = self._whole_model() if self.whole else self._adapted_model()
        if self.compile_kernels:
            compile_swiglu(self._causal)
            compile_norms(self._causal)
        if self.activation_checkpointing:
            adapters = AdapterShape.of(self.lora, self.audit)
            recompute_activations(
                self._causal, adapters, self.kept_activation_bytes, self.compile_kernels
            )
        if self.device_mesh is not None:
            shard_layers(self._causal, self.device_mesh["data_parallel"])
        # Loading leaves the model in evaluation mode, in which dropout and checkpointing rest.
        self.model.train()

    def _whole_model(self) -> CausalLM:
        model = initial_model(self.base, seed=initial_seed() % 2**31)
        if isinstance(model, GptOssForCausalLM):
            self._balance = LoadBalance(model, _BALANCE_WEIGHT)
        return model

    def _adapted_model(self) -> PeftModel:
        trains = self.trainer.state.fn == TrainerFn.FITTING
        start = self.start.of_training() if trains else self.start
        start.require_folder()
        dtype = self._compute_dtype()
        rank_zero_info(f"Base {self.base}: {self.quantization} weights, computing in {dtype}")
        base = load_base(self.base, self.quantization, dtype)
        if self.embeddings_on_cpu:
            keep_embeddings_on_cpu(base)
        if not trains:
            rank_zero_info(f"Evaluating {start.folder or 'it without adapter'}")
        model = start.put_on(base)
        if start.evaluated_adapter is None:
            self._ancestry = start.ancestry()
            self.audit = audit_targets(model, self.lora.target_modules)
            if trains and self.global_rank == 0:
                print_audit(self.audit)
        return model

    def _compute_dtype(self) -> torch.dtype:
        config = load_config(self.base)
        # Not self.device, which is the CPU until the model has been moved.
        device = self.trainer.strategy.root_device.type
        dtype = choose_compute_dtype(
            self.compute_type, device, config.hidden_size, config.intermediate_size
        )
        # Each process has measured for itself, and may have found another.
        return self.trainer.strategy.broadcast(dtype)

    @property
    def _loaded(self) -> PeftModel | CausalLM:
        if self.model is None:
            raise RuntimeError("the model is loaded by configure_model, which has not run yet")
        return self.model

    @property
    def _causal(self) -> CausalLM:
        model = self._loaded
        plain = model.get_base_model() if isinstance(model, PeftModel) else model
        return cast(CausalLM, plain)

    def loss_sum(self, batch: PackedBatch) -> Tensor:
        """Sum of the token losses of a batch, in nats."""
        hidden = packed_hidden_states(self._loaded, batch.input_ids, batch.position_ids)
        head = self._causal.lm_head.weight
        return chunked_cross_entropy(hidden, head, batch.targets, self.compile_kernels)

    def training_step(self, batch: PackedBatch, batch_idx: int) -> Tensor:
        """The batch's share of the step's loss; logs the mean over the step's tokens so far."""
        if self._balance:
            self._balance.begin()
        total = self.loss_sum(batch)
        tokens = total.new_tensor(batch.supervised_tokens)
        sums = self._sum_over_processes(torch.stack([total.detach(), tokens]))
        losses, supervised = sums.tolist()
        share = self._window.add(losses, supervised)
        self.log("train/loss", self._window.mean_loss, prog_bar=True)
        # Gradients are averaged over the processes; every token shall count the same, whichever
        # process and whichever batch of the step has it.
        loss = total * self.trainer.world_size / share
        if self._balance is not None:
            loss = loss + self._balance.loss() * (supervised / share)
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        # Lightning divides by the number of batches, which the window does by their tokens.
        return loss * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Makes the accumulated gradients those of the mean over all tokens, before clipping."""
        self._window.close(self._trained())

    def _trained(self) -> list[Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def on_validation_epoch_start(self) -> None:
        self._held_out = HeldOut(self.device)

    def validation_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Collects losses of held-out blocks, or answers questions."""
        if isinstance(batch, QuestionBatch):
            self._held_out.add_answers(batch.held_out_set, self._answers(batch))
        else:
            loss = float(self.loss_sum(batch))
            self._held_out.add_loss(batch.name, loss, batch.supervised_tokens)

    def on_validation_epoch_end(self) -> None:
        """Logs perplexity and answer scores of each held-out set."""
        # Every record of the data module, trained or not: rival answers are known from them.
        datamodule = getattr(self.trainer, "datamodule", None)
        rivals = Rivals(list(getattr(datamodule, "records_for_scoring", [])))
        # All processes know the same figures; sync_dist only keeps Lightning from warning.
        self.log_dict(self._held_out.perplexities(self._sum_over_processes), sync_dist=True)
        for name, value in self._held_out.scores(rivals, self._sum_over_processes).items():
            shown = name.startswith("validation/") and name.endswith("/accuracy")
            self.log(name, value, prog_bar=shown, sync_dist=True)
        self.validation_answers = self._held_out.examples(rivals)

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return cast(Tensor, self.trainer.strategy.reduce(values, reduce_op="sum"))

    def _answers(self, batch: QuestionBatch) -> list[Answer]:
        tokenizer = cast(PreTrainedTokenizerBase, self.tokenizer)
        return list(
            answer_questions(
                self._loaded,
                tokenizer,
                [batch],
                self.max_new_tokens,
                max_thinking_tokens=self.max_thinking_tokens,
            )
        )

    def test_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """As validation."""
        self.validation_step(batch, batch_idx, dataloader_idx)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(
        self, batch: QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[str]:
        """The generated answers of a batch of questions."""
        return [answer.output for answer in self._answers(batch)]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser, and a schedule over all steps of the run.

        Raises:
            UserError: the run has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise UserError("set trainer.max_epochs or max_steps: the learning rate needs an end")
        optimiser = build_optimiser(self.parameters(), self.optimiser_settings)
        schedule = build_schedule(optimiser, self.optimiser_settings, int(steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps only what is trained, and the state of the random numbers."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if name in trained}
        checkpoint[_PROCESSES] = state_of_all(self._setup(), self._window, self._trained())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that the checkpoint was trained with the same settings.

        Raises:
            UserError: it holds other weights than those that are trained here, or those of other
                processes.
        """
        require_same_weights(checkpoint["state_dict"], dict(self.named_parameters()))
        if self.trainer.state.fn == TrainerFn.FITTING and _PROCESSES in checkpoint:
            self._resumed = checkpoint[_PROCESSES]
            require_same_setup(self._resumed, self._setup())
        loop = checkpoint.get("loops", {}).get("fit_loop", {}).get("state_dict", {})
        self._loader_states = loop.get("combined_loader", [])

    def _setup(self) -> Setup:
        optimiser = asdict(self.optimiser_settings)
        settings = {
            "compute_type": str(self._causal.dtype).removeprefix("torch."),
            **{f"optimiser.{name}": value for name, value in optimiser.items()},
        }
        return Setup(self.trainer.world_size, self.device_mesh is not None, settings)

    def on_train_start(self) -> None:
        """Goes on in data, random numbers and accumulated gradients where a resumed run stood."""
        # Lightning leaves the loader at its first batch: it restores the position when it makes the
        # loader, and configure_optimizers has asked for its length before the checkpoint was read.
        for state in self._loader_states:
            cast(Any, self.trainer.train_dataloader).load_state_dict(state)
        if self._resumed:
            go_on(self._resumed, self.global_rank, self._window, self._trained())
        elif self.global_rank:
            # One seed gave all processes the same adapter; their dropout shall differ.
            torch.manual_seed(initial_seed() + self.global_rank)
        self._loader_states, self._resumed = [], {}

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter as PEFT does, with its ancestry; a base trained whole as such.

        All processes call it together; the first one writes.
        """
        model = self._loaded
        adapters = () if self.whole else model.named_parameters()
        weights = whole_tensors((name, p) for name, p in adapters if _ADAPTER_PART.search(name))
        if self.global_rank:
            return
        if self.whole:
            save_base(self._causal, folder)
            return
        step = {
            "step": self.step_name,
            "base": self.base,
            "optimiser_steps": str(self.trainer.global_step),
            **self.start.record(),
        }
        save_adapter(cast(PeftModel, model), folder, [*self._ancestry, step], weights)
