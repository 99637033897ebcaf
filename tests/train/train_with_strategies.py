"""Trains the embedded run as one of two processes, in turn; started by test_strategies.py.

Usage: train_with_strategies.py FOLDER
"""

import sys
from pathlib import Path

from embedded_run import STEPS, train

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    train(folder, "ddp", 2, "ddp")
    train(folder, "fsdp2", 2, "fsdp2")
    checkpoint = folder / "fsdp2" / f"step={STEPS // 2}.ckpt"
    train(folder, "resumed", 2, "fsdp2", checkpoint=checkpoint)
