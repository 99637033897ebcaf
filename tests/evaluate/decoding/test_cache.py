from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GptOssConfig

from animelm.evaluate.decoding.cache import PADDING, GenerationCache

DTYPE = torch.float32
PLAIN = SimpleNamespace()  # a configuration without sliding windows


def positions(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


def empty(rows: int) -> GenerationCache:
    return GenerationCache(torch.empty(rows, 0, dtype=torch.int64))


def attended(mask: torch.Tensor) -> list:
    return (mask[:, 0] == 0).int().tolist()


def test_a_token_attends_to_earlier_positions_and_itself_wherever_they_lie() -> None:
    cache = empty(2)
    cache.inputs(PLAIN, positions([0, 1], [PADDING, 0]), DTYPE)
    mask = cache.inputs(PLAIN, positions([2], [1]), DTYPE)["attention_mask"]
    assert attended(mask) == [[[1, 1, 1]], [[0, 1, 1]]]


def test_a_window_counts_positions_and_not_slots() -> None:
    cache = empty(1)
    config = GptOssConfig(sliding_window=2, num_hidden_layers=1)
    cache.inputs(config, positions([0, 1, PADDING, PADDING]), DTYPE)
    masks = cache.inputs(config, positions([2]), DTYPE)["attention_mask"]
    assert attended(masks["full_attention"]) == [[[1, 1, 0, 0, 1]]]
    assert attended(masks["sliding_attention"]) == [[[0, 1, 0, 0, 1]]]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 4))
def test_keys_and_values_are_those_that_were_added(lengths: list[int], rows: int) -> None:
    cache = empty(rows)
    parts = [torch.randn(2, rows, 3, length, 2) for length in lengths]
    for keys, values in parts:
        found = cache.update(keys, values, 0)
    expected = torch.cat(parts, dim=3)
    assert torch.equal(torch.stack(found), expected)
    cache.positions = torch.zeros(rows, sum(lengths), dtype=torch.int64)
    kept = torch.arange(rows)[::2]
    cache.keep(kept)
    assert torch.equal(cache.layers[0].keys, expected[0][kept])
    assert len(cache.positions) == len(kept)


def test_joined_caches_are_padded_and_keep_the_order_of_rows() -> None:
    caches = []
    for row, length in enumerate((3, 5)):
        cache = GenerationCache(torch.arange(length)[None])
        cache.update(*torch.full((2, 1, 1, length, 1), float(row + 1)), 0)
        caches.append(cache)
    whole = GenerationCache.joined(caches)
    assert whole.positions.tolist() == [[0, 1, 2, PADDING, PADDING], [0, 1, 2, 3, 4]]
    assert whole.layers[0].keys[:, 0, :, 0].tolist() == [[1, 1, 1, 0, 0], [2, 2, 2, 2, 2]]


def test_rows_of_a_repeated_cache_are_independent() -> None:
    one = GenerationCache(torch.arange(2)[None])
    one.update(*torch.ones(2, 1, 1, 2, 1), 0)
    many = one.repeated(3)
    many.update(*torch.arange(6.0).view(2, 3, 1, 1, 1), 0)
    assert many.layers[0].keys[:, 0, :, 0].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 2]]
    assert one.layers[0].keys.shape[2] == 2
