"""What AdaptedLM builds under a Trainer, and what it writes."""

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer.call import _call_configure_model
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny_base import write_tiny_base
from torch import Tensor
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import load_adapter
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import RECORD_FILE, read_record
from animelm.train import build as build_module
from animelm.train.initial_adapter import AdapterSource
from animelm.train.module import AdaptedLM
from animelm.train.optimizer import OptimizerSettings
from animelm.train.settings import ComputeSettings, MemorySettings
from tests.layouts import write_mxfp4

ON_CPU = MemorySettings(embeddings_on_cpu=True)
PLAIN = OptimizerSettings(kind="adamw", learning_rate=1e-2, warmup_share=0.0)


def trained_weights(model: AdaptedLM) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def test_embeddings_that_are_trained_cannot_stay_on_the_cpu(fit, batches) -> None:
    with pytest.raises(UserError, match=r"embeddings_on_cpu .* neither with model\.from_scratch"):
        fit(batches(1), from_scratch=True, memory=ON_CPU)


def test_all_processes_compute_in_the_type_that_the_first_has_found(
    fit, batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SingleDeviceStrategy, "broadcast", lambda *_: torch.bfloat16)
    model = fit(batches(1), compute=ComputeSettings("float32"), optimizer=PLAIN)
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

    monkeypatch.setattr(build_module, "choose_compute_dtype", choose)
    monkeypatch.setattr(build_module, "require_compiler", lambda d: asked.append(d.type))
    model = AdaptedLM(str(tmp_path), compute=ComputeSettings(compile_kernels=True))
    # The meta device in the place of a GPU: Lightning makes either the default for new tensors.
    strategy = SingleDeviceStrategy(torch.device("meta"))
    trainer = L.Trainer(accelerator="cpu", strategy=strategy, logger=False)
    strategy.connect(model)
    model.trainer = trainer
    _call_configure_model(trainer)
    assert asked == ["meta", "meta"]
    made = [*model.model.parameters(), *model.model.buffers()]
    assert {tensor.device.type for tensor in made} == {"cpu"}


@pytest.mark.parametrize(
    ("setting", "problem"), [(True, None), (True, "it is slow"), (False, None)]
)
def test_layers_are_fused_on_a_gpu_unless_something_speaks_against_it(
    setting: bool, problem: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_base(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(build_module, "problem_with_fused_layers", lambda *_: problem)
    monkeypatch.setattr(build_module, "rank_zero_info", said.append)
    compute = ComputeSettings("float32", fused_layers=setting)
    model = AdaptedLM(str(tmp_path), compute=compute)
    strategy = SingleDeviceStrategy(torch.device("meta"))  # in the place of a GPU, as above
    trainer = L.Trainer(accelerator="cpu", strategy=strategy, logger=False)
    strategy.connect(model)
    model.trainer = trainer
    _call_configure_model(trainer)
    attention = model.model.get_base_model().model.layers[0].self_attn
    assert ("forward" in vars(attention)) == (setting and problem is None)
    assert any("it is slow" in message for message in said) == (problem is not None)


def test_mixed_precision_is_refused_for_the_compute_type(fit, batches) -> None:
    with pytest.raises(UserError, match=r"bf16-mixed.*--model\.compute\.dtype"):
        fit(batches(1), trainer={"precision": "bf16-mixed"})


def test_a_base_trained_from_scratch_is_written_as_stock_transformers_reads_it(
    fit, batches, tmp_path: Path
) -> None:
    model = fit(batches(2), from_scratch=True, quantization="none", optimizer=PLAIN)
    model.save_adapter(tmp_path / "base")
    stock = GptOssForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    ids = batches(1)[0].input_ids[:, :20]
    with torch.no_grad():
        ours = model.model.eval()(input_ids=ids).logits
        difference = stock(input_ids=ids).logits - ours
    assert difference.std() < 0.03 * ours.std()  # written in bf16
    assert len(load_file(tmp_path / "base" / "model.safetensors")) == len(stock.state_dict())


def test_a_base_trained_from_scratch_starts_from_the_seed_alone(fit, batches) -> None:
    one, other = (trained_weights(fit(batches(1), from_scratch=True)) for _ in range(2))
    assert one and all(torch.equal(one[name], other[name]) for name in one)


def test_an_adapter_with_a_head_of_its_own_can_be_stacked_on(
    fit, batches, tiny_base: str, tmp_path: Path
) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    below = get_peft_model(load_base(tiny_base), config)
    torch.nn.init.normal_(below.get_base_model().lm_head.weight)
    below.save_pretrained(tmp_path / "below")
    fitted = fit(batches(1), adapter=AdapterSource(tmp_path / "below", "stack"), optimizer=PLAIN)
    fitted.save_adapter(tmp_path / "stacked")
    again = load_adapter(load_base(tiny_base), tmp_path / "stacked", trainable=False)
    assert torch.equal(again.get_base_model().lm_head.weight, below.get_base_model().lm_head.weight)


def test_the_adapter_and_its_record_are_written_and_continued(
    fit, batches, tiny_base: str, tmp_path: Path
) -> None:
    cpt = fit(batches(2), optimizer=PLAIN)
    cpt.save_adapter(tmp_path / "cpt")
    sft = fit(batches(1), step_name="sft", adapter=AdapterSource(tmp_path / "cpt"), optimizer=PLAIN)
    sft.save_adapter(tmp_path / "sft")
    first, second = read_record(tmp_path / "sft")
    assert (first.step, first.optimizer_steps, first.init_adapter) == ("cpt", 2, None)
    assert (second.step, second.optimizer_steps) == ("sft", 1)
    assert (second.init_adapter, second.init_mode) == (str(tmp_path / "cpt"), "continue")
    assert first.base == second.base == record_base(tiny_base)


def test_a_base_trained_from_scratch_has_no_record(fit, batches, tmp_path: Path) -> None:
    model = fit(batches(1), from_scratch=True, quantization="none", optimizer=PLAIN)
    model.save_adapter(tmp_path / "base")
    assert (tmp_path / "base" / "model.safetensors").is_file()
    assert not (tmp_path / "base" / RECORD_FILE).exists()
