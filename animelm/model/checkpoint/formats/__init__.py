"""How checkpoints store their weights, a file a layout; each knows its tensors by their names.

A checkpoint may mix them: each tensor goes to the first layout that takes it.
"""

from animelm.model.checkpoint.formats.bitsandbytes_nf4 import place_bitsandbytes
from animelm.model.checkpoint.formats.fused_experts import place_fused_experts
from animelm.model.checkpoint.formats.mxfp4_experts import place_mxfp4_experts
from animelm.model.checkpoint.formats.plain import place_plain
from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import Filling

_LAYOUTS = (place_fused_experts, place_mxfp4_experts, place_bitsandbytes, place_plain)


def place(tensor: StoredTensor, checkpoint: Checkpoint, filling: Filling) -> None:
    """Puts a tensor, and those that belong to it, where the model has them.

    Raises:
        UserError: it belongs to no known layout, has another shape than the model, or needs a
            tensor that the checkpoint lacks.
    """
    for layout in _LAYOUTS:
        if layout(tensor, checkpoint, filling):
            return
