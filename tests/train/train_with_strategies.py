"""Trains the embedded runs as one of two processes, in turn; started by test_strategies.py.

Usage: train_with_strategies.py FOLDER
"""

import sys
from pathlib import Path

from embedded_run import QUANTIZATIONS, STEPS, fine_tune, pre_train, pre_train_released

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for layer in ("ddp", "fsdp2"):
        pre_train(folder, layer, 2, layer)
        fine_tune(folder, f"{layer}-tuned", layer)
    half = folder / "fsdp2" / f"step={STEPS // 2}.ckpt"
    pre_train(folder, "resumed", 2, "fsdp2", half)
    pre_train(folder, "ddp-to-fsdp2", 2, "fsdp2", folder / "ddp" / half.name)
    fine_tune(folder, "tuned-resumed", "fsdp2", folder / "fsdp2-tuned" / "step=1.ckpt")
    for quantization in QUANTIZATIONS:
        pre_train_released(folder, f"fsdp2-{quantization}", quantization, 2, "fsdp2")
