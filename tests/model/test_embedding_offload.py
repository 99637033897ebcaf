import copy
from pathlib import Path

import pytest
import torch
from transformers import GptOssForCausalLM

from animelm.errors import UserError
from animelm.model.checkpoint.load import load_base
from animelm.model.embedding_offload import CpuEmbedding, keep_embeddings_on_cpu
from animelm.model.lora.adapters import LoraSettings, add_adapter


def test_the_table_stays_when_the_model_moves_and_the_rest_does_not(checkpoint: Path) -> None:
    model = load_base(str(checkpoint))
    keep_embeddings_on_cpu(model)
    model.to("meta")
    assert isinstance(model.model.embed_tokens, CpuEmbedding)
    assert model.model.embed_tokens.table.device.type == "cpu"
    # Where inputs of a generation go.
    assert model.device.type == "meta"
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_answers_and_logits_are_the_same(checkpoint: Path) -> None:
    plain, kept = (load_base(str(checkpoint)) for _ in range(2))
    keep_embeddings_on_cpu(kept)
    ids = torch.arange(2, 42).view(2, 20)
    answers = [
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False)
        for model in (plain, kept)
    ]
    assert torch.equal(*answers)
    with torch.no_grad():
        assert torch.equal(plain(input_ids=ids).logits, kept(input_ids=ids).logits)


def test_a_matrix_that_the_head_needs_too_is_not_kept_away_from_it(
    stock_model: GptOssForCausalLM, tmp_path: Path
) -> None:
    config = copy.deepcopy(stock_model.config)
    config.tie_word_embeddings = True
    GptOssForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"tie_word_embeddings.*embeddings_on_cpu=false"):
        keep_embeddings_on_cpu(load_base(str(tmp_path)))


def test_an_adapter_of_what_was_taken_out_is_refused(checkpoint: Path) -> None:
    model = load_base(str(checkpoint))
    keep_embeddings_on_cpu(model)
    with pytest.raises(UserError, match="embed_tokens"):
        add_adapter(model, LoraSettings(target_modules=("q_proj", "embed_tokens")))
