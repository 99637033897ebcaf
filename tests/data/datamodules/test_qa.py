import copy
from dataclasses import replace

import pytest

from animelm.data.batches.batch import IGNORED
from animelm.data.datamodules.qa import QADataModule
from animelm.data.split import split_qa
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError


@pytest.fixture
def make_module(base, tmp_path, make_records, write_records):
    records = write_records(tmp_path / "anime.jsonl", make_records(8, 4))
    general = write_records(tmp_path / "general.jsonl", make_records(6, 4, "general"))

    def make(**settings):
        defaults = {"replay_records": general, "block_size": 256, "blocks_per_batch": 2}
        return QADataModule(base, **{"records": records, **defaults, **settings})

    return make


def answers_of(loader, tokenizer):
    """The texts that a loader's batches have as targets, with the end token after each."""
    texts = [tokenizer.decode(b.targets[b.targets != IGNORED]) for b in loader]
    return "".join(texts).split("<|return|>")[:-1]


def test_every_right_answer_of_every_training_question_is_trained(
    make_module, make_records, tokenizer
):
    module = make_module(replay_records=None)
    trained = answers_of(module.train_dataloader(), tokenizer)
    train = split_qa(make_records(8, 4)).train
    assert sorted(trained) == sorted(answer for r in train for answer in r.answers)


def test_fit_trains_and_asks_the_held_out_questions(make_module, recorder, trainer, make_records):
    model, module = recorder(), make_module()
    trainer(max_epochs=1).fit(model, datamodule=module)
    asked = {name: set() for name in module.validation_names}
    for batch in model.validated:
        asked[batch.held_out_set] |= {record.id for record in batch.records}
    split = split_qa(make_records(8, 4))
    general = split_qa(make_records(6, 4, "general"), 0.25, 0.0)
    assert asked == {
        "anime_unseen_wording": {r.id for r in split.unseen_wording},
        "anime_only_read": {r.id for r in split.only_read},
        "general": {r.id for r in general.unseen_wording},
    }


def test_validation_can_be_kept_short_and_test_asks_all(make_module, recorder, trainer):
    model, module = recorder(), make_module(questions_per_set=3)
    trainer().validate(model, datamodule=module, verbose=False)
    assert sum(len(batch) for batch in model.validated) == 9
    model = recorder()
    trainer().test(model, datamodule=module, verbose=False)
    assert sum(len(b) for b in model.validated) == sum(map(len, module.questions.held_out.values()))


def test_questions_are_asked_where_answer_from_says(make_module, tokenizer):
    handing_over = copy.deepcopy(tokenizer)
    final = "<|channel|>final<|message|>{% endif %}"
    assert handing_over.chat_template.endswith(final)
    handing_over.chat_template = handing_over.chat_template.replace(final, "{% endif %}")
    for answer_from, last in (("final", "<|message|>"), ("start", "assistant")):
        module = make_module(answer_from=answer_from)
        module.chat = ChatFormat(handing_over)
        [batch, *_] = module.val_dataloader()[0]
        assert {tokenizer.decode(ids).endswith(last) for ids in batch.input_ids} == {True}


def test_replay_is_trained_without_its_held_out_wordings(make_module, tokenizer):
    module = make_module(replay_share=0.5)
    shown = "".join(tokenizer.decode(b.input_ids.flatten()) for b in module.train_dataloader())
    assert "general" in shown
    for records in module.questions.held_out.values():
        assert not any(record.question in shown for record in records)


def test_a_question_in_replay_is_not_asked(make_module, make_records, write_records, tmp_path):
    general = make_records(6, 4, "general")
    asked = split_qa(general, 0.25, 0.0).unseen_wording[0]
    trained = [replace(asked, fact="other", work="other")]
    replay = write_records(tmp_path / "replay.jsonl", trained)
    settings = {"general_records": tmp_path / "general.jsonl"}
    sets = make_module(replay_records=replay, **settings).questions.held_out
    assert asked.id not in {record.id for record in sets["general"]}
    sets = make_module(replay_records=None, **settings).questions.held_out
    assert asked.id in {record.id for record in sets["general"]}


def test_sets_that_are_empty_are_left_out(make_module):
    module = make_module(replay_records=None, held_out_works=0.0)
    assert module.validation_names == ["anime_unseen_wording"]
    assert len(module.val_dataloader()) == 1


def test_parquet_is_split_and_trained_like_json_lines(
    make_module, make_records, write_parquet, tmp_path
):
    own = [vars(record) for record in make_records(8, 4)]
    general = [vars(record) for record in make_records(6, 4, "general")]
    write_parquet(tmp_path / "own" / "0.parquet", own[:30])
    write_parquet(tmp_path / "own" / "1.parquet", own[30:])
    write_parquet(tmp_path / "general.parquet", general)
    module = make_module()
    streamed = make_module(records=tmp_path / "own", replay_records=tmp_path / "general.parquet")
    assert streamed.questions.held_out == module.questions.held_out
    batches = [[b.input_ids.tolist() for b in m.train_dataloader()] for m in (module, streamed)]
    assert batches[0] == batches[1]


def test_a_question_longer_than_a_block_is_reported(make_module):
    with pytest.raises(UserError, match="block_size"):
        make_module(block_size=16).train_dataloader()


def test_wrong_records_are_reported_at_setup(make_module, tmp_path):
    (tmp_path / "empty.csv").write_text("質問,出力\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds no question"):
        make_module(replay_records=tmp_path / "empty.csv").setup()
    with pytest.raises(UserError, match="held_out_works"):
        make_module(held_out_works=1.0)
