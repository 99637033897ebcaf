import pytest
import torch

from animelm.export.rounding import Rounding, round_to_mxfp4
from animelm.model.quantization.mxfp4 import dequantize_mxfp4


def error(weight: torch.Tensor, rounding: Rounding) -> torch.Tensor:
    blocks, scales = round_to_mxfp4(weight, rounding)
    values = dequantize_mxfp4(blocks.flatten(1), scales, torch.float32)
    return (values - weight).square().unflatten(1, (-1, 32)).sum(-1)


def test_searched_scales_leave_less_error_in_some_blocks_and_more_in_none() -> None:
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    nearest, searched = error(weight, "nearest"), error(weight, "search")
    assert (searched <= nearest).all()
    assert searched.sum() < 0.97 * nearest.sum()


def test_errors_that_are_carried_on_keep_a_small_update_where_it_reads() -> None:
    generator = torch.Generator().manual_seed(0)
    blocks, scales = round_to_mxfp4(torch.randn(64, 256, generator=generator), "nearest")
    weight = dequantize_mxfp4(blocks.flatten(1), scales, torch.float32)  # on the format's grid
    lora_a = torch.randn(4, 256, generator=generator) / 16
    update = torch.randn(64, 4, generator=generator) @ lora_a * 0.1
    inputs = torch.randn(32, 256, generator=generator) @ lora_a.T @ lora_a  # all that A reads of x

    def kept(rounding: Rounding) -> float:
        blocks, scales = round_to_mxfp4(weight + update, rounding, lora_a)
        after = dequantize_mxfp4(blocks.flatten(1), scales, torch.float32) - weight
        expected = inputs @ update.T
        return float(1 - (inputs @ after.T - expected).norm() / expected.norm())

    assert kept("nearest") < 0.2
    assert kept("search") < 0.2
    assert kept("inputs") > 0.8


def test_without_an_adapter_inputs_is_search() -> None:
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    for lora_a in (None, torch.zeros(2, 64)):
        found = round_to_mxfp4(weight, "inputs", lora_a)
        assert all(map(torch.equal, found, round_to_mxfp4(weight, "search")))


@pytest.mark.parametrize("rounding", ["nearest", "search"])
def test_values_that_the_format_has_stay_as_they_are(rounding: Rounding) -> None:
    weight = torch.tensor([6.0, -0.5, 1.5, 0.0] * 16).view(2, 32) * 2**-5
    assert error(weight, rounding).sum() == 0


def test_a_block_of_zeros_stays_zero() -> None:
    assert error(torch.zeros(2, 32), "search").sum() == 0
