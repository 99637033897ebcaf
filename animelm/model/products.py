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
_ROWS = 96  # for which a weight is put in order; other numbers of rows may come
_PROBE = (_ROWS, 256, 256)  # rows, output and input width
_REPETITIONS, _TRIES = 20, 5


class FrozenProduct:
    """``F.linear`` with one weight and bias, many times, without gradients.

    Args:
        weight: [O, I].
        bias: [O], or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias
        self._ordered: Tensor | None = None
        if weight.dtype == torch.float32 and weight.device.type == "cpu" and _onednn_is_faster():
            # In the order in which oneDNN reads it; otherwise it is put in order for each product.
            self._ordered = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        """x [n, I] -> [n, O]."""
        if self._ordered is None or len(x) < _FEWEST_ROWS:
            return F.linear(x, self._weight, self._bias)
        return _by_onednn(x, self._ordered, self._bias)


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
