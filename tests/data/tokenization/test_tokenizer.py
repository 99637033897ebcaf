import json
import shutil

import pytest
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from animelm.data.tokenization.tokenizer import TextEncoder, document_end_token_id, load_tokenizer
from animelm.errors import UserError


@pytest.fixture
def unigram():
    """A vocabulary in which ``</s>`` is an ordinary piece as well, as SentencePiece's are."""
    pieces = ["<unk>", "<s>", "</s>", *"<>/sabc", "<tool>"]
    backend = Tokenizer(models.Unigram([(piece, -3.0) for piece in pieces], unk_id=0))
    backend.add_special_tokens([AddedToken("</s>", special=True, normalized=False)])
    backend.add_tokens(["<tool>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("text", ["a</s>b", "</s></s>", "<tool>a", "a</s", "</s>" * 40 + "abc"])
def test_text_is_cut_apart_where_the_vocabulary_itself_spells_a_control_token(unigram, text):
    (ids,) = TextEncoder(unigram).encode([text])
    assert set(unigram.convert_ids_to_tokens(ids)) <= set("<>/sabcto l") | {"<unk>"}
    known = TextEncoder(unigram).encode(["a</s>b"])[0]
    assert "".join(unigram.convert_ids_to_tokens(known)) == "a</s>b"


def test_no_texts_give_no_tokens(tokenizer):
    assert TextEncoder(tokenizer).encode([]) == []
    assert TextEncoder(tokenizer).encode([""]) == [[]]


def test_an_article_ends_with_eos_where_there_is_no_end_of_text(unigram):
    assert document_end_token_id(unigram) == unigram.eos_token_id


def test_a_tokenizer_comes_back_from_its_folder(tokenizer, base):
    assert load_tokenizer(base).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("name", ["/no/such/folder", "./absent", "tests/absent", "absent", "~/x/y"])
def test_a_base_that_is_not_there_is_reported(name, monkeypatch, project_root):
    monkeypatch.chdir(project_root)
    with pytest.raises(UserError, match="no such folder"):
        load_tokenizer(name)


def test_a_folder_without_a_tokenizer_is_reported(tmp_path):
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "key", "value", "told"),
    [
        (
            "tokenizer.json",
            "normalizer",
            {
                "type": "Sequence",
                "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 9}]
                * 2,
            },
            "it makes a text more than 64 times as long",
        ),
        (
            "tokenizer.json",
            "decoder",
            {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 65},
            "it makes a text more than 64 times as long",
        ),
        ("tokenizer_config.json", "model_max_length", "x", "model_max_length is 'x'"),
    ],
    ids=["normalizer", "decoder", "length"],
)
def test_a_tokenizer_that_would_fill_the_memory_is_refused(base, tmp_path, file, key, value, told):
    shutil.copytree(base, tmp_path / "base")
    path = tmp_path / "base" / file
    values = json.loads(path.read_text(encoding="utf-8")) | {key: value}
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=f"its tokenizer cannot be loaded: {told}"):
        load_tokenizer(str(tmp_path / "base"))
