"""A model without weights that is filled tensor by tensor, each checked and converted on arrival.

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

# Memory of its own takes whole pages, so it is for large tensors only.
_MAPPED_BYTES = 2**16
# Those of 8 bits mean nothing without a scale.
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FLOAT = "of a float type of 16 bits or more"


class Filling:
    """What of a model has been filled already, and how to fill the rest.

    Args:
        model: on the meta device.
        compute_dtype: type of every weight that is not in 4 bits.
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
            UserError: the model has none, so ``source`` is of a layout that is not known.
        """
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise source.wrong(
                f"has no place in {type(self.model).__name__}. Known layouts: one tensor a layer "
                "in 16 or 32 bits, gpt-oss's MXFP4 blocks and scales, and bitsandbytes' NF4"
            ) from error

    def value(self, path: str, leaf: str, tensor: Tensor, source: StoredTensor) -> None:
        """Fills the parameter ``leaf`` of the module at ``path``; a linear weight may be packed.

        Raises:
            UserError: the module has no such parameter, or one of another shape.
        """
        module = self.module(path, source)
        if isinstance(module, PackedLinear) and leaf == "weight":
            self._packed_weight(module, tensor, source)
        else:
            own = module._parameters.get(leaf)
            if own is None:
                raise source.wrong(f"has no place in {type(module).__name__}")
            if tensor.shape != own.shape or tensor.dtype not in _FLOATS:
                raise source.unlike(tensor, f"{tuple(own.shape)} {_FLOAT}")
            held = _lasting(tensor.to(self.compute_dtype))
            setattr(module, leaf, nn.Parameter(held, requires_grad=False))
        self.missing.discard(f"{path}.{leaf}")

    def _packed_weight(self, module: PackedLinear, tensor: Tensor, source: StoredTensor) -> None:
        expected = (module.out_features, module.in_features)
        if tensor.shape != expected or tensor.dtype not in _FLOATS:
            raise source.unlike(tensor, f"{expected} {_FLOAT}")
        if isinstance(module, LinearMXFP4):
            raise source.wrong(
                f"is {str(tensor.dtype).removeprefix('torch.')}, and quantization mxfp4 keeps "
                "experts that a checkpoint holds in MXFP4; use nf4"
            )
        assert isinstance(module, Linear4bit)
        packed, scales = quantize_nf4(tensor)
        module.load_packed(_lasting(packed), *map(_lasting, module.stored_scales(scales)))

    def packed(
        self, path: str, weight: Tensor, scales: Iterable[Tensor], source: StoredTensor
    ) -> None:
        """Fills the packed layer at ``path`` with bytes and scales that are in its own format."""
        module = self.module(path, source)
        assert isinstance(module, PackedLinear)
        module.load_packed(_lasting(weight), *map(_lasting, scales))
        self.missing.discard(f"{path}.weight")


def _lasting(tensor: Tensor) -> Tensor:
    """A copy in memory of its own.

    What lasts must not lie between what is dropped at once: loading the 20B would leave holes in
    the allocator's memory that together are larger than the model.
    """
    if tensor.nbytes < _MAPPED_BYTES:
        return tensor.clone(memory_format=torch.contiguous_format)
    memory = mmap.mmap(-1, tensor.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=tensor.dtype).view(tensor.shape).copy_(tensor)
