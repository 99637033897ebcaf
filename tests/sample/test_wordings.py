import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.sample.facts import Fact
from animelm.sample.wordings import fill, load_relations, telling_sentences

RELATIONS = load_relations()
ASKED = [relation for relation in RELATIONS.values() if any(relation.questions.values())]
DIRECTIONS = [(r, direction) for r in ASKED for direction in r.questions if r.questions[direction]]
SUBJECT, VALUE = "<subject>", "<value>"

every_relation = pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
every_direction = pytest.mark.parametrize(
    ("relation", "direction"), DIRECTIONS, ids=[f"{r.name}-{d}" for r, d in DIRECTIONS]
)


def filled(relation, sentence):
    return fill(sentence, Fact(SUBJECT, "-", relation.name, (VALUE,), "-"), relation)


def test_every_relation_of_the_tables_has_wordings(anime, general):
    assert {fact.relation for fact in anime + general} <= RELATIONS.keys()


def test_all_but_the_form_are_asked_and_people_in_both_directions():
    assert RELATIONS.keys() - {relation.name for relation in ASKED} == {"form"}
    both = {relation.name for relation in ASKED if relation.questions["reverse"]}
    assert {"protagonist", "author", "literary_author", "composer", "painter", "inventor"} <= both


@every_direction
def test_each_direction_has_at_least_four_different_wordings(relation, direction):
    questions = relation.questions[direction]
    assert len(set(questions)) == len(questions) >= 4


@every_direction
def test_each_wording_has_two_different_answers_that_name_subject_and_value(relation, direction):
    answers = [filled(relation, answer) for answer in relation.answers[direction]]
    assert len(set(answers)) == len(answers) == 2
    assert all(SUBJECT in a and VALUE in a and a.endswith("。") for a in answers)


@every_direction
def test_a_question_names_what_is_known_and_never_what_is_asked_for(relation, direction):
    known, asked = (SUBJECT, VALUE) if direction == "forward" else (VALUE, SUBJECT)
    for question in relation.questions[direction]:
        text = filled(relation, question)
        assert known in text and asked not in text, question
        assert text.endswith(("?", "。")), question


@every_relation
def test_every_statement_names_subject_and_value(relation):
    for statement in relation.statements:
        text = filled(relation, statement)
        assert SUBJECT in text and VALUE in text and text.endswith("。"), statement


@every_relation
def test_no_placeholder_is_left_open(relation):
    for sentences in (*relation.questions.values(), *relation.answers.values()):
        for sentence in (*sentences, *relation.statements):
            assert not {"{", "}"} & set(filled(relation, sentence)), sentence


@every_relation
@pytest.mark.parametrize("value_first", [False, True])
def test_a_fact_is_told_in_different_sentences_the_form_alone_in_few(relation, value_first):
    fact = Fact(SUBJECT, "-", relation.name, (VALUE, "other spelling"), "-")
    sentences = telling_sentences(fact, value_first)
    assert len(set(sentences)) == len(sentences) >= (2 if relation.name == "form" else 3)
    for sentence in sentences:
        assert (sentence.index(VALUE) < sentence.index(SUBJECT)) == value_first


@every_relation
def test_no_sentence_of_an_article_is_the_wording_of_a_question(relation):
    told = {*relation.statements, *relation.answers["forward"], *relation.answers["reverse"]}
    asked = {q for questions in relation.questions.values() for q in questions}
    assert not told & asked
    assert not any("?" in sentence or sentence.endswith("ですか。") for sentence in told)


def test_a_wording_is_named_by_relation_direction_and_place():
    assert RELATIONS["author"].wording("reverse", 3) == "author/reverse/03"


@given(st.text(min_size=1), st.text(min_size=1))
@pytest.mark.parametrize("relation", [RELATIONS["protagonist"], RELATIONS["currency"]])
def test_titles_and_values_pass_unharmed(relation, title, value):
    fact = Fact(title, "-", relation.name, (value,), "-")
    assert fill("「{s}」と{v}は{kind}", fact, relation) == f"「{title}」と{value}は{relation.kind}"
    question = fill(relation.questions["forward"][1], fact, relation)
    assert question == f"「{title}」の{relation.noun}を教えてください。"


@pytest.mark.parametrize("title", ["{v}", "{0}", "{{s}}", "100%", "%s", "%(v)d", "}{", "\\1", "$s"])
def test_a_title_that_looks_like_a_placeholder_stays_as_it_is(title):
    fact = Fact(title, "アニメ", "protagonist", ("{s}",), "-")
    assert f"「{title}」の主人公は{{s}}です。" in telling_sentences(fact, value_first=False)
