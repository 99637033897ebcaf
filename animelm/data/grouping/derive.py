"""Records out of what files of questions say, and what can be derived from it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.grouping.facts import Question, find_facts
from animelm.data.grouping.keys import derive_keys
from animelm.data.grouping.names import Names
from animelm.data.grouping.text import folded, key_of
from animelm.data.grouping.unions import Unions
from animelm.data.grouping.works import Texts, find_works
from animelm.data.sources.formats.asked import Asked, Turn

# What is derived where a row does not give it.
_FIELDS = frozenset(("id", "work", "fact", "direction", "wording", "keys"))
Values = Callable[[Collection[str]], Mapping[str, Collection[str]]]
_SHARING = 50  # questions, at most, that say what an answer repeats: thousands answer yes
_PLACE = "{}"  # stands for the work's name in a wording


@dataclass(frozen=True)
class Derived:
    """A question with all that is given or derived; the fields are those of ``QARecord``.

    Attributes:
        rows: numbers of the rows that it was made of.
        domain: as given; None where the file names none.
    """

    id: str
    work: str
    fact: str
    direction: str
    wording: str
    domain: str | None
    question: str
    answers: tuple[str, ...]
    keys: tuple[str, ...]
    thinking: tuple[str, ...]
    history: tuple[Turn, ...]
    derived: tuple[str, ...]
    whole_answers: bool
    rows: tuple[int, ...]


def derive(
    asked: Sequence[Asked],
    names: Callable[[], Collection[str]],
    values: Values = lambda _: {},
) -> list[Derived]:
    """Makes records of questions, deriving what the files do not say.

    The answers of one question, whatever its width, case and punctuation, become one record.

    Args:
        asked: the rows of all files.
        names: gives the titles of the articles on the domain; asked for only where a work or a key
            is missing.
        values: gives the values of the infoboxes of articles by their titles; asked for only the
            works of questions without keys.
    """
    merged = _merged(asked)
    if not any(_FIELDS - set(row.given) for row in asked):
        return [_derived(number, m, None, m, m.given["keys"]) for number, m in enumerate(merged)]
    missing = any({"work", "keys"} - set(row.given) for row in asked)
    titles = Names(names() if missing else ())
    works = find_works([Texts(m.question, m.answers, m.given.get("work")) for m in merged], titles)
    sharing: defaultdict[tuple[str | None, str], list[str]] = defaultdict(list)
    for m, work in zip(merged, works, strict=True):
        for answer in m.answers:
            sharing[work, answer].append(m.question)
    keyless = {
        work
        for m, work in zip(merged, works, strict=True)
        if work is not None and "keys" not in m.given
    }
    told = values(keyless) if keyless else {}
    keys = [
        m.given.get("keys")
        or derive_keys(
            [m.question, *sharing[work, m.answers[0]][:_SHARING]],
            m.answers,
            titles,
            told.get(work, ()) if work is not None else (),
        )
        for m, work in zip(merged, works, strict=True)
    ]
    facts = find_facts(
        [
            Question(m.question, m.answers, work, key, m.given.get("fact"), m.conversation)
            for m, work, key in zip(merged, works, keys, strict=True)
        ]
    )
    works = _one_work_a_fact(works, facts)
    return [
        _derived(number, m, works[number], merged[facts[number]], keys[number])
        for number, m in enumerate(merged)
    ]


@dataclass(frozen=True)
class _Merged:
    """One question, of one row or of several."""

    question: str
    answers: tuple[str, ...]
    thinking: tuple[str, ...]
    history: tuple[Turn, ...]
    conversation: str
    given: dict[str, Any]
    rows: tuple[int, ...]

    @property
    def opening(self) -> str:
        """The first question of the conversation, whose turns are held out together."""
        asked = (turn.text for turn in self.history if turn.role == "user")
        return next(asked, self.question)


def _merged(asked: Sequence[Asked]) -> list[_Merged]:
    rows: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, each in enumerate(asked):
        texts = (*(turn.text for turn in each.history), each.question)
        alike = (
            *map(key_of, texts),
            each.given.get("id"),
            each.given.get("work"),
            each.given.get("fact"),
            each.given.get("direction"),
        )
        rows[alike].append(number)
    return [_one([asked[i] for i in numbers], tuple(numbers)) for numbers in rows.values()]


def _one(asked: Sequence[Asked], rows: tuple[int, ...]) -> _Merged:
    answers: dict[str, str] = {}
    given: dict[str, Any] = {}
    keys: dict[str, None] = {}
    for each in asked:
        thinking = each.thinking or ("",) * len(each.answers)
        for answer, thoughts in zip(each.answers, thinking, strict=True):
            answers.setdefault(answer, thoughts)
        given = {**each.given, **given}
        keys |= dict.fromkeys(each.given.get("keys", ()))
    if keys:
        given["keys"] = tuple(keys)
    first = asked[0]
    thoughts_of = tuple(answers.values()) if any(answers.values()) else ()
    return _Merged(
        first.question, tuple(answers), thoughts_of, first.history, first.conversation, given, rows
    )


def _one_work_a_fact(works: Sequence[str | None], facts: Sequence[int]) -> list[str | None]:
    """The works, where those of one fact are one: it may be asked from either side."""
    together: Unions[str] = Unions()
    of_fact: dict[int, str] = {}
    for work, fact in zip(works, facts, strict=True):
        if work is not None:
            together.join(key_of(work), key_of(of_fact.setdefault(fact, work)))
    names: dict[str, str] = {}
    for work, _ in Counter(work for work in works if work is not None).most_common():
        names.setdefault(together.of(key_of(work)), work)
    found = [of_fact.get(fact) for fact in facts]
    return [None if work is None else names[together.of(key_of(work))] for work in found]


def _derived(
    number: int, merged: _Merged, work: str | None, first: _Merged, keys: tuple[str, ...]
) -> Derived:
    given = merged.given
    fact = given.get("fact") or (
        # A "/" would be taken for the begin of a relation's name.
        first.question if work is None else f"{work}: {first.question}".replace("/", "／")
    )
    key = key_of(work) if work else ""
    is_reverse = key in set(map(key_of, keys)) and key not in key_of(merged.question)
    return Derived(
        id=given.get("id") or f"pair-{number + 1:06d}",
        work=given.get("work") or work or fact,
        fact=fact,
        direction=given.get("direction") or ("reverse" if is_reverse else "forward"),
        wording=given.get("wording") or _wording(merged.opening, work),
        domain=given.get("domain"),
        question=merged.question,
        answers=merged.answers,
        keys=keys or merged.answers,
        thinking=merged.thinking,
        history=merged.history,
        derived=tuple(sorted(_FIELDS - set(given))),
        whole_answers=not keys,
        rows=merged.rows,
    )


def _wording(question: str, work: str | None) -> str:
    """The template of a question: without its work, and as it is compared."""
    text = folded(question)
    parts = text.split(folded(work)) if work else [text]
    return _PLACE.join(map(text_key, parts))
