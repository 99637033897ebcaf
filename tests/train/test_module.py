"""AdaptedLM under a Trainer, on a tiny 4-bit base."""

import csv
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import lightning as L
import pytest
import torch
from host_waits import HostWaits, TellsTheStep
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from resumable_loader import ResumableLoader
from safetensors.torch import load_file
from torch import Tensor

from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.errors import UserError
from animelm.model import compile as compile_module
from animelm.model import loss as loss_module
from animelm.model.compile import compiled
from animelm.model.embedding_offload import CpuEmbedding
from animelm.model.lora.adapters import LoraSettings
from animelm.model.moe import swiglu
from animelm.train.callbacks import RouterStatistics, Throughput
from animelm.train.checkpoints.files import AtomicCheckpointIO
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ComputeSettings, MemorySettings

PARTS_OF_BATCH = ("input_ids", "position_ids", "targets", "is_padding")
NO_DROPOUT = LoraSettings(dropout=0.0)
ON_CPU = MemorySettings(embeddings_on_cpu=True)
PLAIN = OptimizerSettings(kind="adamw", learning_rate=1e-2, warmup_share=0.0)


class Recorder(L.Callback):
    """Keeps the loss of every micro-batch and the gradients of every optimizer step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.losses.append(trainer.callback_metrics["train/loss"].item())

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        named = pl_module.named_parameters()
        self.gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})


class GradientsOfSteps(L.Callback):
    """Keeps the gradients with which each optimizer step was taken."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer) -> None:
        self.keep(pl_module)

    def on_train_end(self, trainer, pl_module) -> None:
        self.keep(pl_module)

    def keep(self, pl_module: AdaptedLM) -> None:
        named = pl_module.named_parameters()
        found = {name: p.grad.clone() for name, p in named if p.grad is not None}
        self.steps += [found] if found else []


def trained_weights(model: AdaptedLM) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def test_the_loss_is_the_mean_over_supervised_positions(fit, batches) -> None:
    [batch] = batches(1)
    recorder = Recorder()
    model = fit([batch], callbacks=[recorder], lora=NO_DROPOUT, optimizer=PLAIN)
    # At the first step LoRA's update is zero, so the base alone gives the loss.
    with torch.no_grad(), model.model.disable_adapter():
        stock = 0.0
        for row, targets in zip(batch.input_ids, batch.targets, strict=True):
            for begin, end in ((0, 20), (20, 32), (32, 42)):
                logits = model.model(input_ids=row[None, begin:end]).logits[0]
                stock += torch.nn.functional.cross_entropy(
                    logits, targets[begin:end], ignore_index=-100, reduction="sum"
                ).item()
    assert recorder.losses == [pytest.approx(stock / batch.supervised_tokens, rel=1e-4)]


def test_the_host_waits_for_a_step_s_loss_and_for_its_gradients_and_for_nothing_else(
    fit, batches
) -> None:
    waits = HostWaits()
    callbacks = [TellsTheStep(waits), RouterStatistics(50, {}), Throughput(50)]
    with waits:
        fit(batches(3), callbacks=callbacks)
    assert waits.by_step[1] == waits.by_step[2] == ["tolist", "__float__"]


def recorded(fit, batches, dropout: float, **settings) -> Recorder:
    recorder = Recorder()
    fit(
        batches(2),
        callbacks=[recorder],
        lora=LoraSettings(dropout=dropout),
        optimizer=PLAIN,
        **settings,
    )
    return recorder


def assert_equal_gradients(one: Recorder, other: Recorder) -> None:
    for ours, theirs in zip(one.gradients, other.gradients, strict=True):
        assert ours.keys() == theirs.keys() and ours
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name])


def named_when_called(used: list[str]):
    """``compiled``, which notes the name of what it compiled at each call."""

    def noting(function):
        fused = compiled(function)

        def call(*arguments):
            used.append(function.__name__)
            return fused(*arguments)

        return call

    return noting


@pytest.mark.parametrize("kept", [0.0, 1.0])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_activation_checkpointing_changes_neither_loss_nor_gradients(
    fit, batches, dropout: float, kept: float
) -> None:
    plain = recorded(fit, batches, dropout)
    again = recorded(fit, batches, dropout, memory=MemorySettings(True, kept))
    assert again.losses == plain.losses
    assert_equal_gradients(again, plain)


@pytest.mark.parametrize(("stored", "recomputed"), [(0.0, True), (1.0, False)])
def test_experts_recompute_their_products_unless_there_is_memory_to_store_them(
    fit, batches, stored: float, recomputed: bool
) -> None:
    model = fit(batches(1), optimizer=PLAIN, memory=MemorySettings(True, stored))
    layers = model.model.get_base_model().model.layers
    assert {layer.mlp.experts.recompute for layer in layers} == {recomputed}


def test_compiled_kernels_are_used_and_change_neither_loss_nor_gradients(
    fit, batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recorded(fit, batches, 0.0)
    used: list[str] = []
    for module in (swiglu, loss_module):
        monkeypatch.setattr(module, "compiled", named_when_called(used))
        monkeypatch.setattr(module, "_fused", cache(module._fused.__wrapped__))
    monkeypatch.setattr(compile_module, "compiled", named_when_called(used))
    fused = recorded(fit, batches, 0.0, compute=ComputeSettings("float32", True))
    gated_unit, norm = {"gated_unit", "gated_unit_backward"}, {"trial", "forward"}
    assert set(used) == {"cross_entropy", *gated_unit, *norm}
    assert fused.losses == pytest.approx(plain.losses, rel=1e-6)
    assert_equal_gradients(fused, plain)


def test_embeddings_on_the_cpu_change_neither_loss_nor_gradients_and_are_not_trained(
    fit, batches, tmp_path: Path
) -> None:
    plain = recorded(fit, batches, 0.0)
    kept = Recorder()
    model = fit(batches(2), callbacks=[kept], lora=NO_DROPOUT, optimizer=PLAIN, memory=ON_CPU)
    assert isinstance(model.model.get_base_model().model.embed_tokens, CpuEmbedding)
    assert kept.losses == plain.losses
    assert_equal_gradients(kept, plain)
    model.save_adapter(tmp_path / "adapter")
    assert "embed" not in " ".join(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))


def test_activation_checkpointing_really_runs_the_layers_again(fit, batches) -> None:
    runs = {}
    for checkpointing in (False, True):

        class Counter(L.Callback):
            calls = 0

            def on_train_start(self, trainer, pl_module) -> None:
                layer = pl_module.model.get_base_model().model.layers[0].self_attn
                # Recomputation may stop inside the last module, before its forward ends.
                layer.register_forward_pre_hook(self.count)

            def count(self, *_) -> None:
                self.calls += 1

        counter = Counter()
        fit(batches(1), callbacks=[counter], memory=MemorySettings(checkpointing))
        runs[checkpointing] = counter.calls
    assert runs == {False: 1, True: 2}


def test_router_statistics_count_the_same_under_activation_checkpointing_and_accumulation(
    fit, batches, tmp_path: Path
) -> None:
    tables = []
    for checkpointing in (False, True):
        folder = tmp_path / str(checkpointing)
        fit(
            batches(4),
            callbacks=[RouterStatistics(every_n_steps=2, probe={}, folder=folder)],
            trainer={"accumulate_grad_batches": 2},
            lora=NO_DROPOUT,
            optimizer=PLAIN,
            memory=MemorySettings(checkpointing),
        )
        tables.append(list(csv.DictReader((folder / "router_statistics.csv").open())))
    without, with_ = tables
    assert with_ == without
    # 2 layers of 4 experts; 4 micro-batches of 2 blocks with 42 tokens that are not padding.
    assert len(without) == 8
    assert {row["tokens"] for row in without} == {str(4 * 2 * 42)}


def test_accumulated_batches_step_as_one_large_batch(fit, batches) -> None:
    [large] = batches(1, blocks=4)
    halves = [
        type(large)(
            large.input_ids[part], large.position_ids[part], large.targets[part],
            large.is_padding[part],
        )
        for part in (slice(0, 2), slice(2, 4))
    ]  # fmt: skip
    settings = {"lora": NO_DROPOUT, "optimizer": PLAIN}
    at_once = trained_weights(fit([large], **settings))
    accumulated = trained_weights(fit(halves, trainer={"accumulate_grad_batches": 2}, **settings))
    # AdamW's first step is nearly the sign of the gradient, so tiny gradients are told apart badly.
    for name in at_once:
        close = torch.isclose(at_once[name], accumulated[name], rtol=1e-3, atol=1e-5)
        assert close.float().mean() > 0.99, name


def unequal(batches) -> list[PackedBatch]:
    """Four batches with 78, 3, 40 and 0 supervised tokens."""
    made = batches(4)
    for batch, kept in zip(made, (78, 3, 40, 0), strict=True):
        supervised = (batch.targets != IGNORED).nonzero()
        batch.targets[tuple(supervised[kept:].T)] = IGNORED
    assert [batch.supervised_tokens for batch in made] == [78, 3, 40, 0]
    return made


def test_every_token_counts_alike_in_whichever_accumulated_batch_it_is(fit, batches) -> None:
    parts = unequal(batches)
    whole = PackedBatch(
        *(torch.cat([getattr(part, name) for part in parts]) for name in PARTS_OF_BATCH)
    )
    gradients = []
    for data, accumulated in (([whole], 1), (parts, 4)):
        seen = GradientsOfSteps()
        trainer = {"accumulate_grad_batches": accumulated, "gradient_clip_val": 1e9}
        fit(data, callbacks=[seen], trainer=trainer, lora=NO_DROPOUT, optimizer=PLAIN)
        gradients.append(seen.steps)
    [[at_once], [together]] = gradients
    for name, gradient in at_once.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-7)


def test_a_checkpoint_inside_an_accumulation_resumes_as_if_nothing_had_happened(
    fit, batches, tmp_path: Path
) -> None:
    data = unequal(batches) + batches(2)
    settings = {"lora": LoraSettings(dropout=0.2), "optimizer": PLAIN}
    trainer = {"accumulate_grad_batches": 3, "enable_checkpointing": True}

    class SaveWithinAStep(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if batch_idx == 4:
                trainer.save_checkpoint(tmp_path / "within.ckpt")

    saving = [SaveWithinAStep()]
    unbroken = fit(ResumableLoader(data), callbacks=saving, trainer=trainer, **settings)
    within = tmp_path / "within.ckpt"
    resumed = fit(ResumableLoader(data), trainer=trainer, ckpt_path=within, **settings)
    for name, weight in trained_weights(unbroken).items():
        assert torch.equal(trained_weights(resumed)[name], weight), name


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("compute.dtype=float32", {"compute": ComputeSettings("bfloat16")}),
        ("optimizer.kind=adamw", {"optimizer": replace(PLAIN, kind="adamw_8bit")}),
        ("optimizer.learning_rate=0.01", {"optimizer": replace(PLAIN, learning_rate=1e-3)}),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(
    fit, batches, tmp_path: Path, option: str, changed: dict
) -> None:
    class Save(L.Callback):
        def on_train_end(self, trainer, pl_module) -> None:
            trainer.save_checkpoint(tmp_path / "end.ckpt")

    fit(batches(1), callbacks=[Save()], optimizer=PLAIN)
    with pytest.raises(
        UserError, match=re.escape(f"  model.{option.replace('=', ': ')} in the checkpoint")
    ):
        fit(batches(1), ckpt_path=tmp_path / "end.ckpt", **{"optimizer": PLAIN, **changed})


def test_the_logged_loss_is_the_mean_over_the_tokens_of_an_optimizer_step(fit, batches) -> None:
    recorder, data = Recorder(), unequal(batches)
    settings = {"lora": NO_DROPOUT, "optimizer": PLAIN}
    fit(data, callbacks=[recorder], trainer={"accumulate_grad_batches": 4}, **settings)
    alone = []
    for batch in data:  # before any step, each by itself
        one = Recorder()
        fit([batch], callbacks=[one], **settings)
        alone.append(one.losses[0] * batch.supervised_tokens)
    assert recorder.losses[-1] == pytest.approx(sum(alone) / (78 + 3 + 40), rel=1e-5)


def test_checkpoints_are_written_whole_unless_a_plugin_writes_them(fit, batches) -> None:
    assert isinstance(fit(batches(1)).trainer.strategy.checkpoint_io, AtomicCheckpointIO)
    own = AsyncCheckpointIO()
    trainer = fit(batches(1), trainer={"plugins": [own]}).trainer
    assert trainer.strategy.checkpoint_io is own


def test_every_part_of_every_adapter_has_a_gradient(fit, batches) -> None:
    recorder = Recorder()
    model = fit(batches(3), callbacks=[recorder], optimizer=PLAIN)
    # LoRA's A gets none while B is zero: the first step, and the second, since warm-up starts at 0.
    last = recorder.gradients[-1]
    assert last.keys() == trained_weights(model).keys()
    assert all(gradient.any() for gradient in last.values())


def test_the_learning_rate_and_the_loss_are_logged(fit, batches) -> None:
    model = fit(batches(4), optimizer=OptimizerSettings(learning_rate=1e-3, warmup_share=0.5))
    logged = model.trainer.callback_metrics
    assert logged["train/learning_rate"] == pytest.approx(1e-3 * 0.1)  # the last step
    assert 0 < logged["train/loss"] < 20


def test_a_run_without_an_end_is_refused(fit, batches) -> None:
    with pytest.raises(UserError, match=r"set trainer\.max_epochs or max_steps"):
        fit(batches(1), trainer={"max_epochs": -1})


def test_a_model_that_was_not_loaded_says_so(tiny_base: str, batches) -> None:
    with pytest.raises(RuntimeError, match="configure_model"):
        AdaptedLM(tiny_base).loss_sum(batches(1)[0])
