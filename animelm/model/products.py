"""Products with a weight where no gradient follows, by the library that is faster on this machine.

In fp32 on a CPU, PyTorch multiplies by MKL, which uses half of the vector width on some processors;
oneDNN, which PyTorch has as well, uses all of it. Which one is faster is measured, once.
"""

import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST_ROWS = 16  # with fewer, oneDNN takes longer to begin than it saves
_PROBE = (96, 256, 256)  # rows, output and input width
_REPETITIONS, _TRIES = 20, 5


def linear_without_gradient(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``: x [n, I], weight [O, I], bias [O] or None -> [n, O]."""
    suits = x.dtype == torch.float32 and x.device.type == "cpu" and len(x) >= _FEWEST_ROWS
    if suits and _onednn_is_faster():
        return _by_onednn(x, weight, bias)
    return F.linear(x, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # The operator that torch.compile calls for a linear layer on a CPU.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def _onednn_is_faster() -> bool:
    """Measured on one thread, in processor time, so that other work on the machine matters less."""
    if not torch.backends.mkldnn.is_available():
        return False
    rows, outputs, inputs = _PROBE
    arguments = (torch.ones(rows, inputs), torch.ones(outputs, inputs), torch.ones(outputs))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _seconds(_by_onednn, arguments) < _seconds(F.linear, arguments)
    finally:
        torch.set_num_threads(threads)


def _seconds(product: Callable[..., Tensor], arguments: tuple[Tensor, ...]) -> float:
    """Processor time of some products, the shortest of several tries."""
    found = []
    with torch.inference_mode():
        for _ in range(_TRIES):
            begin = time.process_time()
            for _ in range(_REPETITIONS):
                product(*arguments)
            found.append(time.process_time() - begin)
    return min(found)
