"""One name for a run: what a fit writes, keeps, says, and what the other commands find there."""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from animelm.provenance.record import read_record


@dataclass(frozen=True)
class Run:
    """A fit into a folder whose name needs quotes in a shell."""

    folder: Path
    options: Sequence[str]
    out: str


@pytest.fixture(scope="module")
def run(call, small, sample, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "my first run"
    options = [
        "--config=cpt.yaml",
        *small(folder),
        f"--data.folder={sample.articles}",
        f"--data.records={sample.records}",
        "--data.general_folders=null",
        "--data.general_records=null",
        "--data.shares={questions: 0.3, general_articles: 0, general_questions: 0}",
        "--data.validation_share=0.25",
        "--data.questions_per_set=2",
    ]
    called = call("fit", *options)
    assert called.status == 0, called.err
    return Run(folder, options, called.out)


def test_output_moves_adapter_logs_and_checkpoints_together(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == {"adapter", "version_0"}
    assert (run.folder / "version_0" / "checkpoints" / "last.ckpt").is_file()
    saved = (run.folder / "version_0" / "config.yaml").read_text(encoding="utf-8")
    assert f"output: {run.folder}\n" in saved and "overwrite: false\n" in saved


def test_the_end_of_a_fit_names_what_it_wrote(run: Run) -> None:
    assert f"Adapter: {run.folder / 'adapter'}\n" in run.out
    checkpoint = run.folder / "version_0" / "checkpoints" / "last.ckpt"
    assert f"Last checkpoint: {checkpoint}\n" in run.out


def next_command(run: Run, name: str) -> list[str]:
    start = f"  python -m animelm {name} "
    [line] = [line for line in run.out.splitlines() if line.startswith(start)]
    return shlex.split(line)[3:]


@pytest.mark.parametrize("name", ["validate", "compare", "report"])
def test_the_commands_at_the_end_of_a_fit_do_what_they_say(call, run: Run, name: str) -> None:
    called = call(*next_command(run, name))
    assert called.status == 0, called.err


def test_the_command_that_asks_gets_an_answer(call, run: Run) -> None:
    called = call(*next_command(run, "ask"), "--max_new_tokens=2", "誰？")
    assert called.status == 0, called.err


def test_an_adapter_is_never_silently_replaced(call, run: Run) -> None:
    weights = run.folder / "adapter" / "adapter_model.safetensors"
    before, logs = weights.stat(), sorted(run.folder.glob("version_*"))
    called = call("fit", *run.options)
    assert called.status == 2
    assert f"{run.folder / 'adapter'}: is there already" in called.err
    assert "--overwrite" in called.err
    after = weights.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(run.folder.glob("version_*")) == logs


def test_overwrite_replaces_it_and_a_finished_run_may_be_resumed(
    call, run: Run, tmp_path: Path
) -> None:
    call("fit", *run.options, f"--output={tmp_path}")
    checkpoint = tmp_path / "version_0" / "checkpoints" / "last.ckpt"
    assert call("fit", *run.options, f"--output={tmp_path}", "--overwrite").status == 0
    resumed = call("fit", *run.options, f"--output={tmp_path}", f"--ckpt_path={checkpoint}")
    assert resumed.status == 0, resumed.err


def test_a_checkpoint_of_another_run_does_not_allow_to_replace_an_adapter(call, run: Run) -> None:
    checkpoint = run.folder / "version_0" / "checkpoints" / "last.ckpt"
    other = run.folder.parent / "other"
    (other / "adapter").mkdir(parents=True)
    (other / "adapter" / "adapter_config.json").touch()
    called = call("fit", *run.options, f"--output={other}", f"--ckpt_path={checkpoint}")
    assert called.status == 2
    assert f"{other / 'adapter'}: is there already" in called.err


def test_fine_tuning_starts_from_the_folder_of_a_run(
    call, run: Run, small, questions_of, tmp_path: Path
) -> None:
    start = f"--model.adapter.init_from={run.folder}"
    called = call("fit", "--config=sft.yaml", *small(tmp_path), *questions_of, start)
    assert called.status == 0, called.err
    assert read_record(tmp_path / "adapter")[1].init_adapter == str(run.folder / "adapter")


def test_the_last_checkpoint_is_validated_before_there_is_an_adapter(
    call, run: Run, tmp_path: Path
) -> None:
    shutil.copytree(run.folder / "version_0", tmp_path / "version_0")
    called = call("validate", *run.options, f"--output={tmp_path}", "--ckpt_path=last")
    assert called.status == 0, called.err
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_refused_run_leaves_no_log(call, run: Run, command: str, tmp_path: Path) -> None:
    nowhere = f"--model.adapter.{'init_from' if command == 'fit' else 'evaluate'}=nowhere"
    called = call(command, *run.options, f"--output={tmp_path / 'refused'}", nowhere)
    assert called.status == 2
    assert "nowhere: no such folder" in called.err
    assert not (tmp_path / "refused").exists()
