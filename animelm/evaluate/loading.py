"""A base, loaded to answer questions on the device there is."""

import torch
from torch import nn

from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.load import load_base, load_config
from animelm.model.precision import ComputeType, choose_compute_dtype
from animelm.model.quantization.linear4bit import Quantization


def load_to_answer(base: str, quantization: Quantization, compute_type: ComputeType) -> CausalLM:
    """Loads a base onto the GPU if there is one, else into memory.

    Raises:
        UserError: as ``load_base``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = load_config(base)
    dtype = choose_compute_dtype(compute_type, device, config.hidden_size, config.intermediate_size)
    model = load_base(base, quantization, dtype)
    nn.Module.to(model, device)
    return model
