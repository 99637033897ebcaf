"""AdaptedLM under a Trainer, on a tiny 4-bit base."""

import csv
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer.call import _call_configure_model
from peft import LoraConfig, get_peft_model
from resumable_loader import ResumableLoader
from safetensors.torch import load_file
from tiny_base import write_tiny_base
from torch import Tensor
from transformers import GptOssForCausalLM

from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.errors import UserError
from animelm.model import compile as compile_module
from animelm.model import loss as loss_module
from animelm.model.checkpoint.load import load_base
from animelm.model.compile import compiled
from animelm.model.embedding_offload import CpuEmbedding
from animelm.model.lora.adapters import load_adapter
from animelm.model.moe import swiglu
from animelm.train import module as training_module
from animelm.train.callbacks import RouterStatistics
from animelm.train.checkpoint_io import WholeFiles
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimiserSettings
from tests.layouts import write_mxfp4

PARTS_OF_BATCH = ("input_ids", "position_ids", "targets", "is_padding")
PLAIN = OptimiserSettings(kind="adamw", learning_rate=1e-2, warmup_share=0.0)


class Recorder(L.Callback):
    """Keeps the loss of every micro-batch and the gradients of every optimiser step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.losses.append(trainer.callback_metrics["train/loss"].item())

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        named = pl_module.named_parameters()
        self.gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})


class GradientsOfSteps(L.Callback):
    """Keeps the gradients with which each optimiser step was taken."""

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
    model = fit([batch], callbacks=[recorder], dropout=0.0, optimiser=PLAIN)
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


def recorded(fit, batches, dropout: float, **settings) -> Recorder:
    recorder = Recorder()
    fit(batches(2), callbacks=[recorder], dropout=dropout, optimiser=PLAIN, **settings)
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
    again = recorded(
        fit, batches, dropout, activation_checkpointing=True, kept_activations_gib=kept
    )
    assert again.losses == plain.losses
    assert_equal_gradients(again, plain)


@pytest.mark.parametrize(("kept", "forgets"), [(0.0, True), (1.0, False)])
def test_experts_forget_their_products_unless_there_is_memory_for_them(
    fit, batches, kept: float, forgets: bool
) -> None:
    settings = {"activation_checkpointing": True, "kept_activations_gib": kept}
    model = fit(batches(1), optimiser=PLAIN, **settings)
    layers = model.model.get_base_model().model.layers
    assert {layer.mlp.experts.recompute for layer in layers} == {forgets}


def test_compiled_kernels_are_used_and_change_neither_loss_nor_gradients(
    fit, batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recorded(fit, batches, 0.0)
    used: list[str] = []
    for module in (swiglu, loss_module):
        monkeypatch.setattr(module, "compiled", named_when_called(used))
        monkeypatch.setattr(module, "_fused", cache(module._fused.__wrapped__))
    monkeypatch.setattr(compile_module, "compiled", named_when_called(used))
    fused = recorded(fit, batches, 0.0, compile_kernels=True)
    gated_unit, norm = {"gated_unit", "gated_unit_backward"}, {"trial", "forward"}
    assert set(used) == {"cross_entropy", *gated_unit, *norm}
    assert fused.losses == pytest.approx(plain.losses, rel=1e-6)
    assert_equal_gradients(fused, plain)


def test_embeddings_on_the_cpu_change_neither_loss_nor_gradients_and_are_not_trained(
    fit, batches, tmp_path: Path
) -> None:
    plain = recorded(fit, batches, 0.0)
    kept = Recorder()
    model = fit(batches(2), callbacks=[kept], dropout=0.0, optimiser=PLAIN, embeddings_on_cpu=True)
    assert isinstance(model.model.get_base_model().model.embed_tokens, CpuEmbedding)
    assert kept.losses == plain.losses
    assert_equal_gradients(kept, plain)
    model.save_adapter(tmp_path / "adapter")
    assert "embed" not in " ".join(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))


def test_embeddings_that_are_trained_cannot_stay_on_the_cpu(fit, batches) -> None:
    with pytest.raises(UserError, match=r"model\.embeddings_on_cpu .* trained whole"):
        fit(batches(1), whole=True, embeddings_on_cpu=True)


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
        fit(batches(1), callbacks=[counter], activation_checkpointing=checkpointing)
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
            dropout=0.0,
            optimiser=PLAIN,
            activation_checkpointing=checkpointing,
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
    settings = {"dropout": 0.0, "optimiser": PLAIN}
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
        fit(data, callbacks=[seen], trainer=trainer, dropout=0.0, optimiser=PLAIN)
        gradients.append(seen.steps)
    [[at_once], [together]] = gradients
    for name, gradient in at_once.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-7)


def test_a_checkpoint_inside_an_accumulation_resumes_as_if_nothing_had_happened(
    fit, batches, tmp_path: Path
) -> None:
    data = unequal(batches) + batches(2)
    settings = {"dropout": 0.2, "optimiser": PLAIN}
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
        ("compute_type=float32", {"compute_type": "bfloat16"}),
        ("optimiser.kind=adamw", {"optimiser": replace(PLAIN, kind="adamw_8bit")}),
        ("optimiser.learning_rate=0.01", {"optimiser": replace(PLAIN, learning_rate=1e-3)}),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(
    fit, batches, tmp_path: Path, option: str, changed: dict
) -> None:
    class Save(L.Callback):
        def on_train_end(self, trainer, pl_module) -> None:
            trainer.save_checkpoint(tmp_path / "end.ckpt")

    fit(batches(1), callbacks=[Save()], optimiser=PLAIN)
    with pytest.raises(UserError, match=re.escape(f"resume it with --model.{option}")):
        fit(batches(1), ckpt_path=tmp_path / "end.ckpt", **{"optimiser": PLAIN, **changed})


def test_the_logged_loss_is_the_mean_over_the_tokens_of_an_optimiser_step(fit, batches) -> None:
    recorder, data = Recorder(), unequal(batches)
    settings = {"dropout": 0.0, "optimiser": PLAIN}
    fit(data, callbacks=[recorder], trainer={"accumulate_grad_batches": 4}, **settings)
    alone = []
    for batch in data:  # before any step, each by itself
        one = Recorder()
        fit([batch], callbacks=[one], **settings)
        alone.append(one.losses[0] * batch.supervised_tokens)
    assert recorder.losses[-1] == pytest.approx(sum(alone) / (78 + 3 + 40), rel=1e-5)


def test_all_processes_compute_in_the_type_that_the_first_has_found(
    fit, batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SingleDeviceStrategy, "broadcast", lambda *_: torch.bfloat16)
    model = fit(batches(1), compute_type="float32", optimiser=PLAIN)
    assert model.model.dtype == torch.bfloat16


def test_a_base_is_made_on_the_cpu_for_the_device_that_it_will_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = GptOssForCausalLM.from_pretrained(write_tiny_base(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    write_mxfp4(released, tmp_path)
    asked: list[str] = []

    def choose(requested: str, device: str, *widths: int) -> torch.dtype:
        asked.append(device)
        return torch.float32

    monkeypatch.setattr(training_module, "choose_compute_dtype", choose)
    monkeypatch.setattr(training_module, "require_compiler", lambda d: asked.append(d.type))
    model = AdaptedLM(str(tmp_path), compile_kernels=True)
    # The meta device in the place of a GPU: Lightning makes either the default for new tensors.
    strategy = SingleDeviceStrategy(torch.device("meta"))
    trainer = L.Trainer(accelerator="cpu", strategy=strategy, logger=False)
    strategy.connect(model)
    model.trainer = trainer
    _call_configure_model(trainer)
    assert asked == ["meta", "meta"]
    made = [*model.model.parameters(), *model.model.buffers()]
    assert {tensor.device.type for tensor in made} == {"cpu"}


def test_checkpoints_are_written_whole_unless_a_plugin_writes_them(fit, batches) -> None:
    assert isinstance(fit(batches(1)).trainer.strategy.checkpoint_io, WholeFiles)
    own = AsyncCheckpointIO()
    trainer = fit(batches(1), trainer={"plugins": [own]}).trainer
    assert trainer.strategy.checkpoint_io is own


def test_mixed_precision_is_refused_for_the_compute_type(fit, batches) -> None:
    with pytest.raises(UserError, match=r"bf16-mixed.*--model\.compute_type"):
        fit(batches(1), trainer={"precision": "bf16-mixed"})


def test_every_part_of_every_adapter_has_a_gradient(fit, batches) -> None:
    recorder = Recorder()
    model = fit(batches(3), callbacks=[recorder], optimiser=PLAIN)
    # LoRA's A gets none while B is zero: the first step, and the second, since warm-up starts at 0.
    last = recorder.gradients[-1]
    assert last.keys() == trained_weights(model).keys()
    assert all(gradient.any() for gradient in last.values())


def test_the_learning_rate_and_the_loss_are_logged(fit, batches) -> None:
    model = fit(batches(4), optimiser=OptimiserSettings(learning_rate=1e-3, warmup_share=0.5))
    logged = model.trainer.callback_metrics
    assert logged["train/learning_rate"] == pytest.approx(1e-3 * 0.1)  # the last step
    assert 0 < logged["train/loss"] < 20


def test_the_adapter_and_its_ancestry_are_written_and_continued(
    fit, batches, tiny_base: str, tmp_path: Path
) -> None:
    cpt = fit(batches(2), optimiser=PLAIN)
    cpt.save_adapter(tmp_path / "cpt")
    sft = fit(batches(1), step_name="sft", init_adapter=tmp_path / "cpt", optimiser=PLAIN)
    sft.save_adapter(tmp_path / "sft")
    ancestry = json.loads((tmp_path / "sft" / "ancestry.json").read_text(encoding="utf-8"))
    assert ancestry == [
        {"step": "cpt", "base": tiny_base, "optimiser_steps": "2"},
        {
            "step": "sft",
            "base": tiny_base,
            "optimiser_steps": "1",
            "init_adapter": str(tmp_path / "cpt"),
            "init_mode": "continue",
        },
    ]


def test_an_adapter_with_a_head_of_its_own_can_be_stacked_on(
    fit, batches, tiny_base: str, tmp_path: Path
) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    below = get_peft_model(load_base(tiny_base), config)
    torch.nn.init.normal_(below.get_base_model().lm_head.weight)
    below.save_pretrained(tmp_path / "below")
    fitted = fit(batches(1), init_adapter=tmp_path / "below", init_mode="stack", optimiser=PLAIN)
    fitted.save_adapter(tmp_path / "stacked")
    again = load_adapter(load_base(tiny_base), tmp_path / "stacked", trainable=False)
    assert torch.equal(again.get_base_model().lm_head.weight, below.get_base_model().lm_head.weight)


def test_a_run_without_an_end_is_refused(fit, batches) -> None:
    with pytest.raises(UserError, match=r"set trainer\.max_epochs or max_steps"):
        fit(batches(1), trainer={"max_epochs": -1})


def test_a_base_trained_whole_is_written_as_stock_transformers_reads_it(
    fit, batches, tmp_path: Path
) -> None:
    model = fit(batches(2), whole=True, quantization="none", optimiser=PLAIN)
    model.save_adapter(tmp_path / "base")
    stock = GptOssForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    ids = batches(1)[0].input_ids[:, :20]
    with torch.no_grad():
        ours = model.model.eval()(input_ids=ids).logits
        difference = stock(input_ids=ids).logits - ours
    assert difference.std() < 0.03 * ours.std()  # written in bf16
    assert len(load_file(tmp_path / "base" / "model.safetensors")) == len(stock.state_dict())


def test_a_base_trained_whole_starts_from_the_seed_alone(fit, batches) -> None:
    one, other = (trained_weights(fit(batches(1), whole=True)) for _ in range(2))
    assert one and all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_that_was_not_loaded_says_so(tiny_base: str, batches) -> None:
    with pytest.raises(RuntimeError, match="configure_model"):
        AdaptedLM(tiny_base).loss_sum(batches(1)[0])
