"""Questions that their author should look at before anything is trained on them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from animelm.data.grouping.facts import is_yes_or_no, joins_nothing
from animelm.data.grouping.names import Names
from animelm.data.grouping.rewordings import ALIKE, Wordings
from animelm.data.grouping.text import forms_of, key_of, occurs, without_copula
from animelm.data.held_out import UNSEEN_FACT, QuestionSplit
from animelm.data.sources.qa import QARecord

_SHOWN = 5  # places that a sentence names
_LOOSELY_ALIKE = 0.45  # similarity from which two questions that begin alike may be on one thing
_NUMBERS_ALIKE = 0.5  # two facts often share a number


class Suspect(NamedTuple):
    """A held-out question, and a trained one that may ask for the same fact.

    Attributes:
        held_out: the held-out question.
        trained: the trained question.
        key: what both are answered with.
    """

    held_out: QARecord
    trained: QARecord
    key: str


def suspects(split: QuestionSplit) -> list[Suspect]:
    """Questions called unseen facts that share a key and many words with a trained question.

    Only facts that were derived count: what a file names is taken as it is.

    Args:
        split: all questions of a run.
    """
    sets = [part.get(UNSEEN_FACT, []) for part in (split.dev, split.test)]
    held_out = [record for records in sets for record in records if "fact" in record.derived]
    if not held_out:
        return []
    records = [*held_out, *split.train]
    wordings = Wordings([r.question for r in records], [r.keys[0] for r in records])
    trained: defaultdict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(split.train, start=len(held_out)):
        for key in _keys(record):
            trained[key].append(number)
    asked = Names(key for record in held_out for key in _keys(record))
    longer: defaultdict[str, list[str]] = defaultdict(list)
    for key in trained:
        for name in asked.all_in(key):
            longer[name].append(key)
    shorter = Names(trained)
    found = []
    for number, record in enumerate(held_out):
        pairs = (
            (key, other)
            for own in _keys(record)
            for key in dict.fromkeys([own, *shorter.all_in(own), *longer[own]])
            for other in trained.get(key, [])
        )
        for key, other in pairs:
            is_offered = key in key_of(record.question)
            if _alike(wordings, number, other, is_offered or joins_nothing(key)):
                found.append(Suspect(record, records[other], key))
                break
    return found


def _keys(record: QARecord) -> list[str]:
    """The keys other than yes and no, as they are compared."""
    forms = dict.fromkeys(form for key in record.keys for form in forms_of(key))
    return [form for form in forms if not is_yes_or_no(form)]


def _alike(wordings: Wordings, one: int, other: int, says_little: bool) -> bool:
    """Whether two questions with one key are alike.

    Args:
        wordings: the words of all questions.
        one: number of a question.
        other: number of another one.
        says_little: whether many facts share the key: a number, or a name that the question offers.
    """
    similarity, on_one = wordings.similarity(one, other), wordings.on_one_thing(one, other)
    if says_little:
        return on_one and similarity >= _NUMBERS_ALIKE
    if on_one:
        return similarity >= ALIKE
    return similarity >= _LOOSELY_ALIKE and wordings.may_be_on_one_thing(one, other)


def about_suspects(split: QuestionSplit) -> str:
    """A sentence on held-out questions that training may ask in other words; empty without one."""
    found = suspects(split)
    if not found:
        return ""
    held_out, trained, key = found[0]
    count = sum(len(part.get(UNSEEN_FACT, [])) for part in (split.dev, split.test))
    return (
        f"{len(found):,} of {count:,} questions that are held out as unseen facts share an answer "
        f"and words with a question that is trained, such as {held_out.question!r} (held out) and "
        f"{trained.question!r} (trained), both {key!r}: if they ask for one fact, name it in a "
        "column fact, or their work in a column work (data.columns.work)"
    )


def asked_again(records: Sequence[QARecord]) -> list[QARecord]:
    """The questions that several rows ask, which were made one."""
    return [record for record in records if len(record.places) > 1]


def answered_differently(records: Sequence[QARecord]) -> list[QARecord]:
    """Those of ``asked_again`` whose answers have no key in common."""
    return [record for record in asked_again(records) if not _agree(record)]


def _agree(record: QARecord) -> bool:
    shortest = min(map(without_copula, record.answers), key=len)
    return any(
        all(occurs(key, answer) for answer in record.answers) for key in (*record.keys, shortest)
    )


def about_answers(records: Sequence[QARecord]) -> str:
    """A sentence on questions whose rows answer them differently; empty without one."""
    found = answered_differently(records)
    if not found:
        return ""
    first = found[0]
    places = ", ".join(first.places[:_SHOWN]) + (", …" if len(first.places) > _SHOWN else "")
    is_one = len(found) == 1
    return (
        f"{len(found):,} question{'' if is_one else 's'} of {len(records):,} "
        f"{'is' if is_one else 'are'} answered differently in different rows, such as "
        f"{first.question!r} ({places}): {' and '.join(map(repr, first.answers[:2]))}. Every "
        "answer is trained, and every one counts as right; correct what is wrong"
    )
