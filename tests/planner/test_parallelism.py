import pytest

from animelm.planner.parallelism import Parallelism


@pytest.mark.parametrize(
    ("parallelism", "rows", "shard"),
    [
        (Parallelism(), 7, 7),
        (Parallelism(4, 2), 7, 7),
        (Parallelism(4, 2, sharded=True), 8, 2),
        (Parallelism(4, 2, sharded=True), 7, 2),
        (Parallelism(4, 2, sharded=True), 1, 1),
    ],
)
def test_the_largest_shard_counts(parallelism: Parallelism, rows: int, shard: int) -> None:
    assert parallelism.shard(rows) == shard
