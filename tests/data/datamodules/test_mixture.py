from collections import Counter
from itertools import pairwise

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.data.batches.batch import IGNORED
from animelm.data.datamodules.mixture import MixtureDataModule, Source
from animelm.data.split import split_qa
from animelm.errors import UserError


@pytest.fixture
def questions(make_records, write_records, tmp_path):
    return write_records(tmp_path / "questions.jsonl", make_records(6, 8, "general"))


@pytest.fixture
def make_module(base, articles, questions, tmp_path):
    def make(**settings):
        defaults = {
            "sources": [Source(questions, repeats=3), Source(articles, repeats=2)],
            "asked": questions,
            "block_size": 128,
            "blocks_per_batch": 2,
            "workers": 1,
            "cache": tmp_path / "cache",
        }
        return MixtureDataModule(base, **{**defaults, **settings})

    return make


def documents_of(batches):
    """The documents of some batches, cut where the positions restart, without padding."""
    documents = []
    for batch in batches:
        for ids, positions, padding in zip(
            batch.input_ids, batch.position_ids, batch.is_padding, strict=True
        ):
            starts = [*(positions == 0).nonzero().flatten().tolist(), len(ids)]
            for begin, end in pairwise(starts):
                if not padding[begin]:
                    documents.append(tuple(ids[begin:end].tolist()))
    return documents


def heads_of(documents, tokenizer):
    """How often each article begins in some documents, by its heading."""
    texts = [tokenizer.decode(document) for document in documents]
    return Counter(text.partition("\n")[0] for text in texts if text.startswith("# "))


def test_every_document_comes_as_often_as_its_source_says(make_module, make_records, tokenizer):
    documents = documents_of(make_module().train_dataloader())
    assert heads_of(documents, tokenizer) == {f"# 作品{i}": 2 for i in range(20)}
    trained = split_qa(make_records(6, 8, "general"), 0.25, 0.0).train
    pairs = Counter(d for d in documents if tokenizer.decode(d).startswith("<|start|>"))
    assert len(pairs) == sum(len(record.answers) for record in trained)
    assert set(pairs.values()) == {3}


def test_only_wordings_that_are_not_held_out_are_trained(make_module, make_records, tokenizer):
    split = split_qa(make_records(6, 8, "general"), 0.25, 0.0)
    assert split.unseen_wording
    shown = "".join(tokenizer.decode(d) for d in documents_of(make_module().train_dataloader()))
    assert all(record.question in shown for record in split.train)
    assert not any(record.question in shown for record in split.unseen_wording)


def test_answers_alone_are_supervised_in_questions_and_all_of_an_article(
    make_module, questions, articles, tokenizer
):
    module = make_module(sources=[Source(questions)])
    targets = [b.targets[b.targets != IGNORED] for b in module.train_dataloader()]
    answers = "".join(map(tokenizer.decode, targets)).split("<|return|>")[:-1]
    assert answers and all("主人公は" in a or a.startswith("人物") for a in answers)
    assert not any("誰ですか" in answer for answer in answers)
    batches = list(make_module(sources=[Source(articles)]).train_dataloader())
    supervised = sum(batch.supervised_tokens for batch in batches)
    # Every token but each document's first; a document cut in two keeps its target across the cut.
    assert supervised == sum(int((~b.is_padding).sum()) for b in batches) - 20


def test_validation_asks_held_out_wordings_no_more_than_wanted(
    make_module, recorder, trainer, make_records
):
    held_out = {r.id for r in split_qa(make_records(6, 8, "general"), 0.25, 0.0).unseen_wording}
    for wanted, expected in [(1000, len(held_out)), (5, 5)]:
        model = recorder()
        module = make_module(questions_per_set=wanted, questions_per_batch=4)
        trainer().validate(model, datamodule=module, verbose=False)
        asked = [record.id for batch in model.validated for record in batch.records]
        assert len(asked) == len(set(asked)) == expected
        assert set(asked) <= held_out
        assert {batch.held_out_set for batch in model.validated} == {"general"}
        assert all(len(batch) <= 4 for batch in model.validated)


def test_each_epoch_shows_the_same_documents_in_another_order(make_module, recorder, trainer):
    model = recorder()
    trainer(max_epochs=2, limit_val_batches=0).fit(model, datamodule=make_module())
    half = len(model.trained) // 2
    first, second = (
        [tuple(row) for batch in part for row in batch]
        for part in (model.trained[:half], model.trained[half:])
    )
    assert first != second
    assert sorted(first) == sorted(second)


def test_a_leading_source_comes_first_in_every_epoch_in_one_order(
    make_module, recorder, trainer, questions, articles, tokenizer
):
    sources = [Source(questions), Source(articles, repeats=2, leads=True)]
    model = recorder()
    module = make_module(sources=sources)
    trainer(max_epochs=2, limit_val_batches=0).fit(model, datamodule=module)
    rows = [tokenizer.decode(row) for batch in model.trained for row in batch]
    epochs = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    led = [["<|start|>user" not in row for row in epoch] for epoch in epochs]
    count = sum(led[0])
    assert 0 < count < len(led[0])
    assert led[0] == led[1] == sorted(led[0], reverse=True)
    assert epochs[0][:count] == epochs[1][:count]
    assert epochs[0][count:] != epochs[1][count:]
    counts = heads_of(documents_of(make_module(sources=sources).train_dataloader()), tokenizer)
    assert counts == {f"# 作品{i}": 2 for i in range(20)}


def test_the_order_follows_from_the_seed(make_module):
    def shown(seed):
        return [batch.input_ids.tolist() for batch in make_module(seed=seed).train_dataloader()]

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)


@pytest.mark.parametrize("step", [1, 7])
def test_a_run_resumes_at_the_next_batch(make_module, recorder, trainer, tmp_path, step):
    whole = recorder()
    trainer(max_epochs=2).fit(whole, datamodule=make_module())
    keep = ModelCheckpoint(tmp_path, filename="kept", every_n_train_steps=step, save_top_k=1)
    stopped = recorder()
    settings = {"max_epochs": 2, "enable_checkpointing": True, "callbacks": [keep]}
    trainer(**settings, max_steps=step).fit(stopped, datamodule=make_module())
    resumed = recorder()
    trainer(max_epochs=2).fit(
        resumed, datamodule=make_module(), ckpt_path=tmp_path / "kept.ckpt", weights_only=True
    )
    assert len(stopped.trained) == step
    assert stopped.trained + resumed.trained == whole.trained


def test_each_process_has_its_own_share(make_module):
    class OneOfTwo:
        world_size = 2

        def __init__(self, rank):
            self.global_rank = rank

    shares = []
    for rank in range(2):
        module = make_module()
        module.trainer = OneOfTwo(rank)
        shares.append([row for b in module.train_dataloader() for row in b.input_ids.tolist()])
    whole = [row for b in make_module().train_dataloader() for row in b.input_ids.tolist()]
    assert len(shares[0]) == len(shares[1]) == len(whole) // 2
    both = Counter(tuple(row) for share in shares for row in share)
    assert not both - Counter(map(tuple, whole))


def test_every_record_asked_is_there_for_scoring(make_module, make_records):
    scored = {record.id for record in make_module().records_for_scoring}
    assert scored == {record.id for record in make_records(6, 8, "general")}


def test_no_source_is_reported(make_module):
    with pytest.raises(UserError, match="sources is empty"):
        make_module(sources=[])


def test_a_source_that_is_not_there_is_reported(make_module, tmp_path):
    with pytest.raises(UserError, match=r"missing\.jsonl: no such file"):
        make_module(sources=[Source(tmp_path / "missing.jsonl")]).prepare_data()
