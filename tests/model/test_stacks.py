import torch
from torch import nn

from animelm.model.stacks import lay_side_by_side, stacked


def test_tensors_that_lie_side_by_side_are_not_copied() -> None:
    whole = torch.randn(3, 4, 5)
    together = stacked(whole.unbind())
    assert torch.equal(together, whole) and together.data_ptr() == whole.data_ptr()


def test_others_are_copied() -> None:
    whole = torch.randn(4, 4, 5)
    apart = [torch.randn(2, 3) for _ in range(3)]
    columns = torch.randn(4, 6).split(2, 1)
    for tensors in (apart, whole[::2].unbind(), whole.flip(0).unbind()[::-1][1:], columns):
        expected = torch.stack(list(tensors))
        assert torch.equal(stacked(tensors), expected)
        assert torch.equal(stacked(tensors[::-1]), expected.flip(0))


def test_parameters_are_moved_side_by_side_with_their_values() -> None:
    parameters = [nn.Parameter(torch.randn(2, 3), requires_grad=False) for _ in range(4)]
    expected = stacked(parameters)
    lay_side_by_side(parameters)
    together = stacked(parameters)
    assert torch.equal(together, expected)
    assert together.data_ptr() == parameters[0].data_ptr()
