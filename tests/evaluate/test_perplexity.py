import math

import pytest
import torch
import torch.nn.functional as F
from transformers import GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.batches.batch import Document
from animelm.data.batches.packing import build_batch, pack
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.perplexity import perplexity
from animelm.model.checkpoint.load import load_base

TEXTS = (
    "鋼の錬金術師は、兄弟の旅を描く。主人公はエドワードである。",
    "日本の首都は東京である。",
    "短い。",
)


@pytest.fixture(scope="session")
def documents(tokenizer: PreTrainedTokenizerBase) -> list[Document]:
    chat = ChatFormat(tokenizer)
    return [
        Document(torch.tensor(ids).int().numpy(), torch.ones(len(ids)).bool().numpy(), text)
        for text in TEXTS
        for ids in [[*chat.encode_text(text), chat.document_end_token_id]]
    ]


def test_packed_perplexity_is_that_of_each_article_alone(
    base: str, documents: list[Document]
) -> None:
    blocks = pack([len(document) for document in documents], 40)
    assert len(blocks) < len(documents), "the articles must share a block, or nothing is tested"
    batches = [build_batch(documents, [block], 40, pad_token_id=1) for block in blocks]
    steps: list[int] = []
    measured = perplexity(load_base(base, "none"), batches, steps.append)

    stock = GptOssForCausalLM.from_pretrained(base, attn_implementation="eager")
    loss, tokens = 0.0, 0
    for document in documents:
        ids = torch.from_numpy(document.input_ids).long()
        logits = stock(input_ids=ids[None]).logits[0].detach()
        loss += float(F.cross_entropy(logits[:-1], ids[1:], reduction="sum"))
        tokens += len(ids) - 1
    assert measured is not None
    assert measured.tokens == tokens
    assert measured.value == pytest.approx(math.exp(loss / tokens), rel=1e-4)
    assert len(steps) == len(batches)


def test_a_model_that_knows_nothing_has_the_vocabularys_size(
    base: str, documents: list[Document]
) -> None:
    model = load_base(base, "none").train()
    torch.nn.init.zeros_(model.lm_head.weight)
    batch = build_batch(documents, pack([len(d) for d in documents], 64), 64, pad_token_id=1)
    measured = perplexity(model, [batch])
    assert measured is not None
    assert measured.value == pytest.approx(model.config.vocab_size, rel=1e-4)
    assert model.training, "the model's mode is put back"


def test_nothing_to_predict_has_no_perplexity(base: str, documents: list[Document]) -> None:
    empty = build_batch(documents, [[]], 16, pad_token_id=1)
    assert perplexity(load_base(base, "none"), [empty]) is None
    assert perplexity(load_base(base, "none"), []) is None
