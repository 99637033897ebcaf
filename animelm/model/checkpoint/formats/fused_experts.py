"""The experts of a layer as one tensor in 16 or 32 bits, input first, as transformers saves them.

``experts.gate_up_proj`` [E, C, 2F], ``experts.down_proj`` [E, F, C], and a bias [E, …] for each.
MXFP4 checkpoints store the biases in the same way.

Legend: E experts, C hidden width, F intermediate width.
"""

import re

from torch import Tensor

from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader

# Name in a checkpoint -> name of the list of linear layers in the model.
EXPERT_LISTS = {"gate_up_proj": "gate_up_projs", "down_proj": "down_projs"}
_NAME = re.compile(r"(?P<experts>.+\.experts)\.(?P<fused>gate_up_proj|down_proj)(?P<bias>_bias)?")


def load_fused_experts(tensor: StoredTensor, checkpoint: Checkpoint, loader: WeightLoader) -> bool:
    """Loads a fused weight or bias; False if the tensor is neither."""
    match = _NAME.fullmatch(tensor.name)
    if match is None:
        return False
    path = f"{match['experts']}.{EXPERT_LISTS[match['fused']]}"
    leaf = "bias" if match["bias"] else "weight"
    for index, part in enumerate(expert_parts(tensor.read(), path, tensor, loader)):
        loader.load_weight(f"{path}.{index}", leaf, part if match["bias"] else part.T, tensor)
    return True


def expert_parts(
    fused: Tensor, path: str, source: StoredTensor, loader: WeightLoader
) -> tuple[Tensor, ...]:
    """Splits ``fused`` into one part for each expert of the list at ``path``.

    Raises:
        UserError: the tensor holds another number of experts.
    """
    experts = len(list(loader.module(path, source).children()))
    if fused.dim() < 2 or len(fused) != experts:
        raise source.mismatch(fused, f"a first dimension of {experts}, one per expert")
    return fused.unbind(0)
