"""Trains as one of two processes, of which the second alone receives SIGTERM.

Usage: end_one_process.py FOLDER. Writes the status and the step of each rank into FOLDER.
"""

import json
import os
import signal
import sys
from pathlib import Path

from lightning.pytorch.callbacks import Callback, ModelCheckpoint

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from tiny_run import TinyModule, loader, make_batch, make_trainer

from animelm.train.callbacks.stop_on_signal import StopOnSignal
from animelm.train.stop_signals import StoppedBySignal, StopSignals
from animelm.train.strategies import DataParallelStrategy


class EndsOne(Callback):
    """Sends the signal to rank 1 while it computes."""

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 1:
            os.kill(os.getpid(), signal.SIGTERM)


class AllTrained(TinyModule):
    """DDP waits for every parameter."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss + 0 * sum(p.sum() for p in self.parameters())


if __name__ == "__main__":
    folder, signals = Path(sys.argv[1]), StopSignals()
    trainer = make_trainer(
        folder,
        [EndsOne(), StopOnSignal(signals), ModelCheckpoint(folder / "checkpoints")],
        enable_checkpointing=True,
        devices=2,
        strategy=DataParallelStrategy("gloo", timeout_minutes=1),
        use_distributed_sampler=False,
    )
    status = 0
    try:
        with signals:
            trainer.fit(AllTrained(), loader([make_batch(seed) for seed in range(8)]))
    except StoppedBySignal as stopped:
        status = stopped.code
    result = {"status": status, "step": trainer.global_step}
    (folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(result))
