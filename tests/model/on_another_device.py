"""Trains a step of a base on a device that is no CPU; started by test_other_devices.py.

No such device is needed: fake tensors know shape, type and device, hold no values, and refuse an
operation on two devices. What depends on values (routing, borders of documents, seeds of dropout,
levels of scales) is given to them. Prints what has run.

Usage: on_another_device.py FOLDER QUANTIZATION
"""

import os
import sys
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from animelm.model.attention.documents import DocumentLayout, packed_hidden_states
from animelm.model.checkpoint.load import load_base
from animelm.model.embedding_offload import keep_embeddings_on_cpu
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.loss import _ChunkedCrossEntropy
from animelm.model.moe import expert_pass, projection
from animelm.model.moe.experts import Experts
from animelm.model.moe.routing import Routing
from animelm.model.quantization import double_quantization as nested_scales

POSITIONS = torch.cat([torch.arange(20), torch.arange(12), torch.arange(16)]).repeat(2, 1)
MODE = FakeTensorMode(allow_non_fake_inputs=True)
LEVELS = nested_scales.create_dynamic_map()
sort_choices = Routing.from_indices


def every_expert_in_turn(indices: Tensor, experts: int, multiple: int = 1) -> Routing:
    """The routing of as many tokens, whatever a router without values has chosen."""
    tokens, chosen = indices.shape
    with unset_fake_temporarily():
        turns = (torch.arange(tokens)[:, None] + torch.arange(chosen)) % experts
        given = sort_choices(turns, experts, multiple)
    token, place = (moved(tensor, indices.device) for tensor in (given.token, given.place))
    return given._replace(token=token, place=place)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    return MODE.from_tensor(tensor.detach()).to(device)


def move(model: nn.Module, device: torch.device) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            there = nn.Parameter(moved(parameter, device), parameter.requires_grad)
            module.register_parameter(name, there)
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, moved(buffer, device))


def train_a_step(model: nn.Module, layout: DocumentLayout, device: torch.device) -> None:
    move(model, device)
    there = replace(layout)
    indices = {name: moved(getattr(layout, name), device) for name in ("token_index", "inverse")}
    # Spans and groups follow from values, which fake tensors do not have.
    vars(there).update(spans=layout.spans, _grouped=layout._grouped._replace(**indices))
    tokens = torch.zeros_like(POSITIONS, device=device)
    with (
        patch.object(DocumentLayout, "from_position_ids", lambda _: there),
        patch.object(Routing, "from_indices", every_expert_in_turn),
        patch.object(expert_pass, "draw_seed", lambda _: None),
        patch.object(nested_scales, "create_dynamic_map", lambda: MODE.from_tensor(LEVELS)),
        patch.object(projection, "_WORKSPACES", {}),
        torch.autograd.set_multithreading_enabled(False),
    ):
        hidden = packed_hidden_states(model, tokens, moved(POSITIONS, device)).flatten(0, 1)
        head = model.get_base_model().lm_head.weight
        _ChunkedCrossEntropy.apply(hidden, head, tokens.flatten(), False).backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(p.grad is not None and p.grad.device == device for p in trained)


if __name__ == "__main__":
    folder, quantization = sys.argv[1:]
    _setup_privateuseone_for_python_backend("fake_gpu")
    for dtype in (torch.float32, torch.bfloat16):
        for recompute in (False, True):
            base = load_base(folder, quantization, dtype)
            if recompute:  # the other way to save memory goes with it
                keep_embeddings_on_cpu(base)
            model = add_adapter(base, LoraSettings(rank=4)).train()
            for module in model.modules():
                if isinstance(module, Experts):
                    module.recompute = recompute
            layout = DocumentLayout.from_position_ids(POSITIONS)
            # Computed at their first use, which must see values.
            assert layout.spans and layout.groups
            with MODE:
                train_a_step(model, layout, torch.device("fake_gpu:0"))
            print(dtype, "recompute" if recompute else "keep", flush=True)
    # PyTorch's threads for a device that was only pretended do not end in order.
    os._exit(0)
