from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.data.split import held_out_names, split_articles, split_qa, subsample
from animelm.errors import UserError

shares = st.floats(0, 0.99)
cases = st.tuples(st.integers(1, 12), st.integers(1, 7), shares, shares, st.integers(0, 5))


@given(cases)
def test_no_work_no_wording_and_no_question_leaks(make_records, case):
    works, wordings, wording_share, work_share, seed = case
    records = make_records(works, wordings)
    split = split_qa(records, wording_share, work_share, seed)
    trained = {(r.fact, r.direction, r.wording) for r in split.train}
    for record in split.unseen_wording:
        assert (record.fact, record.direction, record.wording) not in trained
    trained_works = {r.work for r in split.train}
    assert trained_works.isdisjoint(r.work for r in split.only_read)
    assert {r.work for r in split.unseen_wording} <= trained_works
    questions = {r.question for r in split.train}
    assert questions.isdisjoint(r.question for r in split.unseen_wording + split.only_read)
    ids = [r.id for part in (split.train, split.unseen_wording, split.only_read) for r in part]
    assert len(ids) == len(set(ids))


@given(cases)
def test_every_kept_fact_is_trained_in_both_directions(make_records, case):
    works, wordings, wording_share, work_share, seed = case
    split = split_qa(make_records(works, wordings), wording_share, work_share, seed)
    kept = {(r.work, r.direction) for r in split.train}
    assert len(kept) == 2 * (works - round(work_share * works))


@given(cases)
def test_all_facts_of_a_relation_hold_out_the_same_wordings(make_records, case):
    works, wordings, wording_share, work_share, seed = case
    split = split_qa(make_records(works, wordings), wording_share, work_share, seed)
    by_work: dict[str, set[str]] = {}
    for record in split.unseen_wording:
        by_work.setdefault(record.work, set()).add(record.wording)
    assert len(set(map(frozenset, by_work.values()))) <= 1


def test_the_numbers_held_out_follow_the_rule(make_records):
    split = split_qa(make_records(8, 4), 0.25, 0.25, seed=0)
    assert len({r.work for r in split.only_read}) == 2
    assert len(split.train) == 6 * 2 * 3
    assert len(split.unseen_wording) == 6 * 2 * 1
    assert len(split.only_read) == 2 * 2 * 1


def test_a_fact_with_one_wording_is_trained_or_its_work_is_held_out_whole(make_records):
    split = split_qa(make_records(8, 1), 0.25, 0.25, seed=0)
    assert not split.unseen_wording
    assert len(split.train) == 6 * 2 and len(split.only_read) == 2 * 2


def test_nothing_is_held_out_for_a_share_of_zero(make_records):
    records = make_records(8, 4)
    assert split_qa(records, 0, 0).train == records


@pytest.mark.parametrize("part", ["unseen_wording", "only_read"])
def test_a_question_trained_for_another_fact_is_not_held_out(make_records, part):
    records = make_records(8, 4)
    split = split_qa(records, 0.25, 0.25)
    held, trained = getattr(split, part)[0], split.train[0]
    records[records.index(trained)] = replace(trained, question=held.question)
    assert held.id not in {r.id for r in getattr(split_qa(records, 0.25, 0.25), part)}


def test_the_choice_does_not_depend_on_the_order_or_on_repeats():
    names = [f"name{i}" for i in range(20)]
    assert held_out_names(names, 0.3, 1) == held_out_names(names[::-1] * 2, 0.3, 1)
    assert held_out_names(names, 0.3, 1) != held_out_names(names, 0.3, 2)
    assert len(held_out_names(names, 0.3, 1)) == 6


def test_the_choice_stays_what_it_was():
    # Shipped bases were trained on this very split: it must never change.
    assert held_out_names(["a", "b", "c", "d"], 0.5, 0) == {"a", "d"}


@given(st.sets(st.text(min_size=1), max_size=30), shares)
def test_articles_are_split_without_loss_or_overlap(names, share):
    ordered = sorted(names)
    train, validation = split_articles(ordered, share, 0)
    assert sorted(train + validation) == ordered
    assert bool(validation) == (share > 0 and (len(names) > 1 or round(share * len(names)) > 0))


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(UserError, match="below 1"):
        split_qa([], held_out_works=share)


def test_a_subsample_is_a_fixed_part(make_records):
    records = make_records(8, 4)
    part = subsample(records, 10, 0)
    assert len(part) == 10 and part == subsample(records, 10, 0)
    assert subsample(records, None, 0) == records


@pytest.mark.parametrize("spelled", ["{}？", "「{}」?", " {} "])
def test_a_question_that_is_trained_in_another_spelling_is_not_held_out(make_records, spelled):
    records = [replace(r, question=r.question.removesuffix("?")) for r in make_records(8, 4)]
    split = split_qa(records, 0.25, 0.25)
    held, trained = split.unseen_wording[0], split.train[0]
    question = spelled.format(held.question)
    records[records.index(trained)] = replace(trained, question=question)
    assert held.id not in {r.id for r in split_qa(records, 0.25, 0.25).unseen_wording}
