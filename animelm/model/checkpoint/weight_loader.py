"""Loads weights into a model on the meta device, tensor by tensor, checking and converting each.

Legend: O output width, I input width.
"""

import mmap
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.reader import StoredTensor
from animelm.model.quantization.linear4bit import Linear4bit
from animelm.model.quantization.mxfp4 import LinearMXFP4
from animelm.model.quantization.nf4 import quantize_nf4
from animelm.model.quantization.packed_linear import PackedLinear

# A mapping takes whole pages, so only large tensors get one.
_MAPPED_BYTES = 2**16
# 8-bit floats mean nothing without a scale.
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FLOAT = "of a float type of 16 bits or more"


class WeightLoader:
    """Loads the weights of one model.

    Args:
        model: The model, on the meta device.
        compute_dtype: Type of every weight that is not in 4 bits.

    Attributes:
        missing: names of the parameters that have not been loaded yet, scales not included.
    """

    def __init__(self, model: CausalLM, compute_dtype: torch.dtype) -> None:
        self.model = model
        self.compute_dtype = compute_dtype
        scales = {
            f"{path}.{name}"
            for path, module in model.named_modules()
            if isinstance(module, PackedLinear)
            for name in module.SCALES
        }
        self.missing = {name for name, _ in model.named_parameters()} - scales

    def module(self, path: str, source: StoredTensor) -> nn.Module:
        """The module at ``path``.

        Raises:
            UserError: the model has no such module, so the format of ``source`` is unknown.
        """
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise source.error(
                f"does not exist in {type(self.model).__name__}. Known formats: one tensor per "
                "layer in 16 or 32 bits, gpt-oss's MXFP4 blocks and scales, and bitsandbytes' NF4"
            ) from error

    def load_weight(self, path: str, leaf: str, tensor: Tensor, source: StoredTensor) -> None:
        """Loads the parameter ``leaf`` of the module at ``path``, quantized if the module is 4-bit.

        Raises:
            UserError: the module has no such parameter, or one of another shape.
        """
        module = self.module(path, source)
        if isinstance(module, PackedLinear) and leaf == "weight":
            self._quantize(module, tensor, source)
        else:
            own = module._parameters.get(leaf)
            if own is None:
                raise source.error(f"does not exist in {type(module).__name__}")
            if tensor.shape != own.shape or tensor.dtype not in _FLOATS:
                raise source.mismatch(tensor, f"{tuple(own.shape)} {_FLOAT}")
            held = _own_memory(tensor.to(self.compute_dtype))
            setattr(module, leaf, nn.Parameter(held, requires_grad=False))
        self.missing.discard(f"{path}.{leaf}")

    def _quantize(self, module: PackedLinear, tensor: Tensor, source: StoredTensor) -> None:
        expected = (module.out_features, module.in_features)
        if tensor.shape != expected or tensor.dtype not in _FLOATS:
            raise source.mismatch(tensor, f"{expected} {_FLOAT}")
        if isinstance(module, LinearMXFP4):
            raise source.error(
                f"is {str(tensor.dtype).removeprefix('torch.')}, and quantization mxfp4 keeps "
                "experts that a checkpoint holds in MXFP4; use nf4"
            )
        assert isinstance(module, Linear4bit)
        packed, scales = quantize_nf4(tensor)
        module.load_packed(_own_memory(packed), *map(_own_memory, module.stored_scales(scales)))

    def load_packed(
        self, path: str, weight: Tensor, scales: Iterable[Tensor], source: StoredTensor
    ) -> None:
        """Loads bytes and scales that already have the format of the 4-bit layer at ``path``."""
        module = self.module(path, source)
        assert isinstance(module, PackedLinear)
        module.load_packed(_own_memory(weight), *map(_own_memory, scales))
        self.missing.discard(f"{path}.weight")


def _own_memory(tensor: Tensor) -> Tensor:
    """A copy in a mapping of its own.

    A weight that stays must not lie between temporary tensors on the heap: loading the 20B would
    fragment it by more than the size of the model.
    """
    if tensor.nbytes < _MAPPED_BYTES:
        return tensor.clone(memory_format=torch.contiguous_format)
    memory = mmap.mmap(-1, tensor.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=tensor.dtype).view(tensor.shape).copy_(tensor)
