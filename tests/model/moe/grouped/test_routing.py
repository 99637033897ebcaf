"""Sorting on the device."""

import torch

from animelm.model.moe.grouped.routing import DeviceRouting

TOKENS, CHOSEN, EXPERTS = 50, 3, 7


def test_sorted_on_the_device_every_choice_is_found_in_its_experts_rows() -> None:
    indices = torch.randint(1, EXPERTS - 1, (TOKENS, CHOSEN))  # the first and the last get none
    routing = DeviceRouting.from_indices(indices, EXPERTS)
    counts = routing.groups.ends - routing.groups.starts
    expert_of_row = torch.repeat_interleave(torch.arange(EXPERTS), counts)
    assert torch.equal(expert_of_row[routing.place], indices)
    tokens = torch.arange(TOKENS)[:, None].expand(-1, CHOSEN)
    assert torch.equal(routing.token[routing.place], tokens)
    assert routing.groups.ends[-1] == TOKENS * CHOSEN
