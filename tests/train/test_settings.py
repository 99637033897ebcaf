import pytest

from animelm.errors import UserError
from animelm.train.settings import ComputeSettings, MemorySettings


def test_the_budget_for_stored_activations_is_given_in_gib() -> None:
    assert MemorySettings(stored_activations_gib=1.5).stored_activation_bytes == 3 * 2**29


@pytest.mark.parametrize("budget", [-0.5, float("nan")])
def test_a_budget_below_zero_is_refused(budget: float) -> None:
    with pytest.raises(UserError, match=r"stored_activations_gib is .*; expected 0 or more GiB"):
        MemorySettings(stored_activations_gib=budget)


def test_a_negative_number_of_experts_at_once_is_refused() -> None:
    with pytest.raises(UserError, match="experts_at_once is -1; expected 0 or more"):
        ComputeSettings(experts_at_once=-1)
