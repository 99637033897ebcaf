import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.quantization.double_quantization import NestedScales
from animelm.model.quantization.linear4bit import Linear4bit, LinearDouble4bit, Quantization
from tests.layouts import packed_tensors, stock_twin, write_per_expert

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


def test_nested_scales_stay_as_they_are_where_the_model_nests_its_own(
    stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    write_per_expert(stock_model, tmp_path, nested=True)
    tensors = load_file(tmp_path / "model.safetensors")
    layer = load_base(str(tmp_path), "nf4-double").get_submodule(EXPERT.removesuffix(".weight"))
    assert isinstance(layer, LinearDouble4bit)
    assert torch.equal(layer.scales, tensors[f"{EXPERT}.absmax"])
    assert torch.equal(layer.largest_scales, tensors[f"{EXPERT}.nested_absmax"])
    theirs = unpacked(tensors, EXPERT)
    assert torch.equal(layer.dequantize(torch.bfloat16), theirs)


@pytest.mark.parametrize("part", ["blocksize", "levels"])
def test_scales_that_are_nested_in_another_way_are_nested_anew(
    stock_model: GptOssForCausalLM, tmp_path: Path, part: str
) -> None:
    write_per_expert(stock_model, tmp_path, nested=True)
    if part == "blocksize":
        name, changed = "quant_state.bitsandbytes__nf4", state_with(tmp_path, nested_blocksize=64)
    else:
        name, changed = "nested_quant_map", torch.linspace(-1, 1, 256)
    edit(tmp_path, f"{EXPERT}.{name}", changed)
    double, plain = (
        load_base(str(tmp_path), kind).get_submodule(EXPERT.removesuffix(".weight"))
        for kind in ("nf4-double", "nf4")
    )
    expected = NestedScales.quantize(plain.scales)
    assert torch.equal(double.scales, expected.codes)


@pytest.mark.parametrize("quantization", ["nf4", "nf4-double", "none"])
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
        ({"dtype": "no_type"}, "is not a bitsandbytes state"),
        ({"dtype": "int8"}, "was packed from torch.int8; expected a float type"),
        ({"dtype": "nn"}, "was packed from .*; expected a float type"),
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


@pytest.mark.parametrize("part", ["nested_absmax", "nested_quant_map"])
def test_a_missing_part_of_nested_scales_is_named(
    stock_model: GptOssForCausalLM, tmp_path: Path, part: str
) -> None:
    write_per_expert(stock_model, tmp_path, True)
    edit(tmp_path, f"{EXPERT}.{part}", None)
    with pytest.raises(UserError, match=rf"model\.safetensors: tensor {EXPERT} needs .*{part}"):
        load_base(str(tmp_path))


@pytest.mark.parametrize(
    ("nested", "part", "tensor", "expected"),
    [
        (False, "absmax", torch.ones(3), r"is \(3,\) float32; expected \(64,\) of a float type"),
        (False, "absmax", torch.ones(64).byte(), r"uint8; expected \(64,\) of a float type"),
        (True, "absmax", torch.ones(64), r"float32; expected \(64,\) uint8"),
        (True, "absmax", torch.ones(63).byte(), r"is \(63,\) uint8; expected \(64,\) uint8"),
        (True, "nested_absmax", torch.ones(0), r"is \(0,\) .*; expected \(1,\) of a float type"),
        (True, "nested_absmax", torch.ones(1).byte(), r"expected \(1,\) of a float type"),
        (True, "nested_quant_map", torch.ones(3), r"expected \(256,\) of a float type"),
        (True, "nested_quant_map", torch.ones(256).int(), r"expected \(256,\) of a float type"),
    ],
)
def test_scales_of_another_number_or_type_are_refused(
    stock_model: GptOssForCausalLM,
    tmp_path: Path,
    nested: bool,
    part: str,
    tensor: torch.Tensor,
    expected: str,
) -> None:
    write_per_expert(stock_model, tmp_path, nested)
    edit(tmp_path, f"{EXPERT}.{part}", tensor)
    with pytest.raises(UserError, match=rf"tensor {EXPERT}\.{part} .*{expected}"):
        load_base(str(tmp_path))


@pytest.mark.parametrize("size", [0, -256, "256", None])
def test_nested_blocks_of_no_size_are_refused(
    stock_model: GptOssForCausalLM, tmp_path: Path, size: object
) -> None:
    write_per_expert(stock_model, tmp_path, True)
    state = state_with(tmp_path, nested_blocksize=size)
    edit(tmp_path, f"{EXPERT}.quant_state.bitsandbytes__nf4", state)
    with pytest.raises(UserError, match=r"has nested_blocksize .*; expected a whole number"):
        load_base(str(tmp_path))


def test_nested_scales_in_sixteen_bits_are_read_as_the_numbers_they_are(
    stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    write_per_expert(stock_model, tmp_path, True)
    name = f"{EXPERT}.nested_absmax"
    largest = load_file(tmp_path / "model.safetensors")[name].bfloat16()
    layers = []
    for stored in (largest, largest.float()):
        edit(tmp_path, name, stored)
        layers.append(load_base(str(tmp_path)).get_submodule(EXPERT.removesuffix(".weight")))
    assert torch.equal(layers[0].scales, layers[1].scales)


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "model.layers.0.mlp.router.linear.weight"]
)
def test_a_packed_weight_of_what_is_no_linear_layer_is_refused(
    stock_model: GptOssForCausalLM, tmp_path: Path, name: str
) -> None:
    write_per_expert(stock_model, tmp_path, True)
    weight = load_file(tmp_path / "model.safetensors")[name]
    for part, tensor in packed_tensors(name, weight, nested=True).items():
        edit(tmp_path, part, tensor)
    with pytest.raises(UserError, match=rf"tensor {name} is packed in 4 bits, and the model has"):
        load_base(str(tmp_path))
