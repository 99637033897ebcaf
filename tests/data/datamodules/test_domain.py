import copy
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.data.datamodules.domain import DomainDataModule
from animelm.data.domain import Shares
from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.folder_files import WeightedFolder
from animelm.data.sources.qa import QuestionFile
from animelm.data.split import held_out_names, split_articles, split_qa
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError

MIXED = Shares(questions=0.2, general_articles=0.2, general_questions=0.2)


@pytest.fixture
def general_articles(tmp_path):
    """An article on each general subject, ``general0`` to ``general9``."""
    folder = tmp_path / "general"
    folder.mkdir()
    for i in range(10):
        text = f"---\ntitle: general{i}\n---\n国{i}の首都は都市{i}です。"
        (folder / f"{i:02d}.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def make_module(base, articles, general_articles, tmp_path, make_records, write_records):
    records = write_records(tmp_path / "anime.jsonl", make_records(8, 4))
    general = write_records(tmp_path / "general.jsonl", make_records(10, 4, "general"))

    def make(**settings):
        defaults = {
            "folder": articles,
            "records": records,
            "general_folders": [general_articles],
            "general_records": general,
            "shares": MIXED,
            "block_size": 256,
            "blocks_per_batch": 2,
            "validation_share": 0.1,
            "cache": tmp_path / "cache",
        }
        return DomainDataModule(base, **defaults | settings)

    return make


def texts_of(batches, tokenizer):
    return tokenizer.decode([t for b in batches for row in b for t in row])


def shown_by(module, tokenizer, epochs=1):
    loader, texts = module.train_dataloader(), []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        texts += [tokenizer.decode(b.input_ids.flatten()) for b in loader]
    return "".join(texts)


def answers_of(loader, tokenizer):
    """The texts that a loader's batches have as targets, with the end token after each."""
    texts = [tokenizer.decode(b.targets[b.targets != IGNORED]) for b in loader]
    return "".join(texts).split("<|return|>")[:-1]


def test_an_epoch_of_articles_shows_all_that_are_not_held_out(make_module, tokenizer):
    train, held_out = split_articles([f"作品{i}" for i in range(20)], 0.1, 0)
    heads = {title: f"# {title}\n" for title in (*train, *held_out)}
    shown = shown_by(make_module(), tokenizer)
    assert all(heads[name] in shown for name in train)
    assert not any(heads[name] in shown for name in held_out)


def test_an_epoch_of_questions_shows_every_right_answer_of_every_training_question(
    make_module, make_records, tokenizer
):
    module = make_module(epoch="questions", shares=Shares())
    trained = answers_of(module.train_dataloader(), tokenizer)
    train = split_qa(make_records(8, 4)).train
    assert sorted(trained) == sorted(answer for r in train for answer in r.answers)


def test_each_source_has_the_share_that_is_asked_for(make_module, tokenizer):
    shares = Shares(articles=0.5, general_questions=0.25)
    module = make_module(epoch="questions", shares=shares, block_size=72, most_repeats=9)
    kinds = {"#": 0, "general": 0, "anime": 0}
    for batch in module.train_dataloader():
        for row in batch.input_ids:
            text = tokenizer.decode(row)
            kinds["general" if "general" in text else "anime" if "anime" in text else "#"] += 1
    total = sum(kinds.values())
    assert kinds["#"] / total == pytest.approx(0.5, abs=0.06)
    assert kinds["general"] / total == pytest.approx(0.25, abs=0.06)


def test_a_share_of_a_source_that_is_missing_is_reported(make_module):
    shares = Shares(articles=0.3, general_questions=0.2)
    module = make_module(epoch="questions", folder=None, shares=shares)
    with pytest.warns(UserWarning, match=r"data\.shares\.articles is 0\.3, but there is nothing"):
        module.train_dataloader()


def test_several_folders_are_read_and_those_with_a_weight_more_often(
    make_module, articles, general_articles, tmp_path, tokenizer
):
    more = tmp_path / "more"
    more.mkdir()
    for number in range(2):
        (more / f"{number}.txt").write_text(f"# 追加{number}\n本文です。", "utf-8")
    folders = [articles, WeightedFolder(more, 3)]
    module = make_module(folder=folders, shares=Shares(), validation_share=0.0)
    shown = shown_by(module, tokenizer)
    assert [shown.count(f"# 追加{number}\n") for number in range(2)] == [3, 3]
    assert [shown.count(f"# 作品{number}\n") for number in range(20)] == [1] * 20


def test_a_small_source_is_not_repeated_without_end_and_a_warning_says_so(
    make_module, general_articles
):
    for path in list(general_articles.iterdir())[1:]:
        path.unlink()
    module = make_module(shares=Shares(general_articles=0.5), held_out_subjects=0.0)
    text = r"data\.shares\.general_articles is 0\.5, .* would show all of it .* it is shown 4 times"
    with pytest.warns(UserWarning, match=text):
        module.train_dataloader()


@pytest.mark.parametrize(
    ("given", "folders"),
    [
        ("a", (WeightedFolder(Path("a")),)),
        ("[a, b]", (WeightedFolder(Path("a")), WeightedFolder(Path("b")))),
        (
            "[{path: a, weight: 2}, b]",
            (WeightedFolder(Path("a"), 2), WeightedFolder(Path("b"))),
        ),
        ("{path: a, weight: 2}", (WeightedFolder(Path("a"), 2),)),
    ],
)
@pytest.mark.parametrize("setting", ["folder", "general_folders"])
def test_folders_are_given_as_one_or_a_list_with_weights(base, setting, given, folders):
    parser = ArgumentParser()
    parser.add_class_arguments(DomainDataModule, "data")
    parsed = parser.parse_args([f"--data.base={base}", f"--data.{setting}={given}"])
    paths = parser.instantiate_classes(parsed).data.paths
    assert (paths.articles if setting == "folder" else paths.general_articles) == folders


def test_most_repeats_must_be_positive(make_module):
    with pytest.raises(UserError, match=r"data\.most_repeats must be above 0"):
        make_module(most_repeats=0)


def test_fit_validates_on_held_out_articles_and_asks_the_dev_questions(
    make_module, recorder, trainer
):
    model, module = recorder(), make_module()
    trainer(max_epochs=1).fit(model, datamodule=module)
    names = {b.name if isinstance(b, PackedBatch) else b.held_out_set for b in model.validated}
    assert names == set(module.validation_names)
    assert names >= {"anime_articles", "general_articles", "anime_only_read"}
    asked = {r.id for b in model.validated if not isinstance(b, PackedBatch) for r in b.records}
    assert asked == {r.id for records in module.data.questions.dev.values() for r in records}


def test_test_asks_the_test_questions_and_none_of_dev(make_module, recorder, trainer):
    model, module = recorder(), make_module()
    trainer().test(model, datamodule=module, verbose=False)
    batches = [b for b in model.validated if not isinstance(b, PackedBatch)]
    asked = {r.id for b in batches if b.held_out_set != "anime_trained" for r in b.records}
    questions = module.data.questions
    assert asked == {r.id for records in questions.test.values() for r in records}
    assert not asked & {r.id for records in questions.dev.values() for r in records}


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_validation_and_test_can_be_kept_short(make_module, recorder, trainer, stage):
    model, module = recorder(), make_module(questions_per_set=1)
    getattr(trainer(), stage)(model, datamodule=module, verbose=False)
    batches = [batch for batch in model.validated if not isinstance(batch, PackedBatch)]
    held_out = [batch for batch in batches if batch.held_out_set != "anime_trained"]
    assert sum(map(len, held_out)) == len(module.data.questions.dev) == 4


def test_unrehearsed_subjects_occur_in_no_source(make_module, tokenizer):
    module = make_module(shares=Shares(0.0, 0.0, 0.3, 0.3), validation_share=0.0)
    unrehearsed = held_out_names((f"general{i}" for i in range(10)), 0.25, 0)
    assert module.data.questions.unrehearsed == unrehearsed
    shown = shown_by(module, tokenizer, epochs=6)
    for i in range(10):
        rehearsed = f"general{i}" not in unrehearsed
        assert (f"国{i}の首都" in shown) == rehearsed
        assert (f"0: general{i}の主人公" in shown) == rehearsed


def test_a_general_article_that_names_an_unrehearsed_subject_is_not_replayed(
    make_module, general_articles, tokenizer
):
    [subject, *_] = held_out_names((f"general{i}" for i in range(10)), 0.25, 0)
    (general_articles / "mountain.md").write_text(f"山があるのは{subject}です。", encoding="utf-8")
    module = make_module(shares=Shares(general_articles=0.5), validation_share=0.0)
    shown = shown_by(module, tokenizer, epochs=4)
    assert "国" in shown and "山が" not in shown


def test_a_work_whose_article_is_held_out_is_not_called_only_read(
    make_module, make_records, tmp_path
):
    folder = tmp_path / "on-works"
    folder.mkdir()
    titles = [f"anime{i}" for i in range(8)]
    for title in titles:
        (folder / f"{title}.md").write_text(f"---\ntitle: {title}\n---\n本文", encoding="utf-8")
    for seed in range(20):
        only_read = {r.work for r in split_qa(make_records(8, 4), seed=seed).only_read}
        unread = set(split_articles(titles, 0.4, seed)[1])
        if only_read & unread and only_read - unread:
            break
    questions = make_module(folder=folder, validation_share=0.4, seed=seed).data.questions
    sets = [part.get("anime_only_read", []) for part in (questions.dev, questions.test)]
    assert (
        {record.work for records in sets for record in records} == only_read - unread != only_read
    )


def test_revisions_of_one_article_are_held_out_together(make_module, articles, tokenizer):
    for path in sorted(articles.glob("*.md")):
        again = path.read_text(encoding="utf-8").replace("# ", "## 改訂 ")
        path.with_stem(f"{path.stem}-again").write_text(again, encoding="utf-8")
    shown = shown_by(make_module(), tokenizer)
    _, held_out = split_articles([f"作品{i}" for i in range(20)], 0.1, 0)
    for i in range(20):
        trained = f"作品{i}" not in held_out
        assert (f"# 作品{i}\n" in shown) == (f"## 改訂 作品{i}\n" in shown) == trained


def test_an_article_that_is_held_out_of_one_folder_is_trained_from_no_other(
    make_module, articles, general_articles, tmp_path, tokenizer
):
    _, held_out = split_articles([f"作品{i}" for i in range(20)], 0.3, 0)
    again = tmp_path / "again"
    again.mkdir()
    for title in [*held_out, *(f"別{i}" for i in range(10))]:
        text = f"---\ntitle: 「{title}」\n---\n{title}の改訂。"
        (again / f"{title}.md").write_text(text, encoding="utf-8")
    module = make_module(
        general_folders=[again, general_articles],
        shares=Shares(general_articles=0.7),
        validation_share=0.3,
    )
    shown = shown_by(module, tokenizer, epochs=3)
    assert not [title for title in held_out if f"{title}の改訂" in shown]
    assert "別" in shown


def test_rows_with_one_title_are_held_out_together(make_module, write_parquet, tmp_path, tokenizer):
    rows = [
        {"title": title, "text": f"{title}の第{n}版。"}
        for title in (f"作品{i}" for i in range(10))
        for n in range(3)
    ]
    rows += [{"title": f"「作品{i}」", "text": f"作品{i}の第3版。"} for i in range(10)]
    write_parquet(tmp_path / "rows" / "a.parquet", rows)
    module = make_module(folder=tmp_path / "rows", shares=Shares(), validation_share=0.3)
    shown = shown_by(module, tokenizer)
    for i in range(10):
        assert len({f"作品{i}の第{n}版。" in shown for n in range(4)}) == 1
    assert "第3版" in shown


def test_without_general_questions_replay_leaves_no_subject_out(make_module):
    """No record may claim that subjects were left out which nothing has named."""
    module = make_module(general_records=None, shares=Shares(general_articles=0.3))
    assert module.split_settings.held_out_subjects == 0.0
    module.adopt_split({"held_out_subjects": 0.25})
    with pytest.raises(UserError, match=r"held_out_subjects is 0\.25, but without data\.general_r"):
        _ = module.split_settings
    assert make_module(shares=Shares()).split_settings.held_out_subjects is None
    assert make_module().split_settings.held_out_subjects == 0.25


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_resumes_at_the_next_batch(make_module, recorder, trainer, tmp_path, step):
    whole = recorder()
    trainer(max_epochs=2).fit(whole, datamodule=make_module())
    keep = ModelCheckpoint(tmp_path, filename="kept", every_n_train_steps=step, save_top_k=1)
    stopped = recorder()
    options = {"max_epochs": 2, "enable_checkpointing": True, "callbacks": [keep]}
    trainer(**options, max_steps=step).fit(stopped, datamodule=make_module())
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


def test_parquet_is_split_and_mixed_like_markdown_and_json_lines(
    make_module, articles, general_articles, make_records, write_parquet, tmp_path
):
    def in_parquet(folder):
        articles = open_articles(folder)
        rows = [{"title": article.title(), "text": article.read()} for article in articles]
        return write_parquet(tmp_path / f"{folder.name}-parquet" / "a.parquet", rows).parent

    def batches_of(module):
        loaders = [module.train_dataloader(), *module.val_dataloader()]
        return [[batch.input_ids.tolist() for batch in loader] for loader in loaders]

    own = [vars(record) for record in make_records(8, 4)]
    write_parquet(tmp_path / "own" / "0.parquet", own[:30])
    write_parquet(tmp_path / "own" / "1.parquet", own[30:])
    streamed = make_module(
        folder=in_parquet(articles),
        records=tmp_path / "own",
        general_folders=[in_parquet(general_articles)],
    )
    assert batches_of(streamed) == batches_of(make_module())


def test_each_process_has_its_own_share(make_module):
    class OneOfTwo:
        world_size = 2
        max_epochs, max_steps, accumulate_grad_batches, limit_train_batches = 1, -1, 1, 1.0

        def __init__(self, rank):
            self.global_rank = rank

    def rows_of(module):
        return [row for b in module.train_dataloader() for row in b.input_ids.tolist()]

    shares = []
    for rank in range(2):
        module = make_module(shares=Shares())
        module.trainer = OneOfTwo(rank)
        shares.append(rows_of(module))
    whole = rows_of(make_module(shares=Shares()))
    assert len(shares[0]) == len(shares[1]) == len(whole) // 2
    both = [row for share in shares for row in share]
    assert all(row in whole for row in both)
    assert len({tuple(row) for row in both}) == len(both)


def test_questions_are_asked_where_answer_from_says(make_module, tokenizer):
    handing_over = copy.deepcopy(tokenizer)
    final = "<|channel|>final<|message|>{% endif %}"
    assert handing_over.chat_template.endswith(final)
    handing_over.chat_template = handing_over.chat_template.replace(final, "{% endif %}")
    for answer_from, last in (("final", "<|message|>"), ("start", "assistant")):
        module = make_module(answer_from=answer_from)
        module.data.chat = ChatFormat(handing_over)
        [batch, *_] = module.val_dataloader()[-1]
        assert {tokenizer.decode(ids).endswith(last) for ids in batch.input_ids} == {True}


def test_sets_that_are_empty_are_left_out(make_module):
    module = make_module(
        records=None, general_records=None, general_folders=None, validation_share=0.0
    )
    assert module.validation_names == [] and module.val_dataloader() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epoch": "questions", "records": None}, "epoch is questions, but data.records is not"),
        ({"folder": None}, "epoch is articles, but data.folder is not set"),
        ({"held_out_works": 1.0}, "held_out_works must be"),
        ({"held_out_subjects": -1}, "held_out_subjects must be"),
        ({"validation_share": 1.5}, "validation_share must be"),
        ({"dev_share": 1.0}, "dev_share must be"),
    ],
)
def test_a_wrong_setting_is_named(make_module, wrong, message):
    with pytest.raises(UserError, match=message):
        make_module(**wrong)


def test_a_share_outside_0_to_1_is_named():
    with pytest.raises(UserError, match=r"shares\.questions must be"):
        Shares(questions=1.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"block_size": 0}, "block_size"),
        ({"blocks_per_batch": 0}, "blocks_per_batch"),
        ({"block_size": 16}, "set block_size to"),
        ({"shares": Shares(questions=0.5, general_questions=0.5)}, "add up to 1"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(make_module, wrong, message):
    with pytest.raises(UserError, match=message):
        make_module(**wrong).train_dataloader()


def test_wrong_data_are_found_at_setup(make_module, base, tmp_path, articles):
    (tmp_path / "empty.csv").write_text("質問,出力\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds no question"):
        make_module(general_records=tmp_path / "empty.csv").setup()
    with pytest.raises(UserError, match="no such folder"):
        make_module(folder=tmp_path / "absent").setup()
    with pytest.raises(UserError, match="base 'absent'"):
        DomainDataModule("absent", articles).setup()


def test_without_articles_and_questions_of_ones_own_the_sample_is_used(base):
    paths = DomainDataModule(base).paths
    [folder] = paths.articles
    assert (folder.path / "0001-01.md").is_file()
    assert [file.path.name for file in paths.questions] == ["qa.jsonl"]


def test_who_names_articles_or_questions_gets_none_of_the_samples(base, articles):
    assert not DomainDataModule(base, articles).paths.questions
    own = DomainDataModule(base, records=articles / "qa.csv", epoch="questions")
    assert own.paths.articles == ()


SUBJECTS = ["日本", "南日本", "フランス", "金", "銀", "リン", "ベルリン", "山"]


@st.composite
def corpora(draw):
    """General articles and questions that name each other's subjects, and a seed."""

    def text():
        named = draw(st.lists(st.sampled_from(SUBJECTS), max_size=2))
        return "".join(f"「{name}」に近い。" for name in named) + "おわり。"

    articles = {name: text() for name in draw(st.sets(st.sampled_from(SUBJECTS), min_size=2))}
    return articles, [text() for _ in SUBJECTS], draw(st.integers(0, 50))


@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(corpora())
def test_no_unrehearsed_subject_and_no_held_out_question_stands_in_any_batch(
    base, articles, tokenizer, tmp_path_factory, made
):
    texts, answers, seed = made
    place = Path(tmp_path_factory.mktemp("corpus"))
    (place / "general").mkdir()
    for number, (title, text) in enumerate(texts.items()):
        content = f"---\ntitle: {title}\n---\n{title}とは。{text}"
        (place / "general" / f"{number}.md").write_text(content, encoding="utf-8")
    with (place / "general.jsonl").open("w", encoding="utf-8") as file:
        for number, (subject, answer) in enumerate(zip(SUBJECTS, answers, strict=True)):
            for wording in range(3):
                record = {"id": f"{number}/{wording}", "work": subject, "fact": f"{subject}/x"}
                record |= {"direction": "forward", "wording": f"x/{wording}", "domain": "general"}
                record |= {"question": f"「{subject}」は何番{wording}?", "keys": ["番"]}
                record |= {"answers": [answer]}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    module = DomainDataModule(
        base,
        articles,
        general_folders=[place / "general"],
        general_records=place / "general.jsonl",
        shares=Shares(general_articles=0.3, general_questions=0.3),
        seed=seed,
        cache=place / "cache",
    )
    shown = shown_by(module, tokenizer, epochs=2)
    questions = module.data.questions
    for subject in questions.unrehearsed:
        assert (f"「{subject}」" if len(subject) == 1 else subject) not in shown
    for part in (questions.dev, questions.test):
        for records in part.values():
            assert all(text_key(record.question) not in text_key(shown) for record in records)


def test_validation_and_test_ask_some_trained_questions_and_training_does_not(
    make_module, recorder, trainer
):
    def asked_by(run):
        model = recorder()
        run(model)
        batches = [b for b in model.validated if not isinstance(b, PackedBatch)]
        return [r for b in batches if b.held_out_set == "anime_trained" for r in b.records]

    module = make_module(trained_questions=5)
    trained = {record.id for record in module.data.questions.train}
    validated = asked_by(lambda model: trainer().validate(model, module, verbose=False))
    tested = asked_by(lambda model: trainer().test(model, module, verbose=False))
    assert len(validated) == 5 and {record.id for record in validated} <= trained
    assert validated == tested
    assert not asked_by(lambda model: trainer(max_epochs=1).fit(model, datamodule=module))
    articles = make_module(shares=Shares())
    assert not asked_by(lambda model: trainer().validate(model, articles, verbose=False))
    none = make_module(trained_questions=0)
    assert not asked_by(lambda model: trainer().validate(model, none, verbose=False))


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_where_nothing_is_held_out_there_is_nothing_to_evaluate(make_module, stage):
    nothing = {"held_out_wordings": 0.0, "held_out_works": 0.0, "validation_share": 0.0}
    module = make_module(general_folders=None, general_records=None, **nothing)
    with pytest.raises(UserError, match=f"nothing is held out, so {stage} has nothing to ask"):
        module.setup(stage)
    module.setup("fit")


def test_prediction_asks_what_is_held_out_of_the_questions_on_the_domain(make_module):
    module = make_module()
    asked = {r.id for loader in module.predict_dataloader() for b in loader for r in b.records}
    questions = module.data.questions
    held_out = [r for part in (questions.dev, questions.test) for rs in part.values() for r in rs]
    assert asked == {record.id for record in held_out if record.domain == "anime"}
    general = make_module(records=None)
    asked = {r.domain for loader in general.predict_dataloader() for b in loader for r in b.records}
    assert asked == {"general"}


def test_the_sets_bear_the_name_of_the_domain(make_module):
    module = make_module(domain="history")
    assert {name.partition("_")[0] for name in module.validation_names} == {"history", "general"}
    loaders = module.val_dataloader()
    assert [loader.name for loader in loaders][: len(module.validation_names)] == (
        module.validation_names
    )
    with pytest.raises(UserError, match="other than general"):
        make_module(domain="general")


def test_a_set_or_a_run_that_is_too_small_is_reported(make_module, trainer, recorder):
    with pytest.warns(UserWarning) as warned:
        trainer(max_epochs=1).fit(recorder(), datamodule=make_module())
    texts = [str(each.message) for each in warned]
    assert any("anime_unseen_wording holds" in text for text in texts)
    [steps] = [text for text in texts if "little is learned" in text]
    assert "raise trainer.max_epochs to" in steps


def test_a_question_of_weight_3_is_shown_three_times(
    make_module, make_records, write_records, tmp_path, tokenizer
):
    records = make_records(8, 4)
    once = write_records(tmp_path / "once.jsonl", records[:32])
    thrice = write_records(tmp_path / "thrice.jsonl", records[32:])
    module = make_module(
        records=[once, QuestionFile(thrice, weight=3)], epoch="questions", shares=Shares()
    )
    trained = Counter(answers_of(module.train_dataloader(), tokenizer))
    weights = {answer: r.weight for r in module.data.questions.train for answer in r.answers}
    assert set(weights.values()) == {1, 3}
    full = {answer: trained[answer] // weight for answer, weight in weights.items()}
    wordings = Counter(answer for r in module.data.questions.train for answer in r.answers)
    assert full == wordings


@pytest.fixture
def warned(monkeypatch):
    """The warnings of a data module."""
    texts = []
    monkeypatch.setattr("animelm.data.datamodules.domain.rank_zero_warn", texts.append)
    return texts


def test_subjects_not_rehearsed_that_an_own_article_tells_are_counted(
    make_module, articles, warned
):
    questions = make_module().data.questions
    asked = [r for part in (questions.dev, questions.test) for r in part["general_unrehearsed"]]
    subject, key = asked[0].work, asked[0].keys[0]
    make_module().train_dataloader()
    assert not [text for text in warned if "not rehearsed" in text]
    for name, text in (("x", f"{subject}の話。"), ("y", f"{subject}は{key}のことである。")):
        (articles / f"{name}.md").write_text(f"---\ntitle: {name}\n---\n{text}", encoding="utf-8")
    warned.clear()
    make_module(validation_share=0.0).train_dataloader()
    [about] = [text for text in warned if "not rehearsed" in text]
    told = sum(record.work == subject and key in record.keys for record in asked)
    assert about.startswith(f"{told} of {len(asked)} questions on general subjects")


def test_works_called_only_read_of_which_no_article_tells_are_counted(
    make_module, articles, warned
):
    questions = make_module().data.questions
    asked = [r for part in (questions.dev, questions.test) for r in part["anime_only_read"]]
    told, titled = sorted({record.work for record in asked})[:2]
    key = next(record.keys[0] for record in asked if record.work == told)
    make_module().train_dataloader()
    [about] = [text for text in warned if "no trained article tells" in text]
    assert about.startswith(f"{len(asked)} of {len(asked)} questions on works that are only read")
    for title, text in (("x", f"{told}の主人公は{key}。"), (titled, "庭の話。")):
        (articles / f"{title}.md").write_text(f"---\ntitle: {title}\n---\n{text}", encoding="utf-8")
    warned.clear()
    make_module(validation_share=0.0).train_dataloader()
    others = sum(record.work not in (told, titled) for record in asked)
    texts = [text for text in warned if "no trained article tells" in text]
    assert [text.split()[0] for text in texts] == [str(others)] * (others > 0)


def test_questions_that_may_be_trained_in_other_words_are_told(make_module, tmp_path, warned):
    path = tmp_path / "own.csv"
    others = "".join(f"第{n}の庭の木は?,木{n}\n" for n in range(8))
    alike = "徳川家最後の将軍の名は?,慶喜\n徳川幕府最後の将軍の名前は?,徳川慶喜\n"
    path.write_text(f"質問,出力\n{others}花は?,桜\n花は?,梅\n{alike}", encoding="utf-8")
    for stage in ("fit", "validate"):
        warned.clear()
        make_module(records=path, seed=1).setup(stage)
        assert any("held out as unseen facts share an answer and words" in t for t in warned)
        assert any("answered differently in different rows" in t for t in warned)
