"""What the grouped pass does between its products, in one operation each.

Legend: T tokens, K experts chosen per token, E experts, N = T·K rows sorted by expert, C hidden
width, F intermediate width, I and O widths of a layer, R LoRA rank, P columns of an update.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from animelm.model.operators import operator

_KERNELS = "animelm.model.moe.grouped.row_kernels"


@operator(
    "(Tensor expert, Tensor order, int experts, int chosen) -> (Tensor, Tensor, Tensor, Tensor)",
    _KERNELS,
)
def sorted_rows(
    expert: Tensor, order: Tensor, experts: int, chosen: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rows of choices [T, K] that have been sorted by expert.

    Args:
        expert: [N], the expert of each row.
        order: int64 [N], the place of each row in the flattened choices.
        experts, chosen: E and K.

    Returns:
        The token of each row, int64 [N]; the row of each choice, int64 [N]; each expert's first
        row, and the row after its last one, int32 [E].
    """
    numbers = torch.arange(experts, dtype=expert.dtype, device=expert.device)
    starts = torch.searchsorted(expert, numbers, out_int32=True)
    ends = torch.searchsorted(expert, numbers, right=True, out_int32=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return order // chosen, place, starts, ends


@operator("(Tensor rows, Tensor place, Tensor? weights) -> Tensor", _KERNELS)
def combine(rows: Tensor, place: Tensor, weights: Tensor | None) -> Tensor:
    """Sum over the choices of each token: rows [N, C], place and weights [T, K] -> [T, C]."""
    weights = None if weights is None else weights.to(rows.dtype)
    return F.embedding_bag(place, rows, per_sample_weights=weights, mode="sum")


@operator("(Tensor gate_up, float alpha, float limit) -> Tensor", _KERNELS)
def gated_unit(gate_up: Tensor, alpha: float, limit: float) -> Tensor:
    """gpt-oss's unit: [N, 2F], gates and ups taking turns, -> [N, F]."""
    gate, up = _clamped(gate_up, limit)
    return ((up + 1) * gate * torch.sigmoid(alpha * gate)).to(gate_up.dtype)


@operator(
    "(Tensor gate_up, Tensor grad, Tensor weights, Tensor order, Tensor? shares, float alpha, "
    "float limit) -> (Tensor, Tensor, Tensor)",
    _KERNELS,
)
def gated_unit_backward(
    gate_up: Tensor,
    grad: Tensor,
    weights: Tensor,
    order: Tensor,
    shares: Tensor | None,
    alpha: float,
    limit: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients through the weighted unit, and the weighted unit itself.

    Args:
        gate_up: [N, 2F].
        grad: [N, F], of the unit before it is weighted.
        weights: [T, K], routing weights.
        order: [N], the place of each row's weight.
        shares: [N], what else each row's weight gets as its gradient.
        alpha, limit: as in the forward pass.

    Returns:
        The gradients of ``gate_up`` [N, 2F] and of the weights [T, K], and the unit [N, F].
    """
    gate, up = _clamped(gate_up, limit)
    sigmoid = torch.sigmoid(alpha * gate)
    unit = (up + 1) * gate * sigmoid
    row_weights = weights.flatten()[order].float()[:, None]
    wide = grad.float()
    row_grads = (wide * unit).sum(-1)
    if shares is not None:
        row_grads += shares.float()
    grad_weights = torch.empty_like(weights).flatten()
    grad_weights[order] = row_grads.to(weights.dtype)
    wide = wide * row_weights
    slope = sigmoid * (1 + alpha * gate * (1 - sigmoid)) * (up + 1)
    gates, ups = gate_up[:, ::2], gate_up[:, 1::2]
    grads = torch.stack(
        [
            (wide * slope).masked_fill(gates > limit, 0),
            (wide * gate * sigmoid).masked_fill(ups.abs() > limit, 0),
        ],
        -1,
    )
    kind = gate_up.dtype
    return grads.flatten(1).to(kind), grad_weights.view_as(weights), (unit * row_weights).to(kind)


def _clamped(gate_up: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Gates and ups in float32, [N, F] each."""
    gate, up = gate_up.float().unflatten(-1, (-1, 2)).unbind(-1)
    return gate.clamp(max=limit), up.clamp(-limit, limit)


@operator(
    "(Tensor? lora_a, Tensor? lora_b, Tensor? bias, float scaling, int[] sizes, int columns, "
    "ScalarType dtype) -> (Tensor, Tensor)",
    _KERNELS,
)
def pack_update(
    lora_a: Tensor | None,
    lora_b: Tensor | None,
    bias: Tensor | None,
    scaling: float,
    sizes: Sequence[int],
    columns: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """One adapter of every expert, and the bias as one more column, padded with zeros.

    Args:
        lora_a: [E, R, I]; None: there is no adapter.
        lora_b: [E, O, R].
        bias: [E, O].
        scaling: s.
        sizes: E, O and I.
        columns: P, at least R and one for the bias.
        dtype: the compute type.

    Returns:
        A [E, P, I], and s · B with the bias [E, O, P], in the compute type.
    """
    experts, outputs, inputs = sizes
    given = bias if lora_a is None else lora_a
    assert given is not None
    padded_a = given.new_zeros(experts, columns, inputs, dtype=dtype)
    padded_b = given.new_zeros(experts, outputs, columns, dtype=dtype)
    rank = 0
    if lora_a is not None and lora_b is not None:
        rank = lora_a.shape[1]
        padded_a[:, :rank] = lora_a
        padded_b[..., :rank] = lora_b * scaling
    if bias is not None:
        padded_b[..., rank] = bias
    return padded_a, padded_b


@operator(
    "(Tensor grad_a, Tensor grad_b, Tensor starts, Tensor ends, int rank, float scaling, "
    "ScalarType dtype) -> (Tensor, Tensor)",
    _KERNELS,
)
def adapter_gradients(
    grad_a: Tensor,
    grad_b: Tensor,
    starts: Tensor,
    ends: Tensor,
    rank: int,
    scaling: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """The gradients of A and B, from those of what ``pack_update`` made.

    Args:
        grad_a: [E, P, I]; for experts without rows anything.
        grad_b: [E, O, P], of B scaled; as above.
        starts, ends: each expert's first row, and the row after its last one.
        rank: R.
        scaling: s.
        dtype: the parameters' type.

    Returns:
        [E, R, I] and [E, O, R].
    """
    empty = (starts == ends)[:, None, None]
    of_a, of_b = grad_a[:, :rank].to(dtype), grad_b[..., :rank].to(dtype) * scaling
    return of_a.masked_fill(empty, 0), of_b.masked_fill(empty, 0).contiguous()
