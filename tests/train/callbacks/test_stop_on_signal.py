import json
import os
import signal
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from tiny_run import TinyModule, loader, make_batch, make_trainer
from two_processes import run_as_two_processes

from animelm.train.callbacks.stop_on_signal import StopOnSignal
from animelm.train.stop_signals import StoppedBySignal, StopSignals

BATCHES = [make_batch(seed) for seed in range(4)]


class Signal(Callback):
    """Sends SIGTERM to this process in a hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))


def fit(folder: Path, *callbacks: Callback, **settings: object) -> StopOnSignal:
    with StopSignals() as signals:
        stop = StopOnSignal(signals)
        trainer = make_trainer(folder, [*callbacks, stop], **settings)
        validated = loader(BATCHES[:2])
        trainer.fit(TinyModule(), loader(BATCHES), validated)
    return stop


def ended(folder: Path, *callbacks: Callback) -> dict:
    """The checkpoint of a run that a signal has ended."""
    writer = ModelCheckpoint(folder / "kept", every_n_epochs=9)
    with pytest.raises(StoppedBySignal):
        fit(folder, *callbacks, writer, enable_checkpointing=True)
    return torch.load(folder / "kept" / "last.ckpt", weights_only=True)


def test_the_batch_at_hand_is_finished_and_saved(tmp_path: Path) -> None:
    assert ended(tmp_path, Signal("on_before_backward"))["global_step"] == 1


def test_in_a_validation_the_step_before_it_is_saved(tmp_path: Path) -> None:
    saved = ended(tmp_path, Signal("on_validation_batch_start"))
    assert saved["global_step"] == 4
    counts = saved["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    assert len({counts[name] for name in ("ready", "started", "processed", "completed")}) == 1


def test_without_checkpoints_nothing_is_saved(tmp_path: Path) -> None:
    with pytest.raises(StoppedBySignal):
        fit(tmp_path, Signal("on_before_backward"))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_run_that_has_only_its_adapter_left_to_write_ends_well(tmp_path: Path) -> None:
    assert fit(tmp_path, Signal("on_train_end")).saved is None


def test_a_signal_to_one_of_two_processes_ends_both_with_a_checkpoint(tmp_path: Path) -> None:
    run_as_two_processes(Path(__file__).with_name("end_one_process.py"), tmp_path)
    for rank in range(2):
        result = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert result == {"status": 143, "step": 2}
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
