"""The formats in which checkpoints store weights, one per file, recognized by tensor names.

A checkpoint may mix formats: each tensor is loaded by the first format that recognizes it.
"""

from animelm.model.checkpoint.formats.bitsandbytes_nf4 import load_bitsandbytes
from animelm.model.checkpoint.formats.fused_experts import load_fused_experts
from animelm.model.checkpoint.formats.mxfp4_experts import load_mxfp4_experts
from animelm.model.checkpoint.formats.plain import load_plain
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader

_FORMATS = (load_fused_experts, load_mxfp4_experts, load_bitsandbytes, load_plain)


def load_tensor(tensor: StoredTensor, checkpoint: Checkpoint, loader: WeightLoader) -> None:
    """Loads a tensor, and those that belong to it, into the model.

    Raises:
        UserError: the tensor belongs to no known format, has another shape than in the model, or
            needs a tensor that the checkpoint lacks.
    """
    for load in _FORMATS:
        if load(tensor, checkpoint, loader):
            return
