import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.corpus.cleaning.dedup import Duplicate, Duplicates

KANJI = [chr(0x4E00 + number) for number in range(2000)]


def invented(seed: int, length: int = 400) -> str:
    return "".join(random.Random(seed).choices(KANJI, k=length))


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the runs of five characters, from its definition."""
    first, second = ({text[i : i + 5] for i in range(len(text) - 4)} for text in (one, other))
    return len(first & second) / len(first | second)


@given(st.lists(st.text(min_size=0, max_size=12), max_size=12), st.sampled_from([0.5, 0.8, 1.0]))
def test_every_text_is_either_new_or_repeats_one_that_was_kept(texts, threshold):
    duplicates, kept = Duplicates(threshold), {}
    for number, text in enumerate(texts):
        found = duplicates.add(str(number), text)
        if found is None:
            assert text not in kept.values()
            kept[str(number)] = text
        else:
            assert found.title in kept
            assert found.exact == (kept[found.title] == text)


@given(st.lists(st.text(max_size=30), max_size=8))
def test_the_same_texts_in_the_same_order_have_the_same_duplicates(texts):
    first, second = Duplicates(0.7), Duplicates(0.7)
    for text in texts:
        assert first.add(text, text) == second.add(text, text)


@pytest.mark.parametrize("threshold", [0.6, 0.8])
@pytest.mark.parametrize("seed", range(20))
def test_pairs_well_above_the_threshold_are_found_and_pairs_well_below_are_not(threshold, seed):
    text = invented(seed)
    changed, copies = list(text), []
    order = random.Random(seed).sample(range(len(text)), 100)
    for position in order:
        changed[position] = "が"
        copies.append("".join(changed))
    near = [copy for copy in copies if similarity(text, copy) > threshold + 0.14][-1]
    far = next(copy for copy in copies if similarity(text, copy) < threshold - 0.2)
    duplicates = Duplicates(threshold)
    assert duplicates.add("first", text) is None
    assert duplicates.add("near", near) == Duplicate("first", exact=False)
    assert duplicates.add("far", far) is None


def test_a_threshold_of_1_leaves_near_duplicates():
    duplicates = Duplicates(1.0)
    text = invented(0)
    assert duplicates.add("first", text) is None
    assert duplicates.add("near", text + "後") is None
    assert duplicates.add("same", text) == Duplicate("first", exact=True)


def test_the_earliest_of_several_is_named():
    text = invented(1)
    duplicates = Duplicates(0.9)
    assert duplicates.add("other", invented(2)) is None
    assert duplicates.add("first", text) is None
    assert duplicates.add("second", text + "後").title == "first"
    assert duplicates.add("third", text + "前").title == "first"
