import pytest

from animelm.planner.parallelism import Processes


@pytest.mark.parametrize(
    ("processes", "rows", "part"),
    [
        (Processes(), 7, 7),
        (Processes(4, 2), 7, 7),
        (Processes(4, 2, sharded=True), 8, 2),
        (Processes(4, 2, sharded=True), 7, 2),
        (Processes(4, 2, sharded=True), 1, 1),
    ],
)
def test_a_part_is_the_largest_of_any_process(processes: Processes, rows: int, part: int) -> None:
    assert processes.part(rows) == part
