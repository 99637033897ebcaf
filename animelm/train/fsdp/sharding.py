"""Shards a model's parameters over several processes (FSDP2)."""

import re
from collections.abc import Iterable

import torch
from peft import PeftModel
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter

from animelm.model.architecture import CausalLM

_ADAPTER_PART = re.compile(r"\.(lora_|modules_to_save\.)")


def shard_layers(model: CausalLM, mesh: DeviceMesh) -> None:
    """Shards every parameter, frozen 4-bit bytes and adapters alike.

    A decoder layer's parameters are gathered while the layer computes, in the forward and again in
    the backward pass. Running the decoder (``model.model``) also runs the gathering.

    Args:
        model: the same on every process, with its adapters.
        mesh: the processes that share the model, one-dimensional.
    """
    decoder = model.model
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh)
    ends = [decoder.norm, model.lm_head]
    if model.lm_head.weight is decoder.embed_tokens.weight:
        ends.append(decoder.embed_tokens)  # one matrix, one group
    else:
        fully_shard(decoder.embed_tokens, mesh=mesh)
    # The loss reads the head's weight after the decoder has ended, so it must stay gathered.
    fully_shard(ends, mesh=mesh, reshard_after_forward=False)
    fully_shard(decoder, mesh=mesh)
    # Read by ``generate``, which then continues until every process has its answers, because all
    # of them must take part in the gathering.
    model._is_fsdp_managed_module = True  # type: ignore[assignment]


def whole_tensors(parameters: Iterable[tuple[str, Parameter]]) -> dict[str, Tensor]:
    """Full copies of parameters on the CPU; all processes must call it together.

    Args:
        parameters: names and parameters, sharded or not.
    """
    whole = {}
    for name, parameter in parameters:
        tensor = parameter.detach()
        whole[name] = (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()
    return whole


def whole_adapter(model: PeftModel) -> dict[str, Tensor]:
    """The weights of all adapters in a model, as ``whole_tensors`` gives them."""
    named = model.named_parameters()
    return whole_tensors((name, p) for name, p in named if _ADAPTER_PART.search(name))


@torch.no_grad()
def copy_whole(source: Tensor, parameter: Parameter) -> None:
    """Copies ``source``, which every process has in full, into a parameter, sharded or not."""
    parameter.copy_(_divided(source, parameter))


def own_part(source: Tensor, parameter: Parameter) -> Tensor:
    """This process's part of a tensor of a parameter's shape, which every process has in full."""
    part = _divided(source, parameter)
    return part.to_local() if isinstance(part, DTensor) else part


def _divided(source: Tensor, parameter: Parameter) -> Tensor:
    if not isinstance(parameter, DTensor):
        return source
    mesh, placements = parameter.device_mesh, parameter.placements
    # Without a source rank nothing is sent: each process takes its own shard.
    return distribute_tensor(source.to(parameter.device), mesh, placements, src_data_rank=None)
