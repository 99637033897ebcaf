import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.export.composed import compose_adapter
from animelm.export.stock_weights import merged_tensors, stock_shapes
from animelm.model.checkpoint.load import load_base, load_config
from animelm.model.lora.adapters import load_adapter
from animelm.model.quantization.linear4bit import Quantization

IDS = torch.arange(2, 40).view(1, 38)


def stock_model(tensors: dict[str, torch.Tensor], base: str) -> GptOssForCausalLM:
    model = GptOssForCausalLM(load_config(base)).eval()
    model.load_state_dict(tensors)
    return model


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "none"])
def test_a_stock_model_with_the_merged_weights_gives_the_adapters_logits(
    tiny_base: str, adapter: Path, quantization: Quantization
) -> None:
    ours = load_adapter(load_base(tiny_base, quantization), adapter, trainable=False)
    merged = merged_tensors(tiny_base, quantization, compose_adapter(adapter))
    stock = stock_model({each.name: each.tensor(torch.float32) for each in merged}, tiny_base)
    torch.testing.assert_close(logits(stock), logits(ours), rtol=1e-4, atol=1e-3)


def test_the_tensors_come_in_stock_order_and_shape(tiny_base: str) -> None:
    tensors = merged_tensors(tiny_base, "nf4")
    found = [(each.name, each.tensor(torch.bfloat16).shape) for each in tensors]
    assert found == list(stock_shapes(load_config(tiny_base)).items())


def test_an_adapter_of_another_base_is_refused(adapter: Path, checkpoint: Path) -> None:
    composed = compose_adapter(adapter)
    composed.pairs["model.layers.7.self_attn.q_proj"] = next(iter(composed.pairs.values()))
    with pytest.raises(UserError, match=r"does not fit the base .*layers\.7.* is missing there"):
        next(iter(merged_tensors(str(checkpoint), "none", composed)))


def test_a_base_without_one_of_its_tensors_is_refused(tiny_base: str, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(tiny_base, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.router.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"lacks model\.layers\.1\.mlp\.router\.bias"):
        list(merged_tensors(str(folder), "nf4"))
