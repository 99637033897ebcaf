import pytest
import torch

from animelm.model.moe.routing import Routing, padded_rows

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


def test_choices_are_sorted_where_they_lie_whatever_the_default_device() -> None:
    """The meta device stands for a GPU that is not the one of the choices."""
    indices = torch.randint(0, EXPERTS, (TOKENS, CHOSEN))
    expected = Routing.from_indices(indices, EXPERTS, 4)
    with torch.device("meta"):
        found = Routing.from_indices(indices, EXPERTS, 4)
    assert found.counts == expected.counts
    assert torch.equal(found.token, expected.token) and torch.equal(found.place, expected.place)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sorts_as_the_cpu_does() -> None:
    indices = torch.randint(0, EXPERTS, (TOKENS, CHOSEN))
    expected, found = (Routing.from_indices(indices.to(d), EXPERTS, 4) for d in ("cpu", "cuda"))
    assert found.counts == expected.counts
    assert torch.equal(found.token.cpu(), expected.token)
    assert torch.equal(found.place.cpu(), expected.place)


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
