"""A wheel built from the tree, and what works when only that wheel is installed."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

PARTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("animelm", "configs", "checkpoints/nano-gpt-oss-ja")


@pytest.fixture(scope="module")
def unpacked_wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installation lays it out."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        shutil.copy2(project_root / name, source / name)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project_root / name, source / name, ignore=ignored)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(source)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", *options], check=True)
    [wheel] = built.glob("animelm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "installed")
    return built / "installed"


def test_the_wheel_holds_configs_sample_base_and_the_marker_of_types(unpacked_wheel: Path) -> None:
    for name in (
        "py.typed",
        "configs/cpt.yaml",
        "configs/gpt-oss-20b/sft.yaml",
        "checkpoints/nano-gpt-oss-ja/model.safetensors",
        "sample/generated/anime/qa.jsonl",
        "sample/wordings.yaml",
        "model/checkpoint/released/gpt-oss-20b.json",
        "corpus/wikitext/languages.yaml",
        "corpus/wikitext/templates/templates.yaml",
    ):
        assert (unpacked_wheel / "animelm" / name).is_file(), name


def test_the_wheel_holds_nothing_outside_the_package(unpacked_wheel: Path) -> None:
    folders = {path.name for path in unpacked_wheel.iterdir()}
    assert {name.partition("-")[0] for name in folders} == {"animelm"}


@pytest.fixture
def environment(unpacked_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a process that finds the installed package alone, with a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "PYTHONPATH": str(unpacked_wheel), "XDG_CACHE_HOME": str(cache)}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["--version"], "animelm "),
        (["demo", "--help"], "usage: python -m animelm demo"),
        (["inspect", "--config", "cpt.yaml"], "gate_up_projs"),
    ],
)
def test_commands_work_from_an_empty_folder_with_only_the_wheel(
    environment: dict[str, str], tmp_path: Path, command: list[str], expected: str
) -> None:
    call = [sys.executable, "-m", "animelm", *command]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_fit_on_base_and_sample_of_the_wheel(environment: dict[str, str], tmp_path: Path) -> None:
    options = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0"]
    call = [sys.executable, "-m", "animelm", "fit", "--config", "cpt.yaml", *options]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (tmp_path / "runs" / "cpt" / "adapter" / "adapter_model.safetensors").is_file()
    assert "--base=checkpoints/nano-gpt-oss-ja" in done.stdout


def test_the_demo_of_the_wheel_trains_until_it_is_stopped(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    call = [sys.executable, "-m", "animelm", "demo", "--output=demo"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            call, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        saved = tmp_path / "demo" / "cpt" / "version_0" / "config.yaml"
        deadline = time.monotonic() + 300
        while process.poll() is None and not saved.is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM, log.read_text(encoding="utf-8")
