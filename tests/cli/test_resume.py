import os
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from animelm.cli.resume import check_checkpoint
from animelm.errors import UserError

COUNTS = dict.fromkeys(("ready", "started", "processed", "completed"), 0)
PROGRESS = {"current": COUNTS, "total": COUNTS}
WHOLE = {
    "state_dict": {"lora_A": torch.ones(64, 64)},
    "pytorch-lightning_version": "2.6",
    "epoch": 0,
    "global_step": 1,
    "loops": {"fit_loop": dict.fromkeys(("epoch_progress", "epoch_loop.batch_progress"), PROGRESS)},
    "callbacks": {},
    "optimizer_states": [],
    "lr_schedulers": [],
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The newer of two that earlier runs left in the output folder."""
    for version in range(2):
        path = tmp_path / f"version_{version}" / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        torch.save(WHOLE, path)
        os.utime(path, (version, version))
    return path


def test_a_complete_checkpoint_is_accepted(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_checkpoint(str(checkpoint), tmp_path)
    # A file's name may begin as one of Lightning's words does.
    checkpoint.rename(tmp_path / "best-of-all.ckpt")
    monkeypatch.chdir(tmp_path)
    check_checkpoint("best-of-all.ckpt", tmp_path)


@pytest.mark.parametrize("word", ["best", "hpc", "registry", "registry:model:version:3"])
def test_a_keyword_of_lightnings_is_refused_and_the_newest_file_named(
    word: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        check_checkpoint(word, tmp_path)
    assert f"--ckpt_path {word}: expected the path of a checkpoint" in str(refused.value)
    assert f"the newest is {checkpoint}" in str(refused.value)


def test_last_is_the_newest_checkpoint_of_the_run(checkpoint: Path, tmp_path: Path) -> None:
    assert check_checkpoint("last", tmp_path).checkpoint == checkpoint


def test_a_word_is_refused_where_no_run_has_written_anything(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"there is none in {tmp_path}/version_\*/checkpoints"):
        check_checkpoint("last", tmp_path)


def test_a_folder_is_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{checkpoint.parent}: is a folder; .* newest is"):
        check_checkpoint(str(checkpoint.parent), tmp_path)
    with pytest.raises(UserError, match=r"nowhere\.ckpt: no such file; .* newest is"):
        check_checkpoint("nowhere.ckpt", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_named(share: float, checkpoint: Path, tmp_path: Path) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        UserError, match=f"{checkpoint}: (cannot be read as a checkpoint|is damaged)"
    ):
        check_checkpoint(str(checkpoint), tmp_path)


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("not a checkpoint", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.ckpt: cannot be read as a checkpoint"):
        check_checkpoint(str(tmp_path / "a.ckpt"), tmp_path)


@pytest.mark.parametrize(
    "loops", [{}, {"fit_loop": {}}, {"fit_loop": {"epoch_progress": {"current": 3}}}]
)
def test_a_checkpoint_without_its_position_is_refused(tmp_path: Path, loops: dict) -> None:
    torch.save(WHOLE | {"loops": loops}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=r"a\.ckpt: holds no (fit_loop|epoch_progress|current)"):
        check_checkpoint(str(tmp_path / "a.ckpt"), tmp_path)


def test_weights_alone_can_be_evaluated_but_not_trained_further(tmp_path: Path) -> None:
    weights = {key: WHOLE[key] for key in ("state_dict", "pytorch-lightning_version")}
    torch.save(weights, tmp_path / "a.ckpt")
    check_checkpoint(str(tmp_path / "a.ckpt"), tmp_path, trains=False)
    with pytest.raises(UserError, match=r"a\.ckpt: holds no epoch"):
        check_checkpoint(str(tmp_path / "a.ckpt"), tmp_path)


def test_figures_taken_after_the_checkpoints_last_step_stay_in_the_log(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Those of a validation or of the routers, which the resumed run does not take again."""
    found = check_checkpoint(str(checkpoint), tmp_path)
    folder = str(tmp_path / "version_1")
    with SummaryWriter(folder) as first:
        for step in range(found.step + 2):
            first.add_scalar("accuracy", step, step)
    with SummaryWriter(folder, purge_step=found.log_place(tmp_path)["purge_step"]) as second:
        second.add_scalar("accuracy", 9, found.step + 1)
    log = EventAccumulator(folder).Reload()
    assert [event.value for event in log.Scalars("accuracy")] == [0, 1, 9]


def test_a_run_that_goes_on_logs_where_the_earlier_one_did(
    checkpoint: Path, tmp_path: Path
) -> None:
    found = check_checkpoint(str(checkpoint), tmp_path)
    assert found.log_place(tmp_path) == {"version": 1, "purge_step": 2}
    assert found.log_place(tmp_path / "elsewhere") == {}
    moved = checkpoint.rename(tmp_path / "moved.ckpt")
    assert check_checkpoint(str(moved), tmp_path).log_place(tmp_path) == {}
