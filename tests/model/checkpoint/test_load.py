import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import load_base, save_base


def logits(model: GptOssForCausalLM) -> torch.Tensor:
    ids = torch.arange(2, 42).view(2, 20)
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_an_unquantized_base_gives_the_stock_models_logits(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    torch.testing.assert_close(
        logits(load_base(str(checkpoint), "none")), logits(stock_model), rtol=1e-4, atol=1e-4
    )


def test_a_four_bit_base_is_near_the_stock_model_and_frozen(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    model = load_base(str(checkpoint), "nf4")
    ours, theirs = logits(model).flatten(), logits(stock_model).flatten()
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.9
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_base_is_named_so_that_its_adapters_find_it_from_any_folder(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert load_base(checkpoint.name).name_or_path == str(checkpoint.resolve())


def test_experts_and_attention_are_held_in_four_bits_and_the_rest_is_not(checkpoint: Path) -> None:
    model = load_base(str(checkpoint), "nf4")
    packed = {
        name for name, parameter in model.named_parameters() if parameter.dtype == torch.uint8
    }
    experts = {n for n, _ in model.named_parameters() if ".experts." in n and n.endswith("weight")}
    attention = {n for n, _ in model.named_parameters() if "_proj.weight" in n and "self_attn" in n}
    assert packed == experts | attention
    assert len(experts) == 2 * 4 * 2


def test_a_saved_base_is_loaded_by_stock_transformers(
    checkpoint: Path, stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    save_base(load_base(str(checkpoint), "none"), tmp_path, torch.float32)
    torch.testing.assert_close(
        logits(GptOssForCausalLM.from_pretrained(tmp_path)), logits(stock_model)
    )


def test_generation_uses_the_cache_and_equals_the_stock_model(
    checkpoint: Path, stock_model: GptOssForCausalLM
) -> None:
    ids = torch.arange(2, 14).view(1, 12)
    ours = load_base(str(checkpoint), "none").generate(ids, max_new_tokens=16, do_sample=False)
    assert torch.equal(ours, stock_model.generate(ids, max_new_tokens=16, do_sample=False))


@pytest.mark.parametrize("prompts", [1, 2])
def test_the_head_is_never_handed_a_slice_for_which_its_weight_would_be_copied(
    checkpoint: Path, prompts: int
) -> None:
    model = load_base(str(checkpoint), "nf4")
    strides = []
    model.lm_head.register_forward_pre_hook(lambda head, inputs: strides.append(inputs[0].stride()))
    ids = torch.arange(2, 42).view(2, 20)[:prompts]
    model.generate(input_ids=ids, max_new_tokens=2, do_sample=False)
    assert strides == [(64, 64, 1)] * 2


def test_a_missing_tensor_is_named(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["model.layers.1.mlp.router.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"model\.layers\.1\.mlp\.router\.weight"):
        load_base(str(tmp_path))


def test_a_folder_without_weights_is_named(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(checkpoint / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"no \.safetensors file"):
        load_base(str(tmp_path))


def test_another_architecture_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    config["architectures"] = ["BertModel"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="expected GptOssForCausalLM"):
        load_base(str(tmp_path))


def test_saving_a_base_leaves_the_model_that_is_trained_blind_to_the_future(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = load_base(str(checkpoint), "none")
    save_base(model, tmp_path, torch.float32)
    positions = torch.arange(12)[None]
    first = torch.arange(2, 14)[None]
    second = first.clone()
    second[0, -1] = 50
    one, other = (packed_hidden_states(model, ids, positions) for ids in (first, second))
    torch.testing.assert_close(one[:, :-1], other[:, :-1])
