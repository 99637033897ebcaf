from collections import Counter

import numpy as np
import pytest
import torch

from animelm.data.batches.batch import Document
from animelm.data.batches.loaders import (
    PackedLoader,
    QuestionLoader,
    TrainingSource,
    training_loader,
)
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


LENGTHS = np.array([40, 50, 30, 20, 60, 10], dtype=np.int64)
DOCUMENTS = [
    Document(np.full(n, i, dtype=np.int32), np.ones(n, dtype=bool), str(i))
    for i, n in enumerate(LENGTHS)
]


def mixed(*sources: TrainingSource, block_size: int = 10) -> PackedLoader:
    return training_loader(sources, block_size, 2, 99, seed=0, rank=0, world_size=1)


def source(*numbers: int, **weights) -> TrainingSource:
    return TrainingSource(DOCUMENTS, LENGTHS, np.array(numbers, dtype=np.int64), **weights)


def tokens_of(loader: PackedLoader) -> Counter[int]:
    return Counter(int(t) for batch in loader for t in batch.input_ids[~batch.is_padding])


def test_an_epoch_shows_each_source_in_its_passes() -> None:
    shown = tokens_of(mixed(source(0, 1, passes=2), source(2, passes=1)))
    assert shown == {0: 80, 1: 100, 2: 30}


def test_each_share_is_a_share_of_all_tokens() -> None:
    loader = mixed(source(0, 1, 2, passes=1), source(3, share=0.25), source(4, 5, share=0.25))
    # 120 tokens are half of the epoch.
    shown = {"whole": 0, "first": 0, "second": 0}
    for number, count in tokens_of(loader).items():
        shown[{3: "first", 4: "second", 5: "second"}.get(number, "whole")] += count
    assert shown == {"whole": 120, "first": 60, "second": 60}


def test_what_is_drawn_differs_between_epochs() -> None:
    loader = mixed(source(0, passes=1), source(1, 2, 3, 4, share=0.5))
    epochs = []
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        epochs.append(tokens_of(loader))
    assert len({tuple(sorted(shown.items())) for shown in epochs}) > 1


def test_a_source_that_leads_comes_before_all_others() -> None:
    loader = mixed(source(0, passes=3), source(5, passes=2, leads=True))
    order = [int(t) for batch in loader for t in batch.input_ids.flatten()]
    assert order[:20] == [5] * 20 and 5 not in order[20:]


def test_a_source_without_documents_is_left_out() -> None:
    assert tokens_of(mixed(source(0, passes=1), source(share=0.5))) == {0: 40}


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"add up to 1; expected less than 1"):
        mixed(source(0, passes=1), source(1, share=0.5), source(2, share=0.5))
