import pytest
import torch
from torch import Tensor

from animelm.evaluate.decoding.kept_weights import dequantized_once
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.load import load_base
from animelm.model.quantization.packed_linear import PackedLinear


@pytest.fixture
def model(base: str) -> CausalLM:
    return load_base(base, "nf4").eval()


@pytest.fixture
def dequantized(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Identities of the layers that were dequantized."""
    calls: list[int] = []
    real = PackedLinear.dequantize

    def counted(layer: PackedLinear, *rest, **named) -> Tensor:
        calls.append(id(layer))
        return real(layer, *rest, **named)

    monkeypatch.setattr(PackedLinear, "dequantize", counted)
    return calls


@torch.no_grad()
def test_logits_stay_and_no_weight_is_dequantized_twice(
    model: CausalLM, dequantized: list[int]
) -> None:
    ids = torch.randint(10, 4000, (4, 7))
    expected = model(ids).logits
    dequantized.clear()
    with dequantized_once(model):
        for _ in range(2):
            torch.testing.assert_close(model(ids).logits, expected, rtol=1e-4, atol=1e-4)
    assert 0 < len(dequantized) == len(set(dequantized))
    assert torch.equal(model(ids).logits, expected)


@torch.no_grad()
def test_a_model_that_is_too_large_is_left_as_it_is(
    model: CausalLM, dequantized: list[int]
) -> None:
    ids = torch.randint(10, 4000, (1, 3))
    with dequantized_once(model, largest=1000):
        model(ids)
        first = len(dequantized)
        model(ids)
    assert len(dequantized) == 2 * first > 0


def test_an_error_while_answering_leaves_the_model_as_it_was(model: CausalLM) -> None:
    with pytest.raises(RuntimeError, match="stopped"), dequantized_once(model):
        raise RuntimeError("stopped")
    assert not any("forward" in vars(module) for module in model.modules())
    assert not any(vars(module).get("kept") is not None for module in model.modules())
