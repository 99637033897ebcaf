import pytest
import torch

from animelm.data.batches.loaders import QuestionLoader
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError


@pytest.fixture(scope="session")
def chat(tokenizer):
    return ChatFormat(tokenizer)


def test_questions_come_left_padded_and_longest_first(tokenizer, chat, make_records):
    records = [*make_records(12, 1), *make_records(3, 1, domain="a much longer name")]
    loader = QuestionLoader(records, chat, "anime_only_read", questions_per_batch=7)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [6, 6, 6, 6, 6] and len(loader) == 5
    lengths = [n for b in batches for n in b.attention_mask.sum(1).tolist()]
    assert lengths == sorted(lengths, reverse=True)
    for batch in batches:
        assert batch.held_out_set == "anime_only_read"
        assert batch.input_ids.dtype == torch.int64
        for ids, mask, record in zip(
            batch.input_ids, batch.attention_mask, batch.records, strict=True
        ):
            assert mask.diff().min() >= 0 and mask[-1] == 1
            assert ids[mask.bool()].tolist() == chat.encode_prompt(record.question)
            assert (ids[~mask.bool()] == chat.pad_token_id).all()
    assert {r.id for b in batches for r in b.records} == {r.id for r in records}


@pytest.mark.parametrize("count", [4, 5, 9, 16, 17])
def test_processes_ask_each_question_once_in_equally_many_batches(chat, make_records, count):
    records = make_records(10, 1)[:count]
    loaders = [QuestionLoader(records, chat, "x", 2, rank, 4) for rank in range(4)]
    assert len({len(loader) for loader in loaders}) == 1
    asked = [r.id for loader in loaders for batch in loader for r in batch.records]
    assert sorted(asked) == sorted(r.id for r in records)


def test_fewer_questions_than_processes_are_reported(chat, make_records):
    with pytest.raises(UserError, match="2 questions for 4 processes"):
        QuestionLoader(make_records(1, 1), chat, "x", 2, 0, 4)
