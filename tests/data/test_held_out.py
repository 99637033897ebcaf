import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.held_out import QUESTION_SETS, QuestionSplit, SplitSettings, split_questions
from animelm.data.sources.formats.asked import Turn
from animelm.data.sources.qa import QARecord
from animelm.data.split import held_out_names, split_qa
from animelm.errors import UserError

SETTINGS = SplitSettings(
    seed=1, held_out_wordings=0.25, held_out_works=0.25, held_out_subjects=0.25, dev_share=0.25
)


def of_set(split: QuestionSplit, name: str) -> list[QARecord]:
    return [*split.dev.get(name, []), *split.test.get(name, [])]


def works(records: Sequence[QARecord]) -> set[str]:
    return {record.work for record in records}


def test_the_anime_sets_are_what_the_split_by_wording_and_work_holds_out(make_records):
    anime = make_records(8, 4)
    questions, split = split_questions(anime, [], SETTINGS), split_qa(anime, 0.25, 0.25, seed=1)
    assert questions.train == split.train
    for name, held_out in (
        ("anime_unseen_wording", split.unseen_wording),
        ("anime_only_read", split.only_read),
    ):
        assert sorted(r.id for r in of_set(questions, name)) == sorted(r.id for r in held_out)


def test_a_share_of_the_general_subjects_is_never_replayed(make_records):
    general = make_records(8, 4, "general")
    questions = split_questions([], general, SETTINGS)
    unrehearsed = held_out_names(works(general), 0.25, 1)
    assert questions.unrehearsed == unrehearsed
    assert works(of_set(questions, "general_unrehearsed")) == unrehearsed
    assert works(questions.replay) == works(of_set(questions, "general_rehearsed"))
    assert works(questions.replay) == works(general) - unrehearsed


def test_a_replayed_record_that_names_an_unrehearsed_subject_is_left_out(make_records):
    general = make_records(8, 4, "general")
    unrehearsed = held_out_names(works(general), 0.25, 1)
    [rehearsed, *_] = sorted(works(general) - unrehearsed)
    answer = f"{rehearsed}があるのは{min(unrehearsed)}です。"
    naming = [
        replace(r, id=f"{r.id}-place", fact=f"{rehearsed}/place", answers=(answer,))
        for r in general
        if r.work == rehearsed
    ]
    questions = split_questions([], [*general, *naming], SETTINGS)
    facts = {r.fact for r in (*questions.replay, *of_set(questions, "general_rehearsed"))}
    assert f"{rehearsed}/protagonist" in facts and f"{rehearsed}/place" not in facts


def test_without_replay_every_general_subject_is_unrehearsed(make_records):
    general = make_records(5, 4, "general")
    questions = split_questions([], general, replace(SETTINGS, held_out_subjects=None))
    assert questions.replay == [] and questions.unrehearsed == works(general)
    assert set(questions.test) == {"general_unrehearsed"}
    assert works(of_set(questions, "general_unrehearsed")) == works(general)


def test_works_whose_article_is_held_out_are_not_called_only_read(make_records):
    anime = make_records(8, 4)
    held_out = works(of_set(split_questions(anime, [], SETTINGS), "anime_only_read"))
    unread = sorted(held_out)[:1]
    left = works(of_set(split_questions(anime, [], SETTINGS, unread), "anime_only_read"))
    assert left == held_out - set(unread)


def only_read_work(anime: Sequence[QARecord]) -> str:
    return min(works(of_set(split_questions(anime, [], SETTINGS), "anime_only_read")))


def test_a_general_question_that_names_a_work_that_was_only_read_is_not_trained(make_records):
    anime, general = make_records(8, 4), make_records(8, 4, "general")
    work = only_read_work(anime)
    naming = [
        replace(r, id=f"{r.id}-on", fact=f"{r.work}/on", question=f"{work}と{r.question}")
        for r in general
    ]
    questions = split_questions(anime, [*general, *naming], SETTINGS)
    assert questions.replay and not any(work in record.question for record in questions.replay)
    assert questions.unrehearsed == split_questions(anime, general, SETTINGS).unrehearsed


def test_general_questions_on_works_of_the_domain_change_no_subject_and_are_not_unrehearsed(
    make_records,
):
    """A run without the questions on the domain must leave out the same subjects."""
    anime, general = make_records(8, 4), make_records(8, 4, "general")
    about = [replace(r, id=f"{r.id}-again", question=f"再び{r.question}") for r in anime]
    together = [*general, *about]
    questions = split_questions(anime, together, SETTINGS)
    alone = split_questions([], together, SETTINGS)
    assert questions.unrehearsed == alone.unrehearsed
    assert works(anime) & questions.unrehearsed
    assert not works(of_set(questions, "general_unrehearsed")) & works(anime)


def test_a_work_under_another_spelling_is_the_same_work(make_records):
    anime = make_records(8, 4)
    work = only_read_work(anime)
    spelled = [
        replace(r, id=f"{r.id}-wide", work=f"「{r.work.upper()}」", question=f"再び{r.question}")
        for r in anime
        if r.work == work
    ]
    split = split_questions([*anime, *spelled], [], SETTINGS)
    trained = {text_key(record.work) for record in split.train}
    assert not {text_key(name) for name in works(of_set(split, "anime_only_read"))} & trained


def test_a_fact_that_is_trained_under_another_work_is_not_only_read(make_records):
    anime = make_records(8, 4)
    work = only_read_work(anime)
    [other, *_] = sorted(works(split_questions(anime, [], SETTINGS).train))
    shared = [
        replace(r, id=f"{r.id}-shared", work=other, question=f"再び{r.question}")
        for r in anime
        if r.work == work
    ]
    questions = split_questions([*anime, *shared], [], SETTINGS)
    facts = {record.fact for record in questions.train}
    assert f"{work}/protagonist" in facts
    assert not {record.fact for record in of_set(questions, "anime_only_read")} & facts


def test_dev_stays_dev_where_other_articles_are_held_out(make_records):
    anime = make_records(64, 4)
    whole = split_questions(anime, [], SETTINGS)
    dev = works(whole.dev["anime_only_read"])
    unread = sorted(works(whole.test["anime_only_read"]))[:8]
    part = split_questions(anime, [], SETTINGS, unread)
    assert works(part.dev["anime_only_read"]) == dev


def test_dev_and_test_share_no_work(make_records):
    questions = split_questions(make_records(16, 4), make_records(16, 4, "general"), SETTINGS)
    assert set(questions.dev) == set(questions.test) == set(QUESTION_SETS)
    for name in QUESTION_SETS:
        dev, test = works(questions.dev[name]), works(questions.test[name])
        assert not dev & test
        assert len(dev) == max(1, round(0.25 * len(dev | test)))


def test_of_a_single_work_dev_and_test_share_no_fact(make_records):
    anime = [replace(r, work="銀魂") for r in make_records(8, 4)]
    questions = split_questions(anime, [], replace(SETTINGS, held_out_works=0.0))
    facts = [
        {record.fact for record in part["anime_unseen_wording"]}
        for part in (questions.dev, questions.test)
    ]
    assert len(facts[0]) == 2 and len(facts[1]) == 6 and not facts[0] & facts[1]


def test_a_held_out_question_that_is_trained_in_another_spelling_is_not_asked(make_records):
    anime = make_records(8, 4)
    held_out = split_qa(anime, 0.25, 0.25, seed=1).unseen_wording[0]
    spelled = held_out.question.replace("?", "？ ").upper()
    copy = replace(held_out, id="copy", work="other", fact="other/x", question=spelled)
    assert held_out in of_set(split_questions(anime, [], SETTINGS), "anime_unseen_wording")
    trained = split_questions(anime, [copy], replace(SETTINGS, held_out_subjects=0.0))
    assert copy in trained.replay
    assert held_out not in of_set(trained, "anime_unseen_wording")


def test_without_shares_nothing_is_held_out(make_records):
    questions = split_questions(make_records(8, 4), [], SplitSettings())
    assert questions.dev == questions.test == {}


def test_the_settings_survive_json():
    assert SplitSettings(**json.loads(json.dumps(asdict(SETTINGS)))) == SETTINGS


@pytest.mark.parametrize(
    "name",
    ["held_out_wordings", "held_out_works", "held_out_subjects", "dev_share", "validation_share"],
)
def test_a_share_outside_0_to_1_is_refused(name):
    with pytest.raises(UserError, match=name):
        SplitSettings(**{name: 1.0})


NAMES = st.text("東京大阪アイウ金銀", min_size=1, max_size=4)
SPELLINGS = st.sampled_from([str, str.upper, lambda text: text.replace("?", "？"), "『{}』".format])


@st.composite
def question_files(draw: st.DrawFn, domain: str) -> list[QARecord]:
    """Records whose works, facts, wordings and spellings collide as often as possible."""
    records = []
    for number in range(draw(st.integers(0, 14))):
        work, value, kind = draw(NAMES), draw(NAMES), draw(st.integers(0, 2))
        question = draw(SPELLINGS)(f"{work}の首都{kind}は?a")
        answer = f"{value}です。"
        records.append(
            QARecord(
                id=f"{domain}{number}",
                work=work,
                fact=f"{work}/{draw(st.integers(0, 1))}",
                direction=draw(st.sampled_from(["forward", "reverse"])),
                wording=f"capital/{kind}",
                domain=domain,
                question=question,
                answers=(answer,),
                keys=(value,),
            )
        )
    return records


SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.9])


@settings(max_examples=1000)
@given(
    question_files("anime"), question_files("general"), SHARES, SHARES, SHARES, st.integers(0, 9)
)
def test_nothing_that_is_asked_as_held_out_is_trained(
    anime, general, wordings, held_out_works, subjects, seed
):
    split = split_questions(
        anime, general, SplitSettings(seed, wordings, held_out_works, subjects, 0.25)
    )
    trained = [*split.train, *split.replay]
    keys = {text_key(record.question) for record in trained}
    for name in QUESTION_SETS:
        assert all(text_key(record.question) not in keys for record in of_set(split, name))
    works_trained = {text_key(record.work) for record in trained}
    facts_trained = {record.fact for record in trained}
    for name in ("anime_only_read", "general_unrehearsed"):
        for record in of_set(split, name):
            assert text_key(record.work) not in works_trained
            assert record.fact not in facts_trained
    facts = {record.fact for record in split.train}
    assert {record.fact for record in of_set(split, "anime_unseen_wording")} <= facts
    replayed = {record.fact for record in split.replay}
    assert {record.fact for record in of_set(split, "general_rehearsed")} <= replayed
    assert works(of_set(split, "general_unrehearsed")) <= split.unrehearsed
    for record in split.replay:
        assert record.work not in split.unrehearsed
        for subject in split.unrehearsed:
            named = f"「{subject}」" if len(subject) == 1 else subject
            assert named not in record.question + record.answers[0]


def without_works(records: Sequence[QARecord]) -> list[QARecord]:
    return [replace(record, work=record.fact) for record in records]


def test_facts_whose_work_is_not_known_are_unseen_facts_and_not_works_only_read(make_records):
    anime = make_records(8, 4)
    questions = split_questions(without_works(anime), [], SETTINGS)
    facts = {record.fact for record in of_set(questions, "anime_unseen_fact")}
    assert len(facts) == 2 and not of_set(questions, "anime_only_read")
    assert not facts & {record.fact for record in questions.train}
    mixed = split_questions([*without_works(anime[:32]), *anime[32:]], [], SETTINGS)
    assert not any(record.work_is_known for record in of_set(mixed, "anime_unseen_fact"))
    assert all(record.work_is_known for record in of_set(mixed, "anime_only_read"))


def test_the_same_words_after_other_messages_are_another_question(make_records):
    anime = make_records(8, 4)
    held_out = split_qa(anime, 0.25, 0.25, seed=1).unseen_wording[0]
    copy = replace(held_out, id="copy", work="other", fact="other/x")
    said_before = replace(copy, history=(Turn("user", "別の話"), Turn("assistant", "はい")))
    general = replace(SETTINGS, held_out_subjects=0.0)
    same = split_questions(anime, [copy], general)
    after = split_questions(anime, [said_before], general)
    assert held_out not in of_set(same, "anime_unseen_wording")
    assert held_out in of_set(after, "anime_unseen_wording")
