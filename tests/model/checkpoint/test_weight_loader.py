import pytest
import torch
from transformers import GptOssConfig

from animelm.errors import UserError
from animelm.model.architecture import empty_model
from animelm.model.checkpoint.formats import load_tensor
from animelm.model.checkpoint.reader import Checkpoint
from animelm.model.checkpoint.weight_loader import WeightLoader

ATTENTION = "model.layers.0.self_attn"
EXPERTS = "model.layers.0.mlp.experts"
FLOAT8 = torch.ones(64, 64).to(torch.float8_e4m3fn)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("model.norm.weight", torch.ones(3), r"is \(3,\) float32; expected \(64,\)"),
        (f"{ATTENTION}.q_proj.weight", torch.ones(64, 32), r"expected \(64, 64\) of a float"),
        (f"{ATTENTION}.q_proj.weight", torch.ones(64, 64).byte(), r"expected \(64, 64\) of a"),
        (f"{ATTENTION}.q_proj.weight", FLOAT8, r"float8_e4m3fn; expected .* of 16 bits or more"),
        (
            "model.embed_tokens.weight",
            FLOAT8[:1].expand(97, 64),
            r"expected \(97, 64\) of a float type",
        ),
        (
            f"{EXPERTS}.gate_up_proj",
            torch.ones(3, 64, 64),
            "a first dimension of 4, one per",
        ),
        (f"{EXPERTS}.down_proj", torch.ones(4, 64, 32), r"expected \(64, 32\) of a float type"),
        (f"{EXPERTS}.down_proj.qweight", torch.ones(2), "does not exist in GptOss.*Known formats"),
        ("model.layers.7.mlp.router.weight", torch.ones(2), "does not exist in GptOssForCausalLM"),
        ("model.norm.weight_scale", torch.ones(1), "does not exist in GptOssRMSNorm"),
    ],
)
def test_what_does_not_fit_is_named(
    tiny_config: GptOssConfig, name: str, tensor: torch.Tensor, message: str
) -> None:
    loader = WeightLoader(empty_model(tiny_config), torch.float32)
    checkpoint = Checkpoint.from_state_dict({name: tensor}, "some/file")
    with pytest.raises(UserError, match=rf"^some/file: tensor {name} .*{message}"):
        load_tensor(next(iter(checkpoint)), checkpoint, loader)


def test_a_part_of_a_larger_tensor_does_not_keep_it_in_memory(tiny_config: GptOssConfig) -> None:
    loader = WeightLoader(empty_model(tiny_config), torch.float32)
    checkpoint = Checkpoint.from_state_dict({f"{EXPERTS}.down_proj_bias": torch.ones(4, 64)}, "x")
    load_tensor(next(iter(checkpoint)), checkpoint, loader)
    bias = loader.model.get_submodule(f"{EXPERTS}.down_projs.2").bias
    assert bias.untyped_storage().nbytes() == 64 * 4


def test_a_table_of_rotary_frequencies_is_left_out(tiny_config: GptOssConfig) -> None:
    loader = WeightLoader(empty_model(tiny_config), torch.float32)
    name = f"{ATTENTION}.rotary_emb.inv_freq"
    checkpoint = Checkpoint.from_state_dict({name: torch.ones(8)}, "x")
    before = set(loader.missing)
    load_tensor(next(iter(checkpoint)), checkpoint, loader)
    assert loader.missing == before
