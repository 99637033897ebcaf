"""Optimizer states that are joined and divided are those of whole parameters."""

import bitsandbytes as bnb
import torch
from torch import Tensor
from torch.nn import Parameter

from animelm.train.fsdp.states import SHARDS, divide_states, join_states, quantize_states

STEPS = 3


def stepped(kind: type, weights: list[Tensor], gradients: list[list[Tensor]]) -> dict:
    """States of an optimizer after a few steps on some parameters."""
    parameters = [Parameter(weight.clone()) for weight in weights]
    optimizer = kind(parameters, lr=0.01)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone() if gradient.numel() else None
        optimizer.step()
    return optimizer.state_dict()


def states(kind: type, shapes: list[tuple[int, ...]], processes: int) -> tuple[dict, list[dict]]:
    """States of whole parameters, and of each process's shards of them."""
    torch.manual_seed(0)
    weights = [torch.randn(shape) for shape in shapes]
    gradients = [[torch.randn(shape) for shape in shapes] for _ in range(STEPS)]

    def part(tensor: Tensor, rank: int) -> Tensor:
        chunks = tensor.chunk(processes)
        return chunks[rank] if rank < len(chunks) else tensor[:0]

    shards = [
        stepped(
            kind, [part(w, rank) for w in weights], [[part(g, rank) for g in s] for s in gradients]
        )
        for rank in range(processes)
    ]
    return stepped(kind, weights, gradients), shards


def test_joined_states_are_those_of_whole_parameters() -> None:
    whole, shards = states(torch.optim.AdamW, [(7, 3), (2, 4), (5,)], 3)
    joined = join_states({SHARDS: shards})
    assert joined["param_groups"] == whole["param_groups"]
    torch.testing.assert_close(joined["state"], whole["state"], rtol=0, atol=0)
    assert quantize_states(joined)["state"].keys() == whole["state"].keys()


def test_states_in_8_bits_are_joined_and_quantized_again() -> None:
    # Blocks of 256 values do not cross these shards.
    whole, shards = states(bnb.optim.AdamW8bit, [(128, 96), (8, 8)], 2)
    joined = join_states({SHARDS: shards})
    torch.testing.assert_close(
        joined["state"], join_states({SHARDS: [whole]})["state"], rtol=0, atol=0
    )
    again = quantize_states(joined)
    large, small = again["state"].values()
    assert large["state1"].dtype == large["state2"].dtype == torch.uint8
    assert small["state1"].dtype == torch.float32
    exact, rounded = joined["state"][0], join_states({SHARDS: [again]})["state"][0]
    for name in ("state1", "state2"):
        assert (rounded[name] - exact[name]).abs().max() < 0.01 * exact[name].abs().max()
    parameters = [Parameter(torch.zeros(128, 96)), Parameter(torch.zeros(8, 8))]
    divided = divide_states(joined, [{"params": parameters}])["state"]
    assert torch.equal(divided[0]["state2"], large["state2"])


def test_an_optimizer_goes_on_with_joined_states() -> None:
    torch.manual_seed(1)
    for kind in (torch.optim.AdamW, bnb.optim.AdamW8bit):
        _, shards = states(kind, [(128, 96)], 2)
        weight = Parameter(torch.zeros(128, 96))
        optimizer = kind([weight], lr=0.01)
        optimizer.load_state_dict(quantize_states(join_states({SHARDS: shards})))
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        [state] = optimizer.state.values()
        assert state["step"] == STEPS + 1 and weight.isfinite().all() and weight.abs().max() > 0
