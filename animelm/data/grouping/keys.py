"""Short keys of full-sentence answers: what all answers share and the question does not hold."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from animelm.data.grouping.names import Names
from animelm.data.grouping.text import (
    first_sentence,
    has_several_sentences,
    is_word,
    key_of,
    occurs,
    quoted_names,
    units,
    unquoted,
    without_copula,
)

_LONGEST = 30  # characters of a short key
_YES_OR_NO = re.compile(r"(はい|いいえ|yes|no)(?=$|[、。,.\s])", re.IGNORECASE)
_TOPIC = re.compile(r"^(?:.*の)?(?:答え|正解|回答)は、?", re.DOTALL)
_POINTER = re.compile(r"^(?:それ|これ)は、?")
_CLAUSE = re.compile(r"[をがでに].*[たるいのなすくうり]")
_CHOICE = re.compile(r"どちら|どっち|どれ|いずれ|どの")
_NO_NAMES = Names(())
_HIRAGANA = re.compile(r"[ぁ-ん]+")
_PARTICLES = (
    "という",
    "として",
    "による",
    "において",
    "では",
    "には",
    "とは",
    *"はがをにでとものへや",
)
_PUNCTUATION = " \t\n、。，．,.!?・:;~"
_OPENING, _CLOSING = "「『(（", "」』)）"
_TOPIC_MARKS = frozenset("はがを")


def derive_keys(
    questions: Sequence[str],
    answers: Sequence[str],
    names: Names = _NO_NAMES,
    values: Collection[str] = (),
) -> tuple[str, ...]:
    """The short accepted answers; empty where none can be told from the rest of the sentences.

    - An answer that is no sentence about what was asked is a key as it is, without です.
    - Of a question that offers several quoted names, the one that every answer names.
    - What an answer says of a topic that it repeats from the question (…は…です).
    - The one value of the work's infobox that every answer holds and the question does not.
    - A known name that every answer holds and the question does not.
    - Else the part that all answers share and the question does not hold, cut at particles: a
      quoted name first, then the last part, which Japanese puts the news in.

    Of an answer of several sentences only the first counts, and only what it says of the question's
    topic, or a name: which of the others answers is not known. A value of the infobox may stand in
    any of them.

    Args:
        questions: the question, and others that have an answer in common with it.
        answers: its accepted answers.
        names: known names, such as titles of articles.
        values: values of the infobox of the work's article.
    """
    question = questions[0]
    several = any(map(has_several_sentences, answers))
    bodies = [_body(first_sentence(answer)) for answer in answers]
    if all(_YES_OR_NO.match(answer.strip()) for answer in answers):
        return _distinct(_YES_OR_NO.match(answer.strip())[1] for answer in answers)  # type: ignore[index]
    short = [not is_sentence(body, question) for body in bodies]
    value = _only_value(values, question, answers)
    if several and len(answers) == 1 and short[0]:
        return (value,) if value else ()
    if all(short):
        return _distinct(unquoted(b) for b in bodies) if max(map(len, bodies)) <= _LONGEST else ()
    if any(short):
        plain = _distinct(
            unquoted(b) for b, is_short in zip(bodies, short, strict=True) if is_short
        )
        if all(any(occurs(key, body) for key in plain) for body in bodies):
            return plain
    if chosen := _offered(question, bodies):
        return (chosen,)
    predicates = [_predicate(body, question) for body in bodies]
    said = [each for each in predicates if each and all(occurs(each, body) for body in bodies)]
    if said:
        return (min(said, key=len),)
    if all(predicates):
        return _distinct(predicates)
    if value:
        return (value,)
    named = names.longest_in(bodies[0], without=question)
    if named and all(occurs(named, body) for body in bodies):
        return (named,)
    if several and len(answers) == 1:
        return ()
    return _news_of_all(questions, bodies)


def _body(answer: str) -> str:
    """What an answer says, without です at its end and without 答えは or それは before it."""
    body = without_copula(answer)
    if body != answer.strip().rstrip("。"):  # else the これは of a title
        body = _POINTER.sub("", body)
    return _TOPIC.sub("", body)


def _only_value(values: Collection[str], question: str, answers: Sequence[str]) -> str | None:
    """The value that all answers hold and the question does not, if it is the only one."""
    found = [
        value
        for value in values
        if not occurs(value, question) and all(occurs(value, answer) for answer in answers)
    ]
    whole = [v for v in found if not any(v != other and occurs(v, other) for other in found)]
    return whole[0] if len(whole) == 1 else None


def is_sentence(body: str, question: str) -> bool:
    """Whether an answer says something about a part of the question that it repeats."""
    cut = units(body)
    covered = _covered(cut, units(question))
    return any(unit in _TOPIC_MARKS and any(covered[:i]) for i, unit in enumerate(cut))


def _distinct(keys: Iterable[str | None]) -> tuple[str, ...]:
    found = dict.fromkeys(key.strip() for key in keys if key and key.strip())
    return tuple(found)


def _offered(question: str, bodies: Sequence[str]) -> str | None:
    offered = quoted_names(question)
    if len(offered) < 2:
        return None
    chosen = [name for name in offered if all(occurs(name, body) for body in bodies)]
    return chosen[0] if len(chosen) == 1 else None


def _predicate(body: str, question: str) -> str:
    """What an answer says of a topic that it repeats from the question; empty without one."""
    cut = _in_units(body)
    covered = _covered(units(body), units(question))
    begin = 0
    for i, unit in enumerate(cut):
        if unit == "は" and any(covered[:i]) and "".join(cut[begin:i]).strip(_PUNCTUATION):
            begin = i + 1
        if not (covered[i] or unit in _PUNCTUATION + _OPENING + _CLOSING or unit == "は"):
            break
    said = unquoted("".join(cut[begin:]).strip(_PUNCTUATION)) if begin else ""
    if said and key_of(said) in key_of(question):
        # Any answer that repeats the question would hold it, unless it is one of those offered.
        return said if _CHOICE.search(question) or said in quoted_names(question) else ""
    part = units(said)
    goes_on = any(_covered(part, units(question)))
    if (
        len(said) > _LONGEST
        or ("、" in said and _CLAUSE.search(said))
        or (goes_on and _TOPIC_MARKS.intersection(part))
    ):
        return ""
    return said


def _news_of_all(questions: Sequence[str], bodies: Sequence[str]) -> tuple[str, ...]:
    """What is new in all bodies, else what is new in each."""
    if shared := _news(questions, bodies):
        return (shared,)
    each = [_news(questions, [body]) for body in bodies]
    return _distinct(each) if len(bodies) > 1 and all(each) else ()


def _news(questions: Sequence[str], bodies: Sequence[str]) -> str | None:
    """What is new in all bodies."""
    asked = key_of(questions[0])
    quoted = [
        name
        for name in quoted_names(bodies[0])
        if key_of(name) not in asked and all(occurs(name, body) for body in bodies)
    ]
    if len(quoted) == 1:
        return quoted[0]
    first = _in_units(bodies[0])
    cut = units(bodies[0])
    shared = [_covered(cut, units(body)) for body in bodies[1:]]
    known = _covered(cut, [unit for each in questions for unit in (*units(each), "\n")])
    new = [not old and all(of[i] for of in shared) for i, old in enumerate(known)]
    candidates = [
        part
        for start, end, is_new in _runs(new)
        if is_new
        for part in _parts(first, start, end, known)
    ]
    candidates = [
        part
        for part in candidates
        if len(part) <= _LONGEST and key_of(part) not in asked and not _only_grammar(part)
    ]
    return candidates[-1] if candidates else None


def _in_units(text: str) -> list[str]:
    """A text in the units of ``units``, but as it is written."""
    cut = units(text)
    if len("".join(cut)) != len(text):  # NFKC changes the length of a few characters
        return cut
    written, at = [], 0
    for unit in cut:
        written.append(text[at : at + len(unit)])
        at += len(unit)
    return written


def _covered(text: Sequence[str], other: Sequence[str]) -> list[bool]:
    """Which units of a text stand in the other one: words alone, other units two in a row."""
    pairs = set(pairwise(other))
    words = {unit for unit in other if is_word(unit)}
    covered = [unit in words for unit in text]
    for i, pair in enumerate(pairwise(text)):
        if pair in pairs:
            covered[i] = covered[i + 1] = True
    return covered


def _runs(flags: Sequence[bool]) -> list[tuple[int, int, bool]]:
    """Runs of equal flags, as (start, end, flag)."""
    runs: list[tuple[int, int, bool]] = []
    for i, flag in enumerate(flags):
        if runs and runs[-1][2] == flag:
            runs[-1] = (runs[-1][0], i + 1, flag)
        else:
            runs.append((i, i + 1, flag))
    return runs


def _parts(text: Sequence[str], start: int, end: int, known: Sequence[bool]) -> list[str]:
    """The candidates in a run of new units."""
    part = _cut(text, start, end)
    if len(part) == 1 and text[start] == part and _is_noun(part):
        # 市 of 青森市, where 青森 was asked about: the whole word.
        while start > 0 and known[start - 1] and _is_noun(text[start - 1]):
            start -= 1
        part = _cut(text, start, end)
    elif (noun := _noun_before(text, start, known)) < start:
        part = _cut(text, noun, end)
    elif start > 0 and text[start - 1] not in _PARTICLES:
        # 人公は百鬼丸 of 主人公は百鬼丸: the run begins inside a word, before the topic ends.
        part = part.partition("は")[2] or part
    pieces = re.split(r"[、,，]", part)
    if len(pieces) > 1 and any(map(_CLAUSE.search, pieces[:-1])):
        return [pieces[-1].strip(_PUNCTUATION)]
    return [part] if part else []


def _noun_before(text: Sequence[str], start: int, known: Sequence[bool]) -> int:
    """Where the word begins that goes on at ``start``, if it follows は: 野崎 in は野崎梅太郎."""
    begin = start
    while begin > 0 and known[begin - 1] and _is_noun(text[begin - 1]) and _is_noun(text[start]):
        begin -= 1
    return begin if begin > 0 and text[begin - 1] == "は" else start


def _is_noun(unit: str) -> bool:
    return not _HIRAGANA.fullmatch(unit) and unit not in _PUNCTUATION + _OPENING + _CLOSING


def _cut(text: Sequence[str], start: int, end: int) -> str:
    """A run of units without particles, brackets and punctuation around it.

    A particle is cut off only where the sentence goes on: a name may begin or end with one.
    """
    part = "".join(text[start:end]).strip(_PUNCTUATION)
    if start > 0 and text[start - 1] not in _PARTICLES:
        for particle in _PARTICLES:
            if part.startswith(particle):
                part = part.removeprefix(particle).lstrip(_PUNCTUATION)
                break
    if end < len(text):
        part = without_copula(part)
        for particle in _PARTICLES:
            if part.endswith(particle) and len(part) > len(particle):
                part = part.removesuffix(particle).rstrip(_PUNCTUATION)
                break
    # A bracket whose other one lies outside of the run.
    opened, closed = sum(map(part.count, _OPENING)), sum(map(part.count, _CLOSING))
    if opened > closed and part[0] in _OPENING:
        part = part[1:]
    return (part[:-1] if closed > opened and part[-1] in _CLOSING else part).strip()


def _only_grammar(part: str) -> bool:
    return bool(_HIRAGANA.fullmatch(part)) and len(part) <= 3
