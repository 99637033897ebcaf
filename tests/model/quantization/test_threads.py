"""Quantizing must not start PyTorch's threads: more of them than cores put all of them to sleep."""

import subprocess
import sys

import pytest

# A process of two threads of PyTorch's that packs weights in all ways that use a pool; prints how
# many threads that added.
PACK = """
import os
import torch
from animelm.model.quantization.nf4 import quantize_nf4
from animelm.model.quantization.mxfp4_to_nf4 import nf4_from_mxfp4

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(2)
torch.ones(2**22).abs().sum()
before = threads()
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    quantize_nf4(torch.randn(2048, 1024).to(dtype))
packed = torch.randint(256, (2048, 512), dtype=torch.uint8)
nf4_from_mxfp4(packed, torch.full((2048, 32), 120, dtype=torch.uint8))
print(threads() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted as Linux lists them")
def test_only_the_pool_s_own_threads_are_started() -> None:
    done = subprocess.run([sys.executable, "-c", PACK], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) <= 2
