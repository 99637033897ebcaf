"""Adapters in a process that has stock transformers and PEFT, and cannot import animelm."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssForCausalLM

from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import (
    LoraSettings,
    add_adapter,
    load_adapter,
    save_adapter,
)

IDS = torch.arange(2, 26).view(1, 24)
# r ≠ E, and hidden ≠ intermediate width: neither order nor side can be confused unnoticed.
LORA = LoraSettings(rank=4, alpha=8, dropout=0.0)
STOCK = """
import sys
sys.modules["animelm"] = None
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import GptOssForCausalLM
base, adapter, output, mode = sys.argv[1:]
model = GptOssForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
ids = torch.arange(2, 26).view(1, 24)
if mode == "write":
    targets = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], target_parameters=targets)
    model = get_peft_model(model, config)
    torch.manual_seed(2)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(adapter)
else:
    model = PeftModel.from_pretrained(model, adapter)
model.eval()
with torch.no_grad():
    found = {"adapter": model(input_ids=ids).logits}
    found["merged"] = model.merge_and_unload()(input_ids=ids).logits
save_file(found, output)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gpt-oss of 6 experts, 64 wide, 96 wide within an expert."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    model = GptOssForCausalLM(tiny_gpt_oss(num_local_experts=6, intermediate_size=96))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    return folder


def random_adapter(base: Path) -> PeftModel:
    """All of attention and experts, with an update that moves the logits."""
    model = add_adapter(load_base(str(base), "none"), LORA)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def stock(base: Path, adapter: Path, output: Path, mode: str = "read") -> dict[str, torch.Tensor]:
    """Logits in stock PEFT, with the adapter and merged, in a process without animelm."""
    command = [sys.executable, "-I", "-c", STOCK, str(base), str(adapter), str(output), mode]
    subprocess.run(command, check=True, capture_output=True)
    return load_file(output)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_stock_peft_gives_the_logits_of_a_saved_adapter_also_after_merging(
    base: Path, tmp_path: Path
) -> None:
    model = random_adapter(base)
    ours = logits(model)
    assert (ours - logits(load_base(str(base), "none"))).abs().max() > 1  # the adapter matters
    save_adapter(model, tmp_path / "adapter")
    theirs = stock(base, tmp_path / "adapter", tmp_path / "logits.safetensors")
    torch.testing.assert_close(theirs["adapter"], ours, rtol=0, atol=1e-4)
    torch.testing.assert_close(theirs["merged"], ours, rtol=0, atol=1e-4)


def test_an_adapter_with_its_experts_paired_wrongly_gives_other_logits(
    base: Path, tmp_path: Path
) -> None:
    model = random_adapter(base)
    save_adapter(model, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(file)
    for name, tensor in weights.items():
        if ".experts." in name and "lora_B" in name:  # the expert slowest, as in A
            weights[name] = tensor.unflatten(1, (4, 6)).transpose(1, 2).flatten(1).contiguous()
    save_file(weights, file)
    theirs = stock(base, tmp_path / "adapter", tmp_path / "logits.safetensors")
    assert (theirs["adapter"] - logits(model)).abs().max() > 0.1


def test_an_adapter_that_stock_peft_wrote_gives_the_same_logits_here(
    base: Path, tmp_path: Path
) -> None:
    theirs = stock(base, tmp_path / "adapter", tmp_path / "logits.safetensors", "write")
    ours = load_adapter(load_base(str(base), "none"), tmp_path / "adapter", trainable=True)
    torch.testing.assert_close(logits(ours.eval()), theirs["adapter"], rtol=0, atol=1e-4)


def test_an_adapter_that_stock_peft_wrote_is_written_again_byte_for_byte(
    base: Path, tmp_path: Path
) -> None:
    stock(base, tmp_path / "adapter", tmp_path / "logits.safetensors", "write")
    save_adapter(
        load_adapter(load_base(str(base), "none"), tmp_path / "adapter", trainable=True),
        tmp_path / "again",
    )
    theirs, ours = (
        (tmp_path / name / "adapter_model.safetensors").read_bytes()
        for name in ("adapter", "again")
    )
    assert ours == theirs
