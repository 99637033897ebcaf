"""The grouped pass against the loop over experts: outputs and every gradient."""

import pytest
import torch
from measuring.operations import CountOperations, Operations
from model.moe.expert_layers import random_experts, routed
from torch import Tensor

from animelm.model.moe import expert_pass as loop
from animelm.model.moe.expert_pass import ExpertLayers, expert_pass
from animelm.model.moe.grouped import projection
from animelm.model.moe.grouped.expert_pass import fits_grouped_pass, grouped_expert_pass
from animelm.model.moe.grouped.products import GroupedMM
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.moe.grouped.triton_products import TritonProducts
from animelm.model.moe.routing import Groups
from animelm.model.moe.swiglu import SwiGLU
from animelm.model.quantization.linear4bit import stacked_weight

EXPERTS, HIDDEN, INTERMEDIATE, TOKENS = 5, 64, 32, 19
SWIGLU = SwiGLU(alpha=1.702, limit=0.7)  # a limit low enough that some values are clamped
# In bf16 values near the limit may fall on either side, where the gradient jumps.
UNLIMITED = SwiGLU(alpha=1.702, limit=100.0)
FLOAT32, BFLOAT16 = 1e-5, 4e-2  # of the largest value

TURNS = (torch.arange(TOKENS)[:, None] + torch.tensor([0, 2])) % (EXPERTS - 1)
CHOICES = {
    "an expert without tokens": TURNS,
    "the first expert without tokens": TURNS + 1,
    "one token": torch.tensor([[3, 1]]),
    "all tokens on one expert": torch.full((TOKENS, 1), 2),
}
STORAGE = ["none", "nf4", "nf4-double", "mxfp4"]


def run(
    engine: GroupedEngine | None, inputs, layers: list[ExpertLayers], recompute: bool, unit=SWIGLU
):
    """Output and every gradient; None: of the loop."""
    states, weights, indices = inputs
    torch.manual_seed(5)
    arguments = (states, weights, indices, layers, unit, recompute)
    out = grouped_expert_pass(*arguments, engine) if engine else expert_pass(*arguments)
    trained = [states, weights, *(p for expert in layers for p in expert.parameters)]
    direction = torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype)
    return [out, *torch.autograd.grad(out, trained, direction)]


def assert_close(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for number, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert mine.shape == expected.shape and mine.is_contiguous()
        largest = expected.abs().max().item()
        error = (mine.double() - expected.double()).abs().max().item()
        assert error <= tolerance * largest, (number, error, largest)


PARTS = "triton, two experts at once"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> GroupedEngine:
    """Of the name that a test gives; grouped_mm without one."""
    name = getattr(request, "param", "grouped_mm")
    if name == "grouped_mm":
        return GroupedEngine(GroupedMM())
    request.getfixturevalue("interpreted_triton")
    return GroupedEngine(TritonProducts(), 2 if name == PARTS else None)


@pytest.mark.parametrize(
    ("engine", "rank", "recompute"),
    [
        *(("grouped_mm", rank, recompute) for rank in (0, 4, 16) for recompute in (False, True)),
        ("triton", 4, False),
        ("triton", 16, True),
        (PARTS, 0, True),
    ],
    indirect=["engine"],
)
@pytest.mark.parametrize("choice", CHOICES)
def test_output_and_every_gradient_are_those_of_the_loop(
    engine: GroupedEngine, rank: int, choice: str, recompute: bool
) -> None:
    torch.manual_seed(0)
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, rank=rank)
    inputs = routed(CHOICES[choice], HIDDEN)
    theirs = run(None, inputs, layers, recompute)
    assert_close(run(engine, inputs, layers, recompute), theirs, FLOAT32)


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        ("grouped_mm", torch.float32),
        ("grouped_mm", torch.bfloat16),
        ("triton", torch.bfloat16),
        (PARTS, torch.float32),
    ],
    indirect=["engine"],
)
@pytest.mark.parametrize("quantization", STORAGE)
def test_weights_in_every_form_of_storage_give_what_the_loop_gives(
    engine: GroupedEngine, quantization, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, quantization)
    inputs = routed(CHOICES["an expert without tokens"], HIDDEN, dtype)
    exact = [tensor.detach().float().requires_grad_() for tensor in inputs[:2]]
    unit, tolerance = (SWIGLU, FLOAT32) if dtype == torch.float32 else (UNLIMITED, BFLOAT16)
    theirs = run(None, (*exact, inputs[2]), layers, True, unit)
    assert_close(run(engine, inputs, layers, True, unit), theirs, tolerance)


class GivenMasks:
    """Stands in for the loop's masks: each expert gets its rows of the masks of all experts."""

    def __init__(self, masks: dict[int, Tensor], place: slice) -> None:
        self.masks, self.place = masks, place

    def next(self, like: Tensor, _) -> Tensor:
        return self.masks[like.shape[1]][self.place]


@pytest.mark.parametrize(
    ("engine", "recompute"),
    [("grouped_mm", False), ("grouped_mm", True), ("triton", True)],
    indirect=["engine"],
)
def test_with_the_same_dropout_masks_gradients_are_those_of_the_loop(
    engine: GroupedEngine, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, dropout=0.3)
    inputs = routed(CHOICES["the first expert without tokens"], HIDDEN)
    counts = torch.bincount(inputs[2].flatten(), minlength=EXPERTS)
    ends = counts.cumsum(0).tolist()
    masks = {
        width: (torch.rand(inputs[2].numel(), width) > 0.3) / 0.7
        for width in (HIDDEN, INTERMEDIATE)
    }
    places = [slice(end - n, end) for end, n in zip(ends, counts.tolist(), strict=True)]
    numbers = {id(expert): number for number, expert in enumerate(layers)}
    monkeypatch.setattr(loop, "draw_seed", lambda expert: numbers[id(expert)])
    monkeypatch.setattr(loop, "_Masks", lambda seed, _: GivenMasks(masks, places[seed]))
    theirs = run(None, inputs, layers, recompute)
    for name, given in (
        ("drop", lambda x, *_: x * masks[x.shape[1]]),
        ("add_dropped", lambda total, x, *_: total.add_(x * masks[x.shape[1]])),
    ):
        monkeypatch.setattr(projection, name, given)
    assert_close(run(engine, inputs, layers, recompute), theirs, FLOAT32)


def test_backward_draws_the_same_dropout_masks_again(engine: GroupedEngine) -> None:
    torch.manual_seed(0)
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, dropout=0.3)
    inputs = routed(CHOICES["an expert without tokens"], HIDDEN)
    kept, recomputed = (run(engine, inputs, layers, recompute) for recompute in (False, True))
    assert_close(recomputed, kept, 0)
    without = run(engine, inputs, random_experts(EXPERTS, HIDDEN, INTERMEDIATE), False)
    assert not torch.equal(kept[0], without[0])


def test_a_seed_decides_dropout(engine: GroupedEngine) -> None:
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, dropout=0.3)
    inputs = routed(CHOICES["one token"], HIDDEN)
    first, second = (grouped_expert_pass(*inputs, layers, SWIGLU, False, engine) for _ in range(2))
    assert not torch.equal(first, second)


def test_experts_that_differ_in_rank_or_adapter_are_left_to_the_loop() -> None:
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE)
    assert fits_grouped_pass(layers)
    others = [random_experts(1, HIDDEN, INTERMEDIATE, rank=rank) for rank in (0, 8)]
    others.append(random_experts(1, HIDDEN, INTERMEDIATE, dropout=0.1))
    for other in others:
        assert not fits_grouped_pass([*layers[1:], *other])


def count_operations(experts: int, recompute: bool) -> Operations:
    layers = random_experts(experts, HIDDEN, INTERMEDIATE, "nf4", rank=16, dropout=0.1)
    states, weights, indices = routed(TURNS, HIDDEN, torch.bfloat16)
    engine = GroupedEngine(GroupedMM())
    with CountOperations() as found:
        out = grouped_expert_pass(states, weights, indices, layers, SWIGLU, recompute, engine)
        out.backward(out.detach())
    return found


@pytest.mark.parametrize("recompute", [False, True])
def test_operations_are_few_however_many_the_experts_and_nothing_waits(recompute: bool) -> None:
    four, nine = (count_operations(experts, recompute) for experts in (4, 9))
    assert four.moving == nine.moving
    assert nine.total <= 75
    assert not nine.host_syncs


@pytest.mark.parametrize("engine", ["grouped_mm", "triton"], indirect=True)
def test_an_adapter_stacked_on_a_frozen_one_gets_the_gradients_of_the_loop(
    engine: GroupedEngine,
) -> None:
    torch.manual_seed(0)
    layers, below = (random_experts(EXPERTS, HIDDEN, INTERMEDIATE, rank=r) for r in (4, 16))
    stacked = [
        ExpertLayers(
            upper.gate_up._replace(below=(lower.gate_up.lora,)),
            upper.down._replace(below=(lower.down.lora,)),
        )
        for upper, lower in zip(layers, below, strict=True)
    ]
    inputs = routed(CHOICES["an expert without tokens"], HIDDEN)
    theirs = run(None, inputs, stacked, True)
    assert_close(run(engine, inputs, stacked, True), theirs, FLOAT32)
    assert not torch.equal(theirs[0], run(None, inputs, layers, True)[0])


class LeavingWhatWasThere(GroupedMM):
    """As PyTorch's kernel on a GPU may: what belongs to an expert without rows is not written."""

    def outer(self, x: Tensor, y: Tensor, groups: Groups) -> Tensor:
        product = super().outer(x, y, groups)
        product[groups.starts == groups.ends] = torch.nan
        return product


def test_gradients_of_an_expert_without_tokens_are_zero_whatever_a_kernel_leaves_there() -> None:
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE)
    inputs = routed(CHOICES["an expert without tokens"], HIDDEN)
    found = run(GroupedEngine(LeavingWhatWasThere()), inputs, layers, True)
    assert not torch.cat([grad.flatten() for grad in found]).isnan().any()
    assert not any(grad.any() for grad in found[-4:])


@pytest.mark.parametrize("engine", ["grouped_mm", "triton", PARTS], indirect=True)
@pytest.mark.parametrize("quantization", STORAGE)
@pytest.mark.parametrize("choices", [[[3, 1], [4, 3]], [[3, 1]]])
def test_for_few_tokens_only_chosen_experts_are_dequantized_and_the_output_is_the_same(
    engine: GroupedEngine,
    quantization,
    choices: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    layers = random_experts(EXPERTS, HIDDEN, INTERMEDIATE, quantization)
    states, weights, indices = routed(torch.tensor(choices), HIDDEN)
    dequantized: list[int] = []

    def noted(*arguments) -> Tensor:
        weight = stacked_weight(*arguments)
        dequantized.append(len(weight))
        return weight

    monkeypatch.setattr(projection, "stacked_weight", noted)
    with torch.no_grad():
        expected = expert_pass(states, weights, indices, layers, SWIGLU, True)
        arguments = (states, weights, indices, layers, SWIGLU, True, engine)
        with CountOperations() as found:
            ours = grouped_expert_pass(*arguments)
    assert (ours - expected).abs().max() <= FLOAT32 * expected.abs().max()
    assert dequantized == [indices.numel()] * 2
    assert not found.host_syncs and found.total <= 60
