import re
from collections import Counter
from itertools import islice

from animelm.data.sources.qa import QARecord
from animelm.data.split import split_qa
from animelm.sample import invented
from animelm.sample.invented import (
    Inventor,
    common_kanji,
    copying_drills,
    invented_subject,
    reading_records,
)
from animelm.sample.questions import write_questions
from animelm.sample.wordings import load_relations

PEOPLE = {"protagonist", "author", "literary_author", "composer", "painter", "inventor"}


def passage_and_question(record):
    passage, _, question = record["question"].rpartition("\n")
    return passage, question


def test_the_common_kanji_are_level_1_of_jis_x_0208():
    kanji = common_kanji()
    assert len(kanji) == len(set(kanji)) == 2965
    assert (kanji[0], kanji[-1]) == ("亜", "腕")
    assert all("一" <= character <= "鿿" for character in kanji)


def test_the_same_seed_gives_the_same_exercises_and_another_seed_others():
    first = list(reading_records(30, seed=1))
    assert list(reading_records(30, seed=1)) == first
    assert list(islice(reading_records(60, seed=1), len(first))) == first
    others = {record["question"] for record in reading_records(30, seed=2)}
    assert not others & {record["question"] for record in first}


def test_the_same_seed_gives_the_same_drills_and_another_seed_others():
    first = list(copying_drills(30, seed=1))
    assert list(copying_drills(30, seed=1)) == first
    assert not set(copying_drills(30, seed=2)) & set(first)


def test_names_are_the_same_in_every_run_of_python():
    inventor = Inventor(0)
    names = [inventor.title(), inventor.person(), inventor.company()]
    assert names == ["纏・ウゲジョス", "ブッド・ロムウポッド", "ヘウブ"]


def test_no_invented_subject_and_no_invented_person_has_a_name_from_the_anime_table(
    exercises, anime_names
):
    subjects = {fact.subject for fact in exercises.facts}
    people = {fact.value for fact in exercises.facts if fact.relation in PEOPLE}
    assert min(len(subjects), len(people)) > 5_000
    assert not subjects & anime_names
    assert not people & anime_names


def test_the_passage_holds_the_answer_and_the_subject_asked_about(exercises):
    for record in exercises.records:
        passage, question = passage_and_question(record)
        assert record["keys"][0] in passage, record["id"]
        assert record["work"] in passage, record["id"]
        assert passage and question


def test_the_question_itself_does_not_hold_the_answer(exercises):
    # A short key, such as the number 1, may stand in the other name by chance.
    for record in exercises.records:
        key = record["keys"][0]
        assert len(key) < 4 or key not in passage_and_question(record)[1], record["id"]


def test_every_exercise_has_an_id_and_a_passage_of_its_own(exercises):
    records = exercises.records
    assert len({record["id"] for record in records}) == len(records) > 1_000
    assert len({passage_and_question(record)[0] for record in records}) == len(records)


def test_a_good_part_of_the_passages_tells_of_several_subjects(exercises):
    named = Counter(
        len(set(re.findall(r"「([^」]*)」", passage_and_question(record)[0])))
        for record in exercises.records
    )
    assert named[0] == 0
    assert named[1] > 0.2 * named.total()
    assert named.total() - named[1] > 0.2 * named.total()


def test_both_directions_and_every_relation_but_the_form_are_exercised(exercises):
    assert {record["direction"] for record in exercises.records} == {"forward", "reverse"}
    asked = {record["wording"].partition("/")[0] for record in exercises.records}
    assert asked == load_relations().keys() - {"form"}


def test_no_wording_that_is_held_out_of_a_table_is_trained_in_an_exercise(
    exercises, anime, general
):
    def split(records):
        return split_qa([QARecord(**record) for record in records], 0.25, 0.0, seed=0)

    trained = {record.wording for record in split(exercises.records).train}
    assert trained
    for facts in (anime, general):
        held_out = {r.wording for r in split(write_questions(facts, "general")).unseen_wording}
        assert held_out
        assert not held_out & trained


def test_an_exercise_whose_subjects_have_the_same_name_is_left_out(monkeypatch):
    monkeypatch.setattr(Inventor, "title", lambda self: "甲")
    monkeypatch.setattr(Inventor, "word", Inventor.title)
    subjects = []
    invent = invented.invented_subject
    monkeypatch.setattr(
        invented, "invented_subject", lambda *given: subjects.append(invent(*given)) or subjects[-1]
    )
    records = list(reading_records(100, seed=0))
    assert len(subjects) > 100 > len(records)
    values = {value for facts in subjects for fact in facts for value in fact.values}
    for record in records:
        passage = passage_and_question(record)[0]
        noun = load_relations()[record["wording"].partition("/")[0]].noun
        told = {value for value in values if f"{noun}は{value}です" in passage}
        assert len(told) <= 1


def test_an_invented_work_has_all_facts_of_a_real_one(anime):
    facts = invented_subject(Inventor(3), "作品")
    assert {fact.relation for fact in facts} == {fact.relation for fact in anime} - {"form"}
    assert len({fact.subject for fact in facts}) == 1


def test_a_drill_says_one_thing_two_to_four_times_over(drills):
    assert len(set(drills)) == len(drills) > 1_000
    times = Counter()
    for drill in drills:
        said = re.fullmatch(r"(.+?)((?:\n?\1){1,3})\n", drill)
        assert said, drill
        times[said[2].count(said[1]) + 1] += 1
    assert times.keys() >= {2, 3, 4}


def test_no_name_in_a_drill_is_from_the_anime_table(drills, anime_names):
    names = {name for drill in drills for name in re.split("[、\n]", drill)}
    assert len(names) >= len(drills)
    assert not names & anime_names
