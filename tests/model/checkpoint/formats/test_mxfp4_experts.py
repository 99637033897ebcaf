import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM, Mxfp4Config

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.quantization.double_quantization import NestedScales
from animelm.model.quantization.linear4bit import Linear4bit
from animelm.model.quantization.mxfp4 import LinearMXFP4
from tests.layouts import stock_twin, write_mxfp4


@pytest.fixture(scope="module")
def released(stock_model: GptOssForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mxfp4(stock_model, tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def dequantized(released: Path) -> GptOssForCausalLM:
    """What transformers makes of the same files."""
    return GptOssForCausalLM.from_pretrained(
        released, quantization_config=Mxfp4Config(dequantize=True), dtype=torch.float32
    ).eval()


def logits(model: GptOssForCausalLM) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(2, 42).view(2, 20)).logits


@pytest.mark.parametrize("quantization", ["mxfp4", "none"])
def test_kept_as_released_it_has_the_logits_of_transformers_dequantized_model(
    released: Path, dequantized: GptOssForCausalLM, quantization
) -> None:
    ours = logits(load_base(str(released), quantization))
    torch.testing.assert_close(ours, logits(dequantized), rtol=1e-4, atol=1e-4)


def test_not_one_byte_of_the_experts_changes(released: Path) -> None:
    model = load_base(str(released), "mxfp4")
    for file in released.glob("*.safetensors"):
        with safe_open(file, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                if name.endswith("_proj_blocks"):
                    path = name.replace("_proj_blocks", "_projs")
                    for index, blocks in enumerate(stored.get_tensor(name)):
                        layer = model.get_submodule(f"{path}.{index}")
                        assert isinstance(layer, LinearMXFP4)
                        assert torch.equal(layer.weight, blocks.flatten(1))


def test_attention_stays_as_the_checkpoint_has_it(released: Path) -> None:
    model = load_base(str(released), "mxfp4", torch.bfloat16)
    assert model.model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16


def test_requantized_it_is_what_bitsandbytes_makes_of_transformers_values(
    released: Path, dequantized: GptOssForCausalLM
) -> None:
    model = load_base(str(released), "nf4")
    for ours, theirs in zip(model.model.layers, dequantized.model.layers, strict=True):
        for expert, layer in enumerate(ours.mlp.experts.gate_up_projs):
            assert isinstance(layer, Linear4bit)
            packed, scales = torch.ops.bitsandbytes.quantize_4bit(
                theirs.mlp.experts.gate_up_proj[expert].T.contiguous(), 64, "nf4", torch.uint8
            )
            assert torch.equal(layer.weight.flatten(), packed.flatten())
            assert torch.equal(layer.scales, scales)
    torch.testing.assert_close(logits(model), logits(stock_twin(model)), rtol=1e-4, atol=1e-4)


def test_requantized_with_nested_scales_it_is_the_same_with_scales_nested(released: Path) -> None:
    double, plain = (load_base(str(released), kind) for kind in ("nf4-double", "nf4"))
    path = "model.layers.0.mlp.experts.down_projs.1"
    nested, layer = double.get_submodule(path), plain.get_submodule(path)
    assert torch.equal(nested.weight, layer.weight)
    assert torch.equal(nested.scales, NestedScales.quantize(layer.scales).codes)
    torch.testing.assert_close(logits(double), logits(stock_twin(double)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("broken", ["scales", "blocks", "rows"])
def test_what_is_missing_or_of_another_shape_is_named(
    released: Path, tmp_path: Path, broken: str
) -> None:
    name = "model.layers.1.mlp.experts.down_proj"
    (tmp_path / "config.json").write_text((released / "config.json").read_text())
    tensors = {}
    for file in released.glob("*.safetensors"):
        tensors |= load_file(file)
    if broken == "rows":
        tensors[f"{name}_blocks"] = tensors[f"{name}_blocks"][:, :-1].contiguous()
    else:
        del tensors[f"{name}_{broken}"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    expected = r"expected \(64, 1, 16\) uint8" if broken == "rows" else "the checkpoint lacks"
    with pytest.raises(UserError, match=rf"model\.safetensors: tensor {name}_.*{expected}"):
        load_base(str(tmp_path), "mxfp4")


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_rows_that_are_not_whole_blocks_are_named(
    released: Path, tmp_path: Path, quantization
) -> None:
    values = json.loads((released / "config.json").read_text()) | {"intermediate_size": 48}
    (tmp_path / "config.json").write_text(json.dumps(values))
    name = "model.layers.0.mlp.experts.down_proj"
    scales = torch.full((values["num_local_experts"], values["hidden_size"], 1), 127).byte()
    blocks = torch.zeros(*scales.shape, 16, dtype=torch.uint8)  # as many as are whole
    save_file({f"{name}_blocks": blocks, f"{name}_scales": scales}, tmp_path / "model.safetensors")
    message = rf"{name}_blocks is in MXFP4.* rows have 48 .*intermediate_size in multiples of 32"
    with pytest.raises(UserError, match=rf"model\.safetensors: tensor {message}"):
        load_base(str(tmp_path), quantization)


def test_keeping_mxfp4_needs_a_checkpoint_in_mxfp4(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="is float32, and quantization mxfp4 keeps experts"):
        load_base(str(checkpoint), "mxfp4")
