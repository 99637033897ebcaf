from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.errors import UserError
from animelm.train.callbacks import run_checkpoint
from animelm.train.callbacks.run_checkpoint import RunCheckpoint

BATCHES = [make_batch(seed) for seed in range(4)]


class Look(Callback):
    """The checkpoints that lie in a folder at the start of each batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[list[str]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.seen.append(sorted(path.name for path in self.folder.glob("*.ckpt")))


def fit(folder: Path, *callbacks: Callback, ckpt_path: Path | None = None, **settings) -> None:
    trainer = make_trainer(folder, callbacks, enable_checkpointing=True, **settings)
    trainer.fit(TinyModule(), loader(BATCHES), ckpt_path=ckpt_path, weights_only=True)


def step_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["global_step"]


def test_the_last_checkpoints_are_kept_and_the_newest_has_a_second_name(tmp_path: Path) -> None:
    look = Look(tmp_path / "checkpoints")
    fit(tmp_path, look, RunCheckpoint(every_n_steps=1, keep_last=2))
    names = [f"epoch=0-step={step}.ckpt" for step in range(1, 5)]
    last = "last.ckpt"
    assert look.seen == [[], [names[0], last], [*names[:2], last], [*names[1:3], last]]
    assert sorted(p.name for p in look.folder.iterdir()) == [*names[2:], last]
    assert step_of(look.folder / last) == 4
    assert (look.folder / last).samefile(look.folder / names[3])


def test_a_checkpoint_is_written_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch takes 4 minutes, and the period is 10."""
    times = iter(range(0, 10_000, 4 * 60))
    now = [0.0]

    class Clock(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            now[0] = next(times) + 240.0

    module = run_checkpoint.ModelCheckpoint.__module__
    monkeypatch.setattr(f"{module}.time.monotonic", lambda: now[0])
    look = Look(tmp_path / "checkpoints")
    fit(tmp_path, Clock(), look, RunCheckpoint(minutes=10))
    assert look.seen[:3] == [[], [], []]
    assert look.seen[3] == ["epoch=0-step=3.ckpt", "last.ckpt"]


def test_a_resumed_run_removes_the_checkpoints_of_the_one_before(tmp_path: Path) -> None:
    fit(tmp_path, RunCheckpoint(every_n_steps=2))
    folder = tmp_path / "checkpoints"
    # Another period, as a user may choose.
    fit(tmp_path, RunCheckpoint(every_n_steps=1), ckpt_path=folder / "last.ckpt", max_epochs=2)
    assert sorted(p.name for p in folder.iterdir()) == [
        "epoch=1-step=7.ckpt",
        "epoch=1-step=8.ckpt",
        "last.ckpt",
    ]


def test_nothing_is_written_between_two_optimizer_steps(tmp_path: Path) -> None:
    look = Look(tmp_path / "checkpoints")
    fit(tmp_path, look, RunCheckpoint(minutes=1e-9), accumulate_grad_batches=2)
    assert look.seen == [[], [], *[["epoch=0-step=1.ckpt", "last.ckpt"]] * 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_steps": 0}, "every_n_steps is 0; expected 1 or more"),
        ({"minutes": 0}, "minutes is 0; expected more than 0"),
        ({"minutes": float("nan")}, "minutes is nan; expected more than 0"),
        ({"keep_last": 0}, "keep_last is 0; expected 1 or more"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RunCheckpoint(**settings)
