import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from animelm.corpus.parallel import local_workers, run_in_order
from animelm.errors import UserError


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_order(ahead: int):
    with ThreadPoolExecutor(4) as executor:
        tasks = ((number,) for number in range(20))
        assert list(run_in_order(executor, abs, tasks, ahead)) == list(range(20))
    assert list(run_in_order(None, abs, ((-1,), (-2,)))) == [1, 2]


def test_only_a_few_tasks_are_taken_ahead():
    taken = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield (number,)

    with ThreadPoolExecutor(2) as executor:
        results = run_in_order(executor, abs, tasks(), ahead=5)
        next(results)
        assert len(taken) <= 6
        results.close()


def test_a_worker_that_is_killed_is_reported():
    with (
        local_workers(2) as executor,
        pytest.raises(UserError, match="a worker process was killed"),
    ):
        list(run_in_order(executor, os._exit, [(1,)]))
