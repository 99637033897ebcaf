import pytest
import torch

from animelm.model.moe.routing import DeviceRouting, Routing, padded_rows

TOKENS, CHOSEN, EXPERTS = 37, 2, 5


@pytest.mark.parametrize("multiple", [1, 8])
def test_every_choice_of_every_token_is_found_in_the_sorted_rows(multiple: int) -> None:
    indices = torch.randint(0, EXPERTS, (TOKENS, CHOSEN))
    routing = Routing.from_indices(indices, EXPERTS, multiple)
    expert_of_row = torch.repeat_interleave(torch.arange(EXPERTS), torch.tensor(routing.counts))
    assert torch.equal(expert_of_row[routing.place], indices)
    tokens = torch.arange(TOKENS)[:, None].expand(-1, CHOSEN)
    assert torch.equal(routing.token[routing.place], tokens)
    assert all(count % multiple == 0 for count in routing.counts)


@pytest.mark.parametrize("multiple", [4, 64])
def test_busy_experts_are_filled_up_to_few_numbers_of_rows_and_by_an_eighth_at_most(
    multiple: int,
) -> None:
    padded = {count: padded_rows(count, multiple) for count in range(1, 64 * multiple)}
    for count, rows in padded.items():
        assert 0 <= rows - count <= max(multiple - 1, count / 8)
    assert len(set(padded.values())) == 16 + 8 + 8


def test_without_a_multiple_rows_are_exact() -> None:
    assert [padded_rows(count, 1) for count in (0, 1, 37, 5000)] == [0, 1, 37, 5000]


def test_sorted_on_the_device_every_choice_is_found_in_its_experts_rows() -> None:
    indices = torch.randint(1, EXPERTS - 1, (TOKENS, CHOSEN))  # the first and the last get none
    routing = DeviceRouting.from_indices(indices, EXPERTS)
    counts = routing.groups.ends - routing.groups.starts
    expert_of_row = torch.repeat_interleave(torch.arange(EXPERTS), counts)
    assert torch.equal(expert_of_row[routing.place], indices)
    tokens = torch.arange(TOKENS)[:, None].expand(-1, CHOSEN)
    assert torch.equal(routing.token[routing.place], tokens)
    assert routing.groups.ends[-1] == TOKENS * CHOSEN
