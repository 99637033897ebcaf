import torch

from animelm.train.random_state import random_state, set_random_state


def test_the_same_numbers_are_drawn_again() -> None:
    torch.rand(3)
    state = random_state()
    first = torch.rand(5)
    set_random_state(state)
    assert torch.equal(torch.rand(5), first)


def test_the_state_survives_a_checkpoint_that_may_run_no_code(tmp_path) -> None:
    torch.save(random_state(), tmp_path / "state.pt")
    first = torch.rand(5)
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(torch.rand(5), first)
