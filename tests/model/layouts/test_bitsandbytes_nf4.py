import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.checkpoint import load_base
from animelm.model.quantize import Linear4bit, Quantization
from tests.layouts import stock_twin, write_per_expert

EXPERT = "model.layers.0.mlp.experts.gate_up_projs.1.weight"


def unpacked(tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """A weight of the checkpoint as bitsandbytes itself reads it."""
    own = {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(name)}
    packed = own.pop(name)
    state = QuantState.from_dict(own, torch.device("cpu"))
    # As one row: its kernel for CPUs is wrong about rows that end inside a block.
    shape, state.shape = state.shape, torch.Size([1, 2 * packed.numel()])
    return dequantize_4bit(packed, state).view(shape)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("packed_attention", [False, True])
def test_every_weight_is_what_bitsandbytes_reads(
    stock_model: GptOssForCausalLM, tmp_path: Path, nested: bool, packed_attention: bool
) -> None:
    write_per_expert(stock_model, tmp_path, nested, packed_attention)
    tensors = load_file(tmp_path / "model.safetensors")
    model = load_base(str(tmp_path), "nf4")
    layers = {n: layer for n, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    assert len(layers) == 2 * (4 + 2 * 4)
    for name, layer in layers.items():
        if f"{name}.weight.absmax" in tensors:
            theirs = unpacked(tensors, f"{name}.weight")
            assert torch.equal(layer.dequantize(torch.bfloat16), theirs)


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_the_logits_are_those_of_a_stock_model_with_the_unpacked_weights(
    stock_model: GptOssForCausalLM, tmp_path: Path, quantization: Quantization
) -> None:
    write_per_expert(stock_model, tmp_path, nested=True)
    model = load_base(str(tmp_path), quantization)
    ids = torch.arange(2, 42).view(2, 20)
    with torch.no_grad():
        ours, theirs = model(input_ids=ids).logits, stock_twin(model)(input_ids=ids).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def edit(folder: Path, name: str, tensor: torch.Tensor | None) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    save_file(tensors, file, {"format": "pt"})


def state_with(folder: Path, **values: object) -> torch.Tensor:
    text = load_file(folder / "model.safetensors")[f"{EXPERT}.quant_state.bitsandbytes__nf4"]
    state = json.loads(bytes(text.tolist())) | values
    return torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)


@pytest.mark.parametrize("part", ["absmax", "quant_map", "quant_state.bitsandbytes__nf4"])
def test_a_missing_part_is_named(stock_model: GptOssForCausalLM, tmp_path: Path, part: str) -> None:
    write_per_expert(stock_model, tmp_path, False)
    edit(tmp_path, f"{EXPERT}.{part}", None)
    with pytest.raises(UserError, match=rf"model\.safetensors: tensor {EXPERT}.* needs .*{part}"):
        load_base(str(tmp_path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape": [64, 32]}, r"holds a weight of \(64, 32\); expected \(64, 64\)"),
        ({"blocksize": 128}, "in blocks of 128; expected nf4 in blocks of 64"),
        ({"quant_type": "fp4"}, "is fp4 in blocks of 64"),
        ({"dtype": "no_type"}, "is no state that bitsandbytes wrote"),
    ],
)
def test_another_shape_block_or_type_is_refused(
    stock_model: GptOssForCausalLM, tmp_path: Path, values: dict, message: str
) -> None:
    write_per_expert(stock_model, tmp_path, False)
    state = state_with(tmp_path, **values)
    edit(tmp_path, f"{EXPERT}.quant_state.bitsandbytes__nf4", state)
    with pytest.raises(UserError, match=message):
        load_base(str(tmp_path))


def test_scales_that_are_too_few_are_refused(
    stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    write_per_expert(stock_model, tmp_path, False)
    edit(tmp_path, f"{EXPERT}.absmax", torch.ones(3))
    with pytest.raises(UserError, match=r"has 3 scales \(absmax\); expected 64"):
        load_base(str(tmp_path))
