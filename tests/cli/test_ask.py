import io
import json
import shutil
from pathlib import Path

import pytest

from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import LoraSettings, add_adapter, save_adapter
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import BaseRecord, TrainingStep, write_record

QUESTION = "主人公は誰ですか?"


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 2 that changes what the tiny base says."""
    model = add_adapter(load_base(str(tiny_base), "nf4"), LoraSettings(rank=2, alpha=64))
    for path, parameter in model.named_parameters():
        if "lora_B" in path:
            parameter.data.fill_(0.5)
    folder = tmp_path_factory.mktemp("sft") / "adapter"
    save_adapter(model, folder)
    return folder


@pytest.fixture
def ask(call, tiny_base: Path):
    options = [f"--base={tiny_base}", "--compute_type=float32", "--max_new_tokens=4"]
    return lambda *arguments: call("ask", *options, *arguments)


def test_a_question_on_the_command_line_is_answered(ask) -> None:
    called = ask(QUESTION)
    assert called.status == 0, called.err
    shown = called.out.strip()
    [answer] = json.loads(ask(QUESTION, "--format=json").out)["answers"]
    assert answer["model"] == "base"
    assert answer["output"].split()[0] in shown


def test_base_and_adapter_answer_side_by_side(ask, adapter: Path) -> None:
    called = ask(QUESTION, f"--adapter={adapter}", "--compare", "--format=json")
    assert called.status == 0, called.err
    answered = json.loads(called.out)
    assert answered["question"] == QUESTION
    base, adapted = answered["answers"]
    assert (base["model"], adapted["model"]) == ("base", "adapter")
    assert base["output"] != adapted["output"]
    alone = json.loads(ask(QUESTION, "--format=json").out)["answers"]
    assert alone == [base]
    [only] = json.loads(ask(QUESTION, f"--adapter={adapter}", "--format=json").out)["answers"]
    assert only == adapted
    shown = ask(QUESTION, f"--adapter={adapter}", "--compare").out
    assert "base" in shown and "adapter" in shown


def test_without_a_question_each_line_is_asked_until_the_end(ask, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\n\n作品は?\n"))
    called = ask("--format=json")
    assert called.status == 0, called.err
    lines = [json.loads(line) for line in called.out.splitlines()]
    assert [line["question"] for line in lines] == [QUESTION, "作品は?"]


def test_the_prompt_ends_with_ctrl_d(ask, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\n"))
    called = ask()
    assert called.status == 0, called.err
    assert called.out.count("質問>") == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--compare"], "give --adapter"),
        (["--adapter=nowhere"], "nowhere: no such folder"),
        (["--max_new_tokens=0"], "max_new_tokens is 0"),
        (["--answer_from=middle"], "answer_from"),
    ],
)
def test_a_mistake_is_reported_in_one_message(ask, arguments: list[str], expected: str) -> None:
    called = ask(QUESTION, *arguments)
    assert called.status == 2
    assert expected in called.err and not called.out


def test_an_adapter_of_another_base_is_refused(
    ask, adapter: Path, tiny_base: Path, tmp_path: Path
) -> None:
    recorded = shutil.copytree(adapter, tmp_path / "adapter")
    base = record_base(str(tiny_base))
    write_record(recorded, [TrainingStep("sft", "0", 1, base)])
    assert ask(QUESTION, f"--adapter={recorded}").status == 0
    write_record(recorded, [TrainingStep("sft", "0", 1, BaseRecord("other", "c" * 64, "w", "t"))])
    called = ask(QUESTION, f"--adapter={recorded}")
    assert called.status == 2
    assert f"{recorded} was trained on the base other (config cccccccccccc)" in called.err
    assert not called.out


def test_a_tokenizer_that_the_base_has_no_rows_for_is_reported(
    ask, tiny_base: Path, tmp_path: Path
):
    shutil.copytree(tiny_base, tmp_path, dirs_exist_ok=True)
    config = json.loads((tiny_base / "config.json").read_text()) | {"vocab_size": 99}
    (tmp_path / "config.json").write_text(json.dumps(config))
    called = ask(QUESTION, f"--base={tmp_path}")
    assert called.status == 2
    assert "its embedding has 99 rows" in called.err and not called.out


def test_an_export_of_merged_weights_is_asked_like_an_adapter(
    ask, call, adapter: Path, tmp_path: Path
) -> None:
    options = ["--to=merged", "--check=false", f"--output={tmp_path / 'out'}"]
    assert call("export", f"--adapter={adapter}", *options).status == 0
    called = ask(QUESTION, f"--adapter={tmp_path / 'out'}", "--compare", "--format=json")
    assert called.status == 0, called.err
    base, exported = json.loads(called.out)["answers"]
    assert (base["model"], exported["model"]) == ("base", "adapter")
    assert base["output"] != exported["output"]
    [alone] = json.loads(ask(QUESTION, f"--adapter={tmp_path / 'out'}", "--format=json").out)[
        "answers"
    ]
    assert alone == exported
