import pytest
import torch
import torch.nn.functional as F

from animelm.model.products import FrozenProduct


@pytest.mark.parametrize("rows", [1, 15, 16, 200])
@pytest.mark.parametrize("has_bias", [True, False])
@torch.no_grad()
def test_the_product_is_that_of_pytorch(rows: int, has_bias: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(rows, 48), torch.randn(40, 48)
    bias = torch.randn(40) if has_bias else None
    found = FrozenProduct(weight, bias)(x)
    torch.testing.assert_close(found, F.linear(x, weight, bias), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_bf16_is_computed_in_bf16() -> None:
    x, weight = torch.randn(32, 16).bfloat16(), torch.randn(8, 16).bfloat16()
    assert torch.equal(FrozenProduct(weight, None)(x), F.linear(x, weight))
