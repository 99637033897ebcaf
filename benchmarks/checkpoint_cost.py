"""What a checkpoint costs in training, and what it costs to be interrupted once.

    python benchmarks/checkpoint_cost.py [--steps 200]

Trains cpt.yaml on the embedded base twice: once without a break, and once ended by a signal after
half of the steps and resumed. Measured are:

1. the time of a checkpoint and its share of the shipped period of training;
2. the time of the two halves, with the checkpoint at the signal and with what restoring takes
   beyond a fresh start, over that of the unbroken run. Start-up (imports, data, base) is left out.

Wall-clock time and the process's own CPU time are shown, since other processes may share the cores;
waiting for the disk is only in the former. The last line is JSON.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from animelm.cli.configs import find_configs
from animelm.cli.quiet import quiet_libraries
from animelm.cli.trainer import TrainerCLI
from animelm.train.checkpoints.files import AtomicCheckpointIO
from animelm.train.stop_signals import StoppedBySignal

ROOT = Path(__file__).resolve().parent.parent


def now() -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> list[float]:
    return [after - before for before, after in zip(start, now(), strict=True)]


class Stopwatch(L.Callback):
    """Seconds, on the wall clock and of the CPU, of getting ready and of training.

    Args:
        ends_at: optimizer step after which the run ends as it does at a signal.
    """

    def __init__(self, ends_at: int | None = None) -> None:
        self.ends_at = ends_at

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._ready = now()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.start_up = since(self._ready)
        self._started = now()

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.ends_at:
            raise StoppedBySignal(signal.SIGTERM)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.training = since(self._started)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        # After all others: the checkpoint at the signal has been written.
        if isinstance(exception, StoppedBySignal):
            self.training = since(self._started)


def fit(
    folder: Path, steps: int, ends_at: int | None = None, checkpoint: Path | None = None
) -> Stopwatch:
    """Trains ``steps`` in all; returns the times."""
    options = [
        "--config=cpt.yaml",
        f"--trainer.max_steps={steps}",
        "--trainer.max_epochs=-1",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={folder}",
    ]
    watch = Stopwatch(ends_at)
    cli = TrainerCLI(find_configs(options), run=False)
    cli.trainer.callbacks.append(watch)
    with suppress(StoppedBySignal):
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint)
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps of a run")
    steps = parser.parse_args().steps
    os.chdir(ROOT)
    saves: list[list[float]] = []
    write = AtomicCheckpointIO.save_checkpoint

    def timed(self: AtomicCheckpointIO, *arguments: Any, **options: Any) -> None:
        start = now()
        write(self, *arguments, **options)
        saves.append(since(start))

    AtomicCheckpointIO.save_checkpoint = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as place, quiet_libraries():
        folder = Path(place)
        fit(folder / "warm", 3)  # tokenizes and fills the caches
        unbroken = fit(folder / "unbroken", steps)
        first = fit(folder / "ended", steps, ends_at=steps // 2)
        [checkpoint] = (folder / "ended").rglob("last.ckpt")
        size = checkpoint.stat().st_size
        second = fit(folder / "ended", steps, checkpoint=checkpoint)
    minutes = yaml.safe_load((ROOT / "configs" / "cpt.yaml").read_text())["checkpoints"]["minutes"]
    interrupted = [
        a + b + restored - fresh
        for a, b, restored, fresh in zip(
            first.training, second.training, second.start_up, unbroken.start_up, strict=True
        )
    ]
    save = max(wall for wall, _ in saves)
    figures = {
        "steps": steps,
        "checkpoint_mb": round(size / 1e6, 1),
        "checkpoint_s": round(save, 3),
        "period_minutes": minutes,
        "checkpoint_share": round(save / (minutes * 60), 5),
        "unbroken_s": [round(each, 2) for each in unbroken.training],
        "interrupted_s": [round(each, 2) for each in interrupted],
        "resume_share": [
            round(broken / whole - 1, 4)
            for broken, whole in zip(interrupted, unbroken.training, strict=True)
        ],
    }
    print(
        f"a checkpoint of {figures['checkpoint_mb']} MB takes {save:.2f} s, the longest of "
        f"{len(saves)}: {figures['checkpoint_share']:.2%} of {minutes} minutes"
    )
    print(
        f"being interrupted once costs {figures['resume_share'][0]:+.1%} (wall clock), "
        f"{figures['resume_share'][1]:+.1%} (CPU)"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
