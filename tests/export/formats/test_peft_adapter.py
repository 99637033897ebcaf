import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from animelm.export.composed import compose_adapter
from animelm.export.formats.peft_adapter import write_peft
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, load_adapter, save_adapter

EXPERTS = "base_model.model.model.layers.0.mlp.experts"


def test_the_projection_that_was_not_trained_is_written_with_zeros(
    tiny_base: str, make_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    adapter = make_adapter(tmp_path / "adapter", ("down_proj",))
    (tmp_path / "out").mkdir()
    write_peft(tiny_base, compose_adapter(adapter), tmp_path / "out")
    weights = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert weights[f"{EXPERTS}.base_layer.lora_B.weight"].shape == (64, 2 * 4)
    assert not weights[f"{EXPERTS}.base_layer.lora_B.weight"].any()
    assert weights[f"{EXPERTS}.lora_B.weight"].all()
    again = load_adapter(load_base(tiny_base), tmp_path / "out", trainable=False)
    alone = load_adapter(load_base(tiny_base), adapter, trainable=False)
    ids = torch.arange(2, 20).view(1, 18)
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, alone(input_ids=ids).logits)


def test_a_stack_is_one_adapter_of_one_rank_and_alpha(
    tiny_base: str, stacked: Path, tmp_path: Path
) -> None:
    write_peft(tiny_base, compose_adapter(stacked), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], config["rank_pattern"]) == (4, 4, {})
    assert sorted(config["target_modules"]) == ["k_proj", "o_proj", "q_proj", "v_proj"]
    again = load_adapter(load_base(tiny_base), tmp_path, trainable=False)
    both = load_adapter(load_base(tiny_base), stacked, trainable=False)
    ids = torch.arange(2, 20).view(1, 18)
    with torch.no_grad():
        expected = both(input_ids=ids).logits
        torch.testing.assert_close(again(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def llama(tmp_path: Path, tiny_base: str) -> str:
    """A dense model with the tokenizer of the embedded base."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 8192, "hidden_size": 64, "intermediate_size": 96}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads)).save_pretrained(tmp_path / "llama")
    PreTrainedTokenizerFast.from_pretrained(tiny_base).save_pretrained(tmp_path / "llama")
    return str(tmp_path / "llama")


def test_an_adapter_of_a_dense_model_names_its_projections(llama: str, tmp_path: Path) -> None:
    model = add_adapter(load_base(llama, "nf4"), LoraSettings(rank=2))
    save_adapter(model, tmp_path / "adapter")
    (tmp_path / "out").mkdir()
    write_peft(llama, compose_adapter(tmp_path / "adapter"), tmp_path / "out")
    config = json.loads((tmp_path / "out/adapter_config.json").read_text(encoding="utf-8"))
    assert config["target_parameters"] is None
    assert {"gate_proj", "down_proj", "q_proj"} <= set(config["target_modules"])
