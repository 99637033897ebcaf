import pytest

from animelm.errors import UserError
from animelm.train.resume import require_same_processes, require_same_settings


def test_as_many_processes_under_the_same_strategy_go_on() -> None:
    require_same_processes((2, True), (2, True))


@pytest.mark.parametrize("own", [(1, True), (2, False)])
def test_other_processes_or_another_strategy_do_not(own: tuple[int, bool]) -> None:
    with pytest.raises(UserError, match="written by 2 processes under FSDP2"):
        require_same_processes((2, True), own)


def test_settings_that_an_older_checkpoint_does_not_name_are_not_compared() -> None:
    require_same_settings({"a": 1}, {"a": 1, "b": 2})
    with pytest.raises(UserError, match=r"--model\.a=3"):
        require_same_settings({"a": 3}, {"a": 1})
