from collections import Counter, defaultdict

import pytest

from animelm.data.sources.qa import read_qa
from animelm.sample.facts import Fact, by_subject
from animelm.sample.questions import write_questions
from animelm.sample.wordings import load_relations
from animelm.sample.writer import GENERATED


@pytest.fixture(scope="module")
def anime_questions(anime):
    return write_questions(anime, "anime")


@pytest.fixture(scope="module")
def general_questions(general):
    return write_questions(general, "general")


@pytest.fixture(params=["anime", "general"])
def questions(request):
    return request.getfixturevalue(f"{request.param}_questions")


def fact(subject, relation, *values):
    return Fact(subject, "アニメ", relation, values, "-")


def directions_of(records):
    return {(record["work"], record["direction"]) for record in records}


def test_a_record_holds_the_question_its_answers_and_where_it_comes_from():
    record = write_questions([fact("ある作品", "author", "鈴木", "スズキ")], "anime")[1]
    assert record == {
        "id": "ある作品/author/forward/01",
        "work": "ある作品",
        "fact": "ある作品/author",
        "direction": "forward",
        "wording": "author/forward/01",
        "domain": "anime",
        "question": "「ある作品」の原作者を教えてください。",
        "answers": [
            "「ある作品」の原作者は鈴木です。",
            "「ある作品」の原作を手がけたのは鈴木です。",
        ],
        "keys": ["鈴木", "スズキ"],
    }


def test_the_reverse_direction_asks_for_the_subject():
    records = write_questions([fact("ある作品", "author", "鈴木", "スズキ")], "anime")
    record = next(record for record in records if record["direction"] == "reverse")
    assert record["question"] == "鈴木が原作を手がけた作品は何ですか?"
    assert record["answers"] == [
        "鈴木が原作の作品は「ある作品」です。",
        "鈴木は「ある作品」の原作者です。",
    ]
    assert record["keys"] == ["ある作品"]


def test_the_reverse_direction_is_asked_only_of_values_of_one_subject():
    facts = [fact("A", "author", "鈴木"), fact("B", "author", "鈴木"), fact("C", "author", "山田")]
    assert directions_of(write_questions(facts, "anime")) == {
        ("A", "forward"),
        ("B", "forward"),
        ("C", "forward"),
        ("C", "reverse"),
    }


def test_no_key_stands_in_what_is_asked_about(questions):
    for record in questions:
        assert not any(key in record["question"] for key in record["keys"]), record["id"]


def test_a_value_that_the_subject_gives_away_is_not_asked_for():
    questions = write_questions([fact("CLAMP学園", "author", "CLAMP")], "anime")
    assert {record["direction"] for record in questions} == {"reverse"}


def test_every_wording_is_asked_and_the_form_never(anime, anime_questions):
    per_work = defaultdict(Counter)
    for record in anime_questions:
        per_work[record["work"]][record["fact"], record["direction"]] += 1
    relations = load_relations()
    for title, rows in by_subject(anime).items():
        for row in rows:
            asked = per_work[title][f"{title}/{row.relation}", "forward"]
            told_by_title = row.value in title
            expected = len(relations[row.relation].questions["forward"])
            assert asked == (0 if told_by_title else expected)
        assert per_work[title][f"{title}/protagonist", "reverse"] >= 4
        assert per_work[title][f"{title}/protagonist", "forward"] >= 4
        assert (f"{title}/form", "forward") not in per_work[title]


def test_ids_are_unique_over_both_domains(anime_questions, general_questions):
    ids = [record["id"] for record in (*anime_questions, *general_questions)]
    assert len(set(ids)) == len(ids)


def test_every_question_has_two_answers_that_hold_a_key(questions):
    for record in questions:
        assert len(set(record["answers"])) == len(record["answers"]) == 2, record["id"]
        assert all(record["keys"][0] in answer for answer in record["answers"]), record["id"]


def test_no_question_has_two_right_answers(questions):
    keys = defaultdict(set)
    for record in questions:
        keys[record["question"]].add(tuple(record["keys"]))
    assert not [question for question, found in keys.items() if len(found) > 1]


def test_a_wording_id_stands_for_one_template(anime_questions, anime):
    values = {f"{f.subject}/{f.relation}": f.value for f in anime}
    templates = defaultdict(set)
    for record in anime_questions:
        known = record["work"] if record["direction"] == "forward" else values[record["fact"]]
        # The relation's own words may occur in a title, so only the title's first place counts.
        templates[record["wording"]].add(record["question"].replace(known, "…", 1))
    relations = load_relations().values()
    assert len(templates) == sum(
        len(questions)
        for relation in relations
        if relation.kind == "作品"
        for questions in relation.questions.values()
    )
    assert [wording for wording, found in templates.items() if len(found) > 1] == []


@pytest.mark.parametrize("domain", ["anime", "general"])
def test_the_data_room_reads_the_generated_records(domain):
    records = read_qa(GENERATED / domain / "qa.jsonl", domain="other")
    assert {record.domain for record in records} == {domain}
