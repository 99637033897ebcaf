import json

from animelm.data.held_out import DEFAULT_SPLIT, split_questions
from animelm.data.held_out_list import held_out_facts, held_out_lines


def test_every_held_out_question_is_listed_under_its_set_part_and_fact(make_records):
    records = make_records(16, 4)
    split = split_questions(records, [], DEFAULT_SPLIT)
    facts = held_out_facts(split)
    for part, sets in (("dev", split.dev), ("test", split.test)):
        for name, members in sets.items():
            listed = [
                question
                for each in facts
                if (each.held_out_set, each.part) == (name, part)
                for question in each.questions
            ]
            assert sorted(listed) == sorted(record.question for record in members)
    by_question = {record.question: record for record in records}
    assert all(by_question[q].work == each.work for each in facts for q in each.questions)


def test_the_lines_hold_facts_and_articles_under_the_names_of_the_run(make_records):
    split = split_questions(make_records(8, 4), [], DEFAULT_SPLIT)
    lines = held_out_lines(
        split, {"garden_articles": ["庭"]}, lambda name: name.replace("anime", "garden")
    )
    values = [json.loads(line) for line in lines]
    assert values[-1] == {"set": "garden_articles", "article": "庭"}
    assert {each["set"] for each in values[:-1]} <= {"garden_unseen_wording", "garden_only_read"}
    assert all(each["questions"] and each["fact"] for each in values[:-1])
