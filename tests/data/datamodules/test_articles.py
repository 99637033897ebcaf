import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.data.batches.batch import PackedBatch
from animelm.data.datamodules.articles import MarkdownDataModule
from animelm.data.sources.markdown import find_articles, read_article
from animelm.data.split import split_articles
from animelm.errors import UserError


@pytest.fixture
def replay(tmp_path):
    folder = tmp_path / "replay"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:02d}.md").write_text(f"国{i}の首都は都市{i}です。" * 3, encoding="utf-8")
    return folder


@pytest.fixture
def make_module(base, articles, replay, tmp_path):
    def make(**settings):
        defaults = {
            "replay_folders": [replay],
            "block_size": 64,
            "blocks_per_batch": 2,
            "validation_share": 0.1,
            "cache": tmp_path / "cache",
        }
        return MarkdownDataModule(base, **{"folder": articles, **defaults, **settings})

    return make


def texts_of(batches, tokenizer):
    return tokenizer.decode([t for b in batches for row in b for t in row])


def test_fit_shows_every_training_article_and_validates_on_the_others(
    make_module, recorder, trainer, tokenizer
):
    model, module = recorder(), make_module()
    trainer(max_epochs=1).fit(model, datamodule=module)
    train, held_out = split_articles([f"work-{i:02d}.md" for i in range(20)], 0.1, 0)
    shown = texts_of(model.trained, tokenizer)
    heads = {name: f"# 作品{int(name[5:7])}\n" for name in (*train, *held_out)}
    assert all(heads[name] in shown for name in train)
    assert not any(heads[name] in shown for name in held_out)
    assert {batch.name for batch in model.validated} == {"anime_articles", "general_articles"}
    validated = [b.input_ids.tolist() for b in model.validated if b.name == "anime_articles"]
    assert all(heads[name] in texts_of(validated, tokenizer) for name in held_out)
    validated = [b.input_ids.tolist() for b in model.validated if b.name == "general_articles"]
    assert "作品" not in texts_of(validated, tokenizer)
    assert len(model.trained) == len(module.train_dataloader())
    assert module.validation_names == ["anime_articles", "general_articles"]


def test_replay_is_the_share_asked_for_and_fresh_in_each_epoch(
    make_module, recorder, trainer, tokenizer
):
    model = recorder()
    loader = make_module(replay_share=0.5).train_dataloader()
    trainer(max_epochs=2, limit_val_batches=0).fit(model, loader)
    half = len(model.trained) // 2
    epochs = [model.trained[:half], model.trained[half:]]
    blocks = [[row for batch in epoch for row in batch] for epoch in epochs]
    replayed = [[r for r in e if "主人公" not in tokenizer.decode(r)] for e in blocks]
    assert len(replayed[0]) == len(replayed[1]) == pytest.approx(len(blocks[0]) / 2, abs=1)
    assert sorted(replayed[0]) != sorted(replayed[1])


@pytest.mark.parametrize("step", [1, 5, 7])
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
    assert stopped.trained + resumed.trained == whole.trained


@pytest.mark.parametrize("at_the_train_end", [True, False])
def test_a_run_resumes_between_two_epochs(
    make_module, recorder, trainer, tmp_path, at_the_train_end
):
    whole = recorder()
    trainer(max_epochs=2).fit(whole, datamodule=make_module())
    keep = ModelCheckpoint(tmp_path, filename="kept", save_on_train_epoch_end=at_the_train_end)
    stopped, resumed = recorder(), recorder()
    trainer(max_epochs=1, enable_checkpointing=True, callbacks=[keep]).fit(
        stopped, datamodule=make_module()
    )
    trainer(max_epochs=2).fit(
        resumed, datamodule=make_module(), ckpt_path=tmp_path / "kept.ckpt", weights_only=True
    )
    assert stopped.trained + resumed.trained == whole.trained


def test_parquet_is_split_trained_and_mixed_in_like_markdown(
    make_module, articles, replay, write_parquet, tmp_path
):
    def in_parquet(folder):
        rows = [{"title": p.name, "text": read_article(p)} for p in find_articles(folder)]
        return write_parquet(tmp_path / f"{folder.name}-parquet" / "a.parquet", rows).parent

    def batches_of(module):
        loaders = [module.train_dataloader(), *module.val_dataloader()]
        return [[batch.input_ids.tolist() for batch in loader] for loader in loaders]

    streamed = make_module(folder=in_parquet(articles), replay_folders=[in_parquet(replay)])
    assert batches_of(streamed) == batches_of(make_module())


def test_each_process_has_its_own_share(make_module, articles):
    class OneOfTwo:
        world_size = 2

        def __init__(self, rank):
            self.global_rank = rank

    shares = []
    for rank in range(2):
        module = make_module(replay_folders=None)
        module.trainer = OneOfTwo(rank)
        shares.append([row for b in module.train_dataloader() for row in b.input_ids.tolist()])
    whole = [
        row
        for b in make_module(replay_folders=None).train_dataloader()
        for row in b.input_ids.tolist()
    ]
    assert len(shares[0]) == len(shares[1]) == len(whole) // 2
    both = [row for share in shares for row in share]
    assert all(row in whole for row in both)
    assert len({tuple(row) for row in both}) == len(both)


def test_test_shows_the_articles_held_out(make_module, recorder, trainer):
    model = recorder()
    trainer().test(model, datamodule=make_module(), verbose=False)
    assert model.validated and all(isinstance(b, PackedBatch) for b in model.validated)


def test_without_articles_held_out_there_is_nothing_to_validate(make_module, recorder, trainer):
    model, module = recorder(), make_module(validation_share=0.0)
    trainer(max_epochs=1).fit(model, datamodule=module)
    assert model.trained and not model.validated and module.validation_names == []


def test_what_the_user_got_wrong_is_reported(make_module, base, tmp_path, articles):
    for settings in ({"replay_share": 1.0}, {"validation_share": -1}):
        with pytest.raises(UserError, match=next(iter(settings))):
            make_module(**settings)
    for settings in ({"block_size": 0}, {"blocks_per_batch": 0}):
        with pytest.raises(UserError, match=next(iter(settings))):
            make_module(**settings).train_dataloader()
    with pytest.raises(UserError, match="no such folder"):
        MarkdownDataModule(base, tmp_path / "absent").setup()
    with pytest.raises(UserError, match="base 'absent'"):
        MarkdownDataModule("absent", articles).setup()
