"""One tensor a parameter, in 16 or 32 bits: the rest of every checkpoint, and all of a Llama's."""

from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import Filling


def place_plain(tensor: StoredTensor, checkpoint: Checkpoint, filling: Filling) -> bool:
    """Takes every tensor; a table of rotary frequencies is computed, not loaded."""
    if not tensor.name.endswith(".rotary_emb.inv_freq"):
        path, _, leaf = in_transformers(tensor.name).rpartition(".")
        filling.value(path, leaf, tensor.read(), tensor)
    return True


def in_transformers(name: str) -> str:
    """The name of a parameter in transformers' model; unsloth wraps routers in a linear layer."""
    return name.replace(".mlp.router.linear.", ".mlp.router.")
