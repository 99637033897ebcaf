import pytest

from animelm.errors import UserError
from animelm.train.callbacks.schedule import EveryNSteps


def test_each_due_step_comes_once_though_micro_batches_repeat_it():
    schedule = EveryNSteps(2)
    schedule.start(0)
    assert [step for step in (0, 0, 1, 1, 2, 2, 3, 4) if schedule.due(step)] == [2, 4]


def test_a_resumed_run_does_not_repeat_the_step_it_resumes_from():
    schedule = EveryNSteps(2)
    schedule.start(4)
    assert not schedule.due(4)
    assert schedule.due(6)


def test_the_end_is_new_only_beyond_the_last_action():
    schedule = EveryNSteps(2)
    schedule.start(0)
    assert schedule.due(2)
    assert not schedule.newly_reached(2)
    assert schedule.newly_reached(3)


@pytest.mark.parametrize("period", [0, -1])
def test_a_period_below_one_step_is_refused(period):
    with pytest.raises(UserError, match=f"every_n_steps is {period}"):
        EveryNSteps(period)
