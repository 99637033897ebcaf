"""From facts to question-answer records: both directions, every wording, two answers each."""

from animelm.sample.facts import Domain, Fact, names_one_subject
from animelm.sample.wordings import Direction, Relation, fill, load_relations


def write_questions(facts: list[Fact], domain: Domain) -> list[dict]:
    """QA records (the JSON Lines form of the data room), in the order of the facts.

    Answers are full sentences; keys are what must be found in an answer: the value's spellings, or
    the subject in the reverse direction, which is asked only where the value belongs to one subject
    of ``facts``. A key that is part of what is asked about (青森 in 青森県) would be found in any
    answer that repeats it, so it is left out; a question that no key is left for is not asked.
    """
    unique = names_one_subject(facts)
    records = []
    for fact in facts:
        relation = load_relations()[fact.relation]
        records += _direction(fact, relation, "forward", domain)
        if (fact.relation, fact.value) in unique:
            records += _direction(fact, relation, "reverse", domain)
    return records


def _direction(fact: Fact, relation: Relation, direction: Direction, domain: Domain) -> list[dict]:
    asked, accepted = fact.subject, fact.values
    if direction == "reverse":
        asked, accepted = fact.value, (fact.subject,)
    keys = [key for key in accepted if key not in asked]
    if not keys:
        return []
    answers = [fill(answer, fact, relation) for answer in relation.answers[direction]]
    return [
        {
            "id": f"{fact.subject}/{relation.wording(direction, index)}",
            "work": fact.subject,
            "fact": f"{fact.subject}/{fact.relation}",
            "direction": direction,
            "wording": relation.wording(direction, index),
            "domain": domain,
            "question": fill(question, fact, relation),
            "answers": answers,
            "keys": keys,
        }
        for index, question in enumerate(relation.questions[direction])
    ]
