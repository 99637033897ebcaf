"""Which questions ask for the same fact."""

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from animelm.data.grouping.keys import is_sentence
from animelm.data.grouping.names import Names
from animelm.data.grouping.rewordings import ALIKE, Wordings
from animelm.data.grouping.text import (
    asked_core,
    forms_of,
    key_of,
    occurs,
    quoted_names,
    unquoted,
    without_copula,
)
from animelm.data.grouping.unions import Unions

_YES_OR_NO = frozenset(("はい", "いいえ", "yes", "no", "true", "false", "そう", "違い", "ちがい"))
# Numbers, years, dates and amounts: two facts of a work often share one.
_NUMBER = re.compile(
    r"(?:約|およそ|第|紀元前|西暦|昭和|平成|令和|大正|明治|全|計)*[\d〇一二三四五六七八九十百千万億兆半数]+"
    r"(?:年|月|日|時|分|秒|回|話|巻|人|歳|才|円|位|番|個|つ|本|作|期|世紀|代|度|曲|名|部|章|頃|ごろ|以上|以下|"
    r"[a-z%]{1,3}|[\d〇一二三四五六七八九十百千万億兆]+)*"
)
_DATE = re.compile(r"年\d+月")
_SAME_DATE = 0.1
_SAME_NUMBER = 0.5
_CONTENT = re.compile(r"[一-鿿々ァ-ヴー]{2}")
_OVERLAP = 2  # characters that a subject has at least


@dataclass(frozen=True)
class Question:
    """What decides which fact a question asks for.

    Attributes:
        question: the question.
        answers: its answers.
        work: its work; None where none is known.
        keys: its short keys; empty where none could be derived.
        fact: the fact that the file names; None where it names none.
        conversation: the conversation that it is a part of; empty for none.
    """

    question: str
    answers: tuple[str, ...]
    work: str | None
    keys: tuple[str, ...]
    fact: str | None = None
    conversation: str = ""


def find_facts(questions: Sequence[Question]) -> list[int]:
    """For each question the number of the first question on the same fact.

    Questions are joined that the file gives one fact; that differ only in the words at their end;
    that have work and answer in common; that share a key and most of what they are about; or that
    ask for what another one names and name what it asks for, in words of the same relation. An
    answer alone joins nothing. A number or a date joins questions on one work in words of the same
    relation, yes or no never. The turns of one conversation stay together.
    """
    unions: Unions[int] = Unions()
    seen: dict[Hashable, int] = {}
    for number, question in enumerate(questions):
        unions.of(number)
        for mark in _marks(question):
            unions.join(number, seen.setdefault(mark, number))
    _join_by_key(questions, unions)
    _join_rewordings(questions, unions)
    _join_directions(questions, unions)
    _join_mirrored(questions, unions)
    return [unions.of(number) for number in range(len(questions))]


def _marks(question: Question) -> list[Hashable]:
    """What a question shares with every other one on its fact."""
    marks: list[Hashable] = []
    if question.conversation:
        marks.append(("conversation", question.conversation))
    if question.fact is not None:
        return [*marks, ("fact", question.fact)]
    work = key_of(question.work) if question.work else None
    marks.append(("wording", work, asked_core(question.question)))
    if question.keys and all(map(is_yes_or_no, question.keys)):
        return marks
    for answer in question.answers:
        body = without_copula(answer)
        key, sentence = key_of(unquoted(body)), is_sentence(body, question.question)
        # What is offered, or the work itself, answers other questions as well.
        if joins_nothing(body) or key == work or key in key_of(question.question):
            continue
        if work is not None:
            if sentence or work in map(key_of, quoted_names(question.question)):
                marks.append(("answer", work, key))
        elif sentence and (subject := _subject(body, question)):
            marks.append(("answer", subject, key))
    return marks


def is_yes_or_no(answer: str) -> bool:
    """Whether an answer is yes or no."""
    return key_of(answer) in _YES_OR_NO


def joins_nothing(answer: str) -> bool:
    """Whether an answer is yes, no, a number or a date, which many facts share."""
    return is_yes_or_no(answer) or bool(_NUMBER.fullmatch(key_of(answer)))


def _subject(body: str, question: Question) -> str | None:
    """What an answer and its question begin with in common; None if that is no name."""
    answer, asked = key_of(body), key_of(question.question)
    length = next(
        (i for i, (a, b) in enumerate(zip(answer, asked, strict=False)) if a != b),
        min(len(answer), len(asked)),
    )
    return answer if length >= _OVERLAP and _CONTENT.search(asked[:length]) else None


def _join_by_key(questions: Sequence[Question], unions: Unions[int]) -> None:
    """Joins questions on a work with the same key, in words of the same relation.

    Of a number or a date, which two facts of a work may share, most of these words are needed.
    """
    by_key: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        if question.work is None or question.fact is not None or _is_reverse(question):
            continue
        for key in question.keys:
            if not is_yes_or_no(key) and key_of(key) not in key_of(question.question):
                for form in forms_of(key):
                    by_key[key_of(question.work), form].append(number)
    for (_, key), numbers in by_key.items():
        needed = _SAME_NUMBER if joins_nothing(key) else 0.0
        firsts = list(dict.fromkeys(map(unions.of, numbers)))
        for i, one in enumerate(firsts):
            for other in firsts[:i]:
                if _shared(_relation(questions[one]), _relation(questions[other])) > needed:
                    unions.join(one, other)


def _shared(one: set[str], other: set[str]) -> float:
    """The share of the smaller relation that stands in the other one."""
    return len(one & other) / max(1, min(len(one), len(other)))


def _join_rewordings(questions: Sequence[Question], unions: Unions[int]) -> None:
    """Joins questions with one key on one thing, whether or not their work is known."""
    keys = [(question.keys or question.answers)[0] for question in questions]
    wordings = Wordings([question.question for question in questions], keys)
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        if question.fact is None:
            asked = key_of(question.question)
            held = [key for key in question.keys if key_of(key) not in asked]
            for key in dict.fromkeys(form for each in held for form in forms_of(each)):
                if not is_yes_or_no(key):
                    by_key[key].append(number)
    for key, numbers in by_key.items():
        for one, other in wordings.pairs_on_one_thing(numbers):
            if (
                unions.of(one) != unions.of(other)
                and not _on_two_works(questions[one], questions[other])
                and wordings.similarity(one, other) >= ALIKE
                and wordings.same_relation(one, other) >= _relation_needed(key)
            ):
                unions.join(one, other)


def _relation_needed(key: str) -> float:
    """How much of the relation two questions must share: a day or month is rarely two facts'."""
    if not joins_nothing(key):
        return 0.0
    return _SAME_DATE if _DATE.search(key) else ALIKE


def _on_two_works(one: Question, other: Question) -> bool:
    works = {key_of(question.work) for question in (one, other) if question.work}
    return len(works) > 1


def _join_mirrored(questions: Sequence[Question], unions: Unions[int]) -> None:
    """Joins two questions whose work is not known, each of which names the other one's key."""
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        if question.work is None and question.fact is None:
            for key in question.keys:
                if not joins_nothing(key) and key_of(key) not in key_of(question.question):
                    by_key[key].append(number)
    keys = Names(by_key)
    for number, question in enumerate(questions):
        if question.work is not None or question.fact is not None:
            continue
        for key in keys.all_in(question.question):
            for other in by_key[key]:
                if (
                    unions.of(number) != unions.of(other)
                    and any(occurs(own, questions[other].question) for own in question.keys)
                    and _relation(question) & _relation(questions[other])
                ):
                    unions.join(number, other)


def _join_directions(questions: Sequence[Question], unions: Unions[int]) -> None:
    """Joins a question for the work with the questions for the value that it names."""
    forward: defaultdict[str, dict[int, list[str]]] = defaultdict(dict)
    for number, question in enumerate(questions):
        if question.work is not None and question.fact is None and not _is_reverse(question):
            values = forward[key_of(question.work)]
            values.setdefault(unions.of(number), []).extend(question.keys)
    relations = _relations(questions, unions)
    for number, question in enumerate(questions):
        if question.fact is not None:
            continue
        candidates = [
            fact
            for key in question.keys
            if key_of(key) not in key_of(question.question)
            for fact, values in forward.get(key_of(key), {}).items()
            if any(_names(question, value) for value in values)
        ]
        if candidates:
            own = _relation(question)
            best = max(candidates, key=lambda fact: len(own & relations[fact]))
            alone = _is_reverse(question) and len(set(candidates)) == 1
            if own & relations[best] or alone:
                unions.join(best, number)


def _names(question: Question, value: str) -> bool:
    """Whether a question asks from a value: by naming it, or by quoting it as its own work."""
    if _is_reverse(question):
        return occurs(value, question.question)
    return question.work is not None and key_of(value) == key_of(question.work)


def _is_reverse(question: Question) -> bool:
    """Whether a question asks for its work; one that offers it as a choice does not."""
    work = key_of(question.work) if question.work else ""
    return work in set(map(key_of, question.keys)) and work not in key_of(question.question)


def _relations(questions: Sequence[Question], unions: Unions[int]) -> dict[int, set[str]]:
    relations: defaultdict[int, set[str]] = defaultdict(set)
    for number, question in enumerate(questions):
        relations[unions.of(number)] |= _relation(question)
    return relations


def _relation(question: Question) -> set[str]:
    """Pairs of kanji or katakana in a question and its answers, without the names in it."""
    text = "\n".join([question.question, *question.answers])
    for name in (question.work, *question.keys):
        text = text.replace(name, "\n") if name else text
    return {text[i : i + 2] for i in range(len(text) - 1) if _CONTENT.fullmatch(text[i : i + 2])}
