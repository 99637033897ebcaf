import pytest
import torch

from animelm.model import precision
from animelm.model.precision import choose_compute_dtype


def test_a_requested_type_is_taken_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        precision, "_matmul_seconds", lambda dtype, device, width: pytest.fail("measured")
    )
    assert choose_compute_dtype("bfloat16") is torch.bfloat16


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_auto_takes_the_faster_type(monkeypatch: pytest.MonkeyPatch, faster: torch.dtype) -> None:
    monkeypatch.setattr(
        precision, "_matmul_seconds", lambda dtype, device, width: 1.0 if dtype is faster else 2.0
    )
    precision._faster_type.cache_clear()
    assert choose_compute_dtype("auto") is faster
    precision._faster_type.cache_clear()
