import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
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
    monkeypatch.setattr("sys.stdin", piped(f"{QUESTION}\n\n作品は?\n".encode()))
    called = ask("--format=json")
    assert called.status == 0, called.err
    lines = [json.loads(line) for line in called.out.splitlines()]
    assert [line["question"] for line in lines] == [QUESTION, "作品は?"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932", "euc_jp", "iso2022_jp"])
def test_lines_of_any_encoding_are_answered_below_their_question(
    ask, monkeypatch, encoding: str
) -> None:
    monkeypatch.setattr("sys.stdin", piped(f"{QUESTION}\n作品は?\n".encode(encoding)))
    called = ask()
    assert called.status == 0, called.err
    asked = [line for line in called.out.splitlines() if line.startswith("質問>")]
    assert asked == [f"質問> {QUESTION}", "質問> 作品は?"]


def test_a_line_that_cannot_be_read_ends_nothing_but_is_told_at_the_end(ask, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", piped(b"\xff\xfe\xff\n".rjust(9, b"a") + QUESTION.encode()))
    called = ask("--format=json")
    assert [json.loads(line)["question"] for line in called.out.splitlines()] == [QUESTION]
    assert called.status == 2
    assert "question 1: not UTF-8" in called.err
    assert "1 of 2 questions were not answered" in called.err


def test_no_question_at_all_is_a_mistake(ask, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", piped(b"\n \n"))
    called = ask()
    assert (called.status, called.out) == (2, "")
    assert "no question" in called.err


def test_a_conversation_remembers_until_a_new_one_begins(ask, monkeypatch) -> None:
    lines = [QUESTION, "作品は?", "/new", QUESTION]
    monkeypatch.setattr("sys.stdin", piped("\n".join(lines).encode()))
    called = ask("--format=json", "--conversation")
    assert called.status == 0, called.err
    first, second, afresh = map(json.loads, called.out.splitlines())
    assert first == afresh
    assert "(new conversation)" in called.err
    alone = json.loads(ask("作品は?", "--format=json").out)
    assert second["question"] == alone["question"] and second != alone


def test_drawn_answers_come_back_with_their_seed(ask) -> None:
    drawn = ["--temperature=1.5", "--format=json"]
    answers = [ask(QUESTION, *drawn, f"--seed={seed}").out for seed in (0, 1, 0)]
    assert answers[0] == answers[2] != answers[1]
    likeliest = ask(QUESTION, "--format=json").out
    assert ask(QUESTION, "--temperature=1.5", "--top_p=0.000001", "--format=json").out == likeliest


def test_a_session_at_a_terminal(tiny_base: Path, project_root: Path) -> None:
    arguments = [f"--base={tiny_base}", "--compute_type=float32", "--max_new_tokens=4"]
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "animelm", "ask", *arguments],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        cwd=project_root,
        env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
    )
    os.close(inner)
    shown = Shown(terminal)
    shown.until("質問>")
    os.write(terminal, "主人公鋼鉄".encode() + b"\x7f\x7f\r")  # two kanji are taken back
    shown.until("質問>")
    os.write(terminal, b"\x1b[A" + "\x1b[D名\x1b[C?".encode() + b"\r")  # up, left, right
    answered = shown.until("質問>")
    assert "主人名公?" in answered
    os.write(terminal, "主人公は".encode("euc_jp") + b"\r")
    shown.until("質問>")
    os.write(terminal, b"\x04")
    assert process.wait(timeout=60) == 0
    os.close(terminal)


class Shown:
    """What a terminal shows."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def until(self, text: str, seconds: float = 120) -> str:
        """Reads until a text has come and nothing follows for a moment."""
        found, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            waiting, _, _ = select.select([self._terminal], [], [], 0.5)
            if waiting:
                try:
                    found += os.read(self._terminal, 1 << 16)
                except OSError:  # the process has ended
                    break
            elif text.encode() in found:
                return found.decode("utf-8", "replace")
        pytest.fail(f"{text!r} did not come: {found!r}")


def piped(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--compare"], "give --adapter"),
        (["--adapter=nowhere"], "nowhere: no such folder"),
        (["--max_new_tokens=0"], "max_new_tokens is 0"),
        (["--answer_from=middle"], "answer_from"),
        (["--temperature=-1"], "temperature is -1.0"),
        (["--temperature=.inf"], "temperature is inf"),
        (["--temperature=1", "--top_p=0"], "top_p is 0"),
        (["--temperature=1", "--seed=-1"], "seed is -1"),
        (["--seed=1"], "give a --temperature above 0"),
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
