import copy
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from animelm.errors import UserError
from animelm.model.attention.documents import packed_hidden_states
from animelm.model.checkpoint.load import initial_model, load_base, save_base
from animelm.model.inspection import inspect_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, load_adapter, save_adapter
from animelm.model.lora.targets import DEFAULT_TARGETS
from animelm.model.quantization.linear4bit import Linear4bit, weight_in

LENGTHS = [3, 21, 8, 1, 13]


@pytest.fixture(scope="module", params=[False, True], ids=["own head", "tied head"])
def stock(request: pytest.FixtureRequest) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=request.param,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.2)
    return model


@pytest.fixture(scope="module")
def base(stock: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    stock.save_pretrained(folder)
    return folder


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(2, 42).view(2, 20)).logits


def test_an_unpacked_base_gives_the_stock_models_logits(base: Path, stock: LlamaForCausalLM):
    ours = logits(load_base(str(base), "none"))
    torch.testing.assert_close(ours, logits(LlamaForCausalLM.from_pretrained(base)))
    torch.testing.assert_close(ours, logits(stock))


def test_a_packed_base_gives_the_logits_of_a_stock_model_with_the_unpacked_weights(
    base: Path, stock: LlamaForCausalLM
) -> None:
    model = load_base(str(base), "nf4")
    packed = {n: layer for n, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    assert len(packed) == 2 * 7
    twin = copy.deepcopy(stock)
    for name, layer in packed.items():
        weight = twin.get_submodule(name).weight
        error = (weight_in(layer, torch.float32) - weight).abs().max()
        assert error < 0.153 * weight.abs().max()
        weight.data = weight_in(layer, torch.float32)
    torch.testing.assert_close(logits(model), logits(twin), rtol=1e-4, atol=1e-4)


def test_packed_documents_give_the_logits_of_one_document_at_a_time(
    base: Path, stock: LlamaForCausalLM
) -> None:
    model = load_base(str(base), "none")
    positions = torch.cat([torch.arange(length) for length in LENGTHS]).repeat(2, 1)
    input_ids = torch.randint(2, 97, positions.shape, generator=torch.Generator().manual_seed(0))
    packed = model.lm_head(packed_hidden_states(model, input_ids, positions))
    for block, ids in enumerate(input_ids):
        begin = 0
        for length in LENGTHS:
            alone = stock(ids[None, begin : begin + length]).logits[0]
            ours = packed[block, begin : begin + length]
            torch.testing.assert_close(ours, alone, rtol=1e-4, atol=1e-4)
            begin += length


def test_gradients_of_packed_documents_reach_every_adapter(base: Path) -> None:
    model = add_adapter(load_base(str(base), "nf4"), LoraSettings(rank=2, dropout=0.0))
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    packed_hidden_states(model, positions + 2, positions).square().sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * 7
    assert all(parameter.grad is not None for parameter in trained)


def test_generation_uses_the_cache_and_equals_the_stock_model(base: Path, stock: LlamaForCausalLM):
    ids = torch.arange(2, 14).view(1, 12)
    ours = load_base(str(base), "none").generate(ids, max_new_tokens=16, do_sample=False)
    assert torch.equal(ours, stock.generate(ids, max_new_tokens=16, do_sample=False))


def test_every_target_is_reached_by_its_own_name(base: Path, stock: LlamaForCausalLM) -> None:
    inspection = inspect_base(str(base), "nf4", LoraSettings(rank=4), torch.float32)
    assert inspection.audit is not None
    assert set(inspection.audit.per_target) == set(DEFAULT_TARGETS)
    assert all(inspection.audit.per_target.values())
    # A head that is the embedding is one matrix.
    assert inspection.parameters == sum(p.numel() for p in stock.parameters())
    norms = [row for row in inspection.modules if row.type == "LlamaRMSNorm"]
    assert len(norms) == 2 * 2 + 1


def test_an_adapter_is_saved_and_loaded(base: Path, tmp_path: Path) -> None:
    model = add_adapter(load_base(str(base), "nf4"), LoraSettings(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_adapter(model, tmp_path)
    again = load_adapter(load_base(str(base), "nf4"), tmp_path, trainable=False)
    assert isinstance(again, PeftModel)
    torch.testing.assert_close(logits(again.eval()), logits(model.eval()))


def test_an_adapter_of_gpt_oss_is_refused(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    save_adapter(add_adapter(load_base(str(checkpoint)), LoraSettings(rank=2)), tmp_path)
    with pytest.raises(UserError, match=r"32 tensors of its file do not exist in the base"):
        load_adapter(load_base(str(base)), tmp_path, trainable=False)


def test_a_model_trained_whole_is_written_as_stock_transformers_reads_it(
    base: Path, tmp_path: Path
) -> None:
    model = initial_model(str(base), seed=1)
    assert all(parameter.requires_grad for parameter in model.parameters())
    save_base(model, tmp_path, torch.float32)
    stock = LlamaForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(stock), logits(model.eval()))


def test_mxfp4_is_refused(base: Path) -> None:
    with pytest.raises(UserError, match="mxfp4 supports gpt-oss only"):
        load_base(str(base), "mxfp4")


@pytest.mark.parametrize("own", [False, True])
def test_a_head_that_is_not_the_embedding_is_not_tied_to_it(
    stock: LlamaForCausalLM, tmp_path: Path, own: bool
) -> None:
    stock.save_pretrained(tmp_path)
    state = stock.state_dict()
    embedding = state["model.embed_tokens.weight"].clone()
    state["lm_head.weight"] = embedding.flip(0).contiguous() if own else embedding
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    if own and stock.config.tie_word_embeddings:
        message = r"lm_head\.weight differs from model\.embed_tokens\.weight, .*tie_word_embeddings"
        with pytest.raises(UserError, match=message):
            load_base(str(tmp_path))
    else:
        head = load_base(str(tmp_path)).lm_head.weight
        torch.testing.assert_close(head, state["lm_head.weight"])
