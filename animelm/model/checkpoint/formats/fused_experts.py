"""The experts of a layer as one tensor in 16 or 32 bits, input first, as transformers writes them.

``experts.gate_up_proj`` [E, C, 2F], ``experts.down_proj`` [E, F, C], and a bias [E, …] of each. The
biases are stored the same way beside MXFP4 experts.

Legend: E experts, C hidden width, F intermediate width.
"""

import re

from torch import Tensor

from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import Filling

# Name in a checkpoint -> name of the list of linear layers in the model.
LISTS = {"gate_up_proj": "gate_up_projs", "down_proj": "down_projs"}
_NAME = re.compile(r"(?P<experts>.+\.experts)\.(?P<fused>gate_up_proj|down_proj)(?P<bias>_bias)?")


def place_fused_experts(tensor: StoredTensor, checkpoint: Checkpoint, filling: Filling) -> bool:
    """Takes a fused weight or bias."""
    match = _NAME.fullmatch(tensor.name)
    if match is None:
        return False
    path = f"{match['experts']}.{LISTS[match['fused']]}"
    leaf = "bias" if match["bias"] else "weight"
    for index, part in enumerate(expert_parts(tensor.read(), path, tensor, filling)):
        filling.value(f"{path}.{index}", leaf, part if match["bias"] else part.T, tensor)
    return True


def expert_parts(
    fused: Tensor, path: str, source: StoredTensor, filling: Filling
) -> tuple[Tensor, ...]:
    """One part for each expert of the list at ``path``.

    Raises:
        UserError: the tensor has parts for another number of experts.
    """
    experts = len(list(filling.module(path, source).children()))
    if fused.dim() < 2 or len(fused) != experts:
        raise source.unlike(fused, f"a first dimension of {experts}, one an expert")
    return fused.unbind(0)
