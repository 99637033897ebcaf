import pytest
import torch
import torch.nn.functional as F
from model.fused.kernel_checks import TOLERANCE, assert_same

from animelm.model import loss as loss_module
from animelm.model.loss import IGNORED, chunked_cross_entropy, positions_per_chunk


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(2, 11, 6, requires_grad=True)
    weight = torch.randn(13, 6, requires_grad=True)
    targets = torch.randint(0, 13, (2, 11))
    targets[0, ::3] = IGNORED
    return hidden, weight, targets


@pytest.mark.parametrize("way", ["operators", "compiled", "one operation"])
def test_loss_and_gradients_equal_cross_entropy_over_full_logits(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "one operation":
        monkeypatch.setattr(loss_module, "kernels_serve", lambda _: True)
    # Several chunks of 4 positions in slices of 1; the last chunk is not full.
    monkeypatch.setattr(loss_module, "_ENOUGH_POSITIONS", 1)
    monkeypatch.setattr(loss_module, "_CHUNK_BYTES", 4 * 13 * 4)
    monkeypatch.setattr(loss_module, "_SLICE_BYTES", 1)
    hidden, weight, targets = example()
    ours = chunked_cross_entropy(hidden, weight, targets, way == "compiled")
    full = F.cross_entropy(
        (hidden @ weight.T).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(ours, full)
    for mine, theirs in zip(
        torch.autograd.grad(ours / 7, (hidden, weight)),
        torch.autograd.grad(full / 7, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, weight, targets = example()
    chunked_cross_entropy(hidden, weight.detach(), targets).backward()
    assert hidden.grad is not None


@pytest.mark.parametrize(
    ("vocabulary", "itemsize", "positions"),
    [(32_000, 2, 458), (201_088, 2, 320), (201_088, 4, 166), (2**27, 4, 1)],
)
def test_a_chunk_stays_small_unless_the_head_would_be_read_too_often(
    vocabulary: int, itemsize: int, positions: int
) -> None:
    assert positions_per_chunk(vocabulary, itemsize) == positions


def test_a_gpu_gets_large_chunks() -> None:
    assert positions_per_chunk(201_088, 2, "cuda") == 1334
    assert positions_per_chunk(2**30, 2, "cuda") == 1


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_kernel_computes_the_formula(
    interpreted_triton, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from animelm.model.fused.kernels import cross_entropy

    monkeypatch.setattr(cross_entropy, "TILE", 16)  # several tiles, the last one not full
    logits, targets = 5 * torch.randn(3, 37), torch.tensor([0, 36, 17])
    kernel, formula = cross_entropy.losses_then_gradient, loss_module.losses_then_gradient
    assert_same(kernel, formula, logits.to(dtype), targets, torch.empty(3))


def test_nothing_supervised_costs_nothing() -> None:
    hidden, weight, _ = example()
    loss = chunked_cross_entropy(hidden, weight, torch.full((2, 11), IGNORED))
    loss.backward()
    assert loss == 0 and not hidden.grad.any()
