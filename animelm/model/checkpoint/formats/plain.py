"""One tensor per parameter, in 16 or 32 bits: all of a Llama, and what other formats leave."""

from animelm.model.checkpoint.reader import Checkpoint, StoredTensor
from animelm.model.checkpoint.weight_loader import WeightLoader


def load_plain(tensor: StoredTensor, checkpoint: Checkpoint, loader: WeightLoader) -> bool:
    """Loads any tensor; rotary frequencies are skipped, since they are computed."""
    if not tensor.name.endswith(".rotary_emb.inv_freq"):
        path, _, leaf = transformers_name(tensor.name).rpartition(".")
        loader.load_weight(path, leaf, tensor.read(), tensor)
    return True


def transformers_name(name: str) -> str:
    """A parameter's name in transformers; unsloth wraps routers in a linear layer."""
    return name.replace(".mlp.router.linear.", ".mlp.router.")
