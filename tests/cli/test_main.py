"""The first page, every command's help, and what a wrong command says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import animelm
from animelm.cli import COMMANDS

# What the help of a command must teach.
TAUGHT = {
    "questions": ["check", "facts, works, short keys and split"],
    "fit": (
        "--model.lora.target_modules",
        "--data.folder",
        "--data.shares.questions",
        "--output",
        "--trainer.max_steps",
        "LoRA",
    ),
    "validate": ("--model.adapter.evaluate", "--ckpt_path"),
    "test": ("--model.adapter.evaluate",),
    "predict": ("--model.adapter.evaluate",),
    "inspect": ("--format", "Every option of `fit`"),
    "plan": ("--device", "16 GB GPU", "Every option of `fit`"),
    "compare": ("--cpt_adapter", "--sft_adapter", "95 % intervals"),
    "report": ("--language", "--format", "fit, compare, demo or reproduce"),
    "harness": ("--tasks", "--task_folder", "pip install 'animelm[lm-eval]'"),
    "ask": ("--answer_from", "so that gpt-oss can think first", "Ctrl-D ends"),
    "demo": ("--output",),
    "reproduce": ("--output", "--works"),
    "export": ("--adapter", "--to", "--verify"),
    "completion": ("bash", "zsh"),
    "corpus": ("build", "stats", "SUBCOMMAND --help"),
    "sample": ("--out", "--works"),
    "base": ("--plain_text",),
}


def test_the_first_page_shows_every_command_and_costs_no_heavy_import(project_root: Path) -> None:
    program = (
        "import sys; from animelm.cli import main; status = main(['--help']); "
        "sys.exit(status or 'torch' in sys.modules or 'lightning' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
    )
    for command in COMMANDS:
        assert f"\n  {command} " in ran.stdout
    assert "python -m animelm fit --config cpt.yaml" in ran.stdout


def test_the_package_runs_as_a_program(project_root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "animelm", "nonsense"],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: no command 'nonsense'; expected one of fit, validate")
    assert not ran.stdout


def test_the_version_is_that_of_the_package(call) -> None:
    called = call("--version")
    assert (called.status, called.out) == (0, f"animelm {animelm.__version__}\n")
    assert called.out == "animelm 0.1.0\n"


def test_a_misspelt_command_is_told_the_nearest_one(call) -> None:
    assert "no command 'compar'; did you mean compare? There are fit," in call("compar").err


def test_a_misspelt_option_of_a_subcommand_is_told_the_nearest_one(call) -> None:
    message = call("corpus", "build", "--dump=x", "--categry=x").err
    assert "did you mean --category?\n`python -m animelm corpus build --help`" in message


def test_no_command_at_all_shows_the_first_page_and_fails(call) -> None:
    called = call()
    assert called.status == 2
    assert "usage: python -m animelm COMMAND" in called.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_teaches_its_options(call, command: str) -> None:
    called = call(command, "--help")
    assert called.status == 0
    assert f"usage: python -m animelm {command}" in called.out.replace("[options] ", "")
    page = " ".join(called.out.split())
    for text in TAUGHT[command]:
        assert text in page
    assert "Raises:" not in called.out


def test_a_python_without_a_package_is_told_what_to_do(call, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "animelm.cli.plan", raising=False)
    called = call("plan", "--config=cpt.yaml")
    assert called.status == 2
    assert "has no package torch. `make setup`" in called.err
    assert "Traceback" not in called.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["corpus", "--help"]])
def test_a_reader_that_has_gone_ends_a_command_without_a_word(
    project_root: Path, arguments: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-m", "animelm", *arguments],
        cwd=project_root,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (141, "")
