import pytest
import torch

from animelm.model.routing import Routing

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
