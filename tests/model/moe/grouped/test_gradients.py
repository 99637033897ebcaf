"""Gradients of several batches add up, in few operations."""

from dataclasses import replace

import pytest
import torch
from measuring.operations import CountOperations
from model.moe.expert_layers import random_experts, routed
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from animelm.model.moe.expert_pass import ExpertLayers
from animelm.model.moe.grouped.expert_pass import grouped_expert_pass
from animelm.model.moe.grouped.products import GroupedMM
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.moe.projection import AdaptedLinear
from animelm.model.moe.swiglu import SwiGLU

HIDDEN, INTERMEDIATE, TOKENS = 64, 32, 19
SWIGLU = SwiGLU(alpha=1.702, limit=7.0)
ENGINE = GroupedEngine(GroupedMM())


def new_layers(experts: int) -> list[ExpertLayers]:
    torch.manual_seed(0)
    layers = random_experts(experts, HIDDEN, INTERMEDIATE, "nf4", rank=16)
    return [ExpertLayers(*map(with_parameters, (e.gate_up, e.down))) for e in layers]


def with_parameters(linear: AdaptedLinear) -> AdaptedLinear:
    """The same layer, whose A and B a module can hold."""
    matrices = {
        name: nn.Parameter(getattr(linear.lora, name).detach()) for name in ("lora_a", "lora_b")
    }
    return linear._replace(lora=replace(linear.lora, **matrices))


def adapters(layers: list[ExpertLayers]) -> list[Tensor]:
    return [parameter for expert in layers for parameter in expert.parameters]


def output(layers: list[ExpertLayers], batch: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    torch.manual_seed(batch)
    indices = torch.rand(TOKENS, len(layers)).topk(2).indices
    states, weights, indices = routed(indices, HIDDEN, dtype)
    return grouped_expert_pass(states, weights, indices, layers, SWIGLU, False, ENGINE)


def gradients_of(layers: list[ExpertLayers], batches: int) -> list[list[Tensor]]:
    """The gradients of each batch alone."""
    found = []
    for batch in range(batches):
        output(layers, batch).float().sum().backward()
        found.append([parameter.grad for parameter in adapters(layers)])
        for parameter in adapters(layers):
            parameter.grad = None
    return found


@pytest.mark.parametrize("restored", [False, True])
def test_gradients_of_three_batches_are_their_sum_to_the_bit(restored: bool) -> None:
    layers = new_layers(4)
    alone = gradients_of(layers, 3)
    for batch in range(3):
        output(layers, batch).float().sum().backward()
        if restored:  # each in memory of its own, as a checkpoint gives them back
            for parameter in adapters(layers):
                parameter.grad = parameter.grad.clone()
    for parameter, *parts in zip(adapters(layers), *alone, strict=True):
        assert torch.equal(parameter.grad, parts[0] + parts[1] + parts[2])


def test_gradients_that_are_asked_for_are_given_and_not_added() -> None:
    layers = new_layers(4)
    alone = gradients_of(layers, 2)
    output(layers, 0).float().sum().backward()
    asked = torch.autograd.grad(output(layers, 1).float().sum(), adapters(layers))
    assert all(torch.equal(one, two) for one, two in zip(asked, alone[1], strict=True))
    first, *others = adapters(layers)
    output(layers, 1).float().sum().backward(inputs=[first])
    assert torch.equal(first.grad, alone[0][0] + alone[1][0])
    for parameter, before in zip(others, alone[0][1:], strict=True):
        assert torch.equal(parameter.grad, before)


def test_a_hook_sees_the_gradient_of_every_batch() -> None:
    layers = new_layers(4)
    alone = gradients_of(layers, 2)
    seen: list[Tensor] = []
    adapters(layers)[0].register_hook(lambda gradient: seen.append(gradient.clone()))
    for batch in range(2):
        output(layers, batch).float().sum().backward()
    assert all(torch.equal(one, two[0]) for one, two in zip(seen, alone, strict=True))


def operations_of_two_batches(experts: int, dtype: torch.dtype) -> list[int]:
    layers = new_layers(experts)
    counts = []
    for batch in range(2):
        with CountOperations() as found:
            output(layers, batch, dtype).float().sum().backward()
        counts.append(found.total)
    return counts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_second_batch_takes_one_more_operation_for_each_kind_of_matrix(
    dtype: torch.dtype,
) -> None:
    four, nine = (operations_of_two_batches(experts, dtype) for experts in (4, 9))
    assert four == nine
    assert four[1] == four[0] + 4


class Pass(nn.Module):
    """The pass as a module whose parameters are the adapters."""

    def __init__(self, layers: list[ExpertLayers]) -> None:
        super().__init__()
        self.layers = layers
        self.trained = nn.ParameterList(adapters(layers))

    def forward(self, batch: int) -> Tensor:
        return output(self.layers, batch).float().sum()


def test_processes_average_what_has_been_added_here() -> None:
    layers = new_layers(4)
    alone = gradients_of(layers, 2)
    if distributed.is_initialized():  # a trainer of another test has left its group
        distributed.destroy_process_group()
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    try:
        shared = DistributedDataParallel(Pass(layers))
        sent: list[Tensor] = []

        def note(_: object, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
            sent.extend(part.clone() for part in bucket.gradients())
            done: torch.futures.Future[Tensor] = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        shared.register_comm_hook(None, note)
        with shared.no_sync():
            shared(0).backward()
        shared(1).backward()
    finally:
        distributed.destroy_process_group()
    sums = [one + two for one, two in zip(*alone, strict=True)]
    assert all(torch.equal(p.grad, total) for p, total in zip(adapters(layers), sums, strict=True))
    assert len(sent) == len(sums)
    assert all(any(torch.equal(part, total) for part in sent) for total in sums)
