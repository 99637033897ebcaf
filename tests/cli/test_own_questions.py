"""A user's own files of questions, from the command line."""

import json

import pytest

from animelm.provenance.record import read_record

ASKED = ("の主人公は誰ですか？", "の主人公の名前は?", "の主役は誰?", "の主役の名は?")
PAIRS = [
    (f"「月の庭{n}」{asked}", f"「月の庭{n}」の主人公は花子{n}です。", f"庭{n}")
    for n in range(10)
    for asked in ASKED
]


@pytest.fixture
def own(tmp_path, small):
    """Options of a run on two files of questions alone, with a column of works."""
    for name, pairs in (("a.csv", PAIRS[:20]), ("b.CSV", PAIRS[20:])):
        rows = "".join(f"{','.join(pair)}\n" for pair in pairs)
        (tmp_path / name).write_text(f"質問,出力,作品\n{rows}", encoding="utf-8")
    return [
        "--config=sft.yaml",
        *small(tmp_path),
        "--model.adapter.init_from=null",
        f"--data.records=[{tmp_path / 'a.csv'}, {{path: {tmp_path / 'b.CSV'}, weight: 2}}]",
        "--data.columns.work=作品",
        "--data.domain=gardens",
    ]


def test_a_run_on_files_with_weights_and_columns_is_validated_and_predicted(call, own, tmp_path):
    fitted = call("fit", *own, "--trainer.limit_val_batches=0")
    assert fitted.status == 0, fitted.err
    adapter = tmp_path / "adapter"
    [step] = read_record(adapter)
    assert {source.role for source in step.data} >= {"questions"}
    evaluated = [*own, f"--model.adapter.evaluate={adapter}", "--model.generation.max_new_tokens=1"]
    validated = call("validate", *evaluated)
    assert validated.status == 0, validated.err
    for name in ("gardens_unseen_wording", "gardens_only_read", "gardens_trained"):
        assert name in validated.out
    predicted = call("predict", *evaluated)
    assert predicted.status == 0, predicted.err
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answered = [json.loads(line) for line in lines]
    assert answered and {a["question"] for a in answered} <= {question for question, *_ in PAIRS}
    assert {a["held_out_set"] for a in answered} == {"gardens_unseen_wording", "gardens_only_read"}
    renamed = call("validate", *[o for o in evaluated if "columns" not in o])
    assert renamed.status == 2
    assert "as they were grouped then" in renamed.err


@pytest.mark.parametrize("command", ["validate", "predict"])
def test_a_command_that_has_nothing_to_ask_says_so_and_fails(call, own, command):
    called = call(
        command,
        *own,
        "--model.adapter.evaluate=null",
        "--data.general_records=null",
        "--data.general_folders=null",
        "--data.held_out_wordings=0",
        "--data.held_out_works=0",
    )
    assert called.status == 2
    assert f"nothing is held out, so {command} has nothing to ask" in called.err


def test_a_short_run_and_small_sets_are_reported(call, own):
    options = ["--trainer.limit_val_batches=0", "--trainer.limit_train_batches=2"]
    with pytest.warns(UserWarning) as warned:
        called = call("fit", *own, *options)
    assert called.status == 0, called.err
    messages = " ".join(str(warning.message) for warning in warned)
    assert "optimizer steps: with fewer than 100 little is learned" in messages
    assert "gardens_only_read holds" in messages
