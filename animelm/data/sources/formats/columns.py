"""Which columns hold the question, its answer, and what is known of them."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from animelm.data.sources.formats.asked import Asked, Row, Turn
from animelm.data.sources.formats.conversations import (
    CONVERSATION_KEYS,
    read_conversation,
    turns_of,
)
from animelm.errors import UserError

PAIRS = (
    ("質問", "出力"),
    ("質問", "回答"),
    ("question", "answer"),
    ("instruction", "output"),
    ("prompt", "completion"),
    ("質問", "答え"),
    ("問題", "解答"),
    ("問い", "答え"),
    ("q", "a"),
    ("input", "output"),
)
DIRECTIONS = ("forward", "reverse")
# Fields of a record that a file may give.
TEXTS = ("id", "work", "fact", "direction", "wording", "domain")
_ANSWERS, _KEYS, _THINKING, _HISTORY = "answers", "keys", "thinking", "history"
_INPUT, _SYSTEM = "input", "system"
KNOWN = frozenset(
    (*TEXTS, _ANSWERS, _KEYS, _THINKING, _HISTORY, _INPUT, _SYSTEM, *CONVERSATION_KEYS)
).union(*PAIRS)
EXPECTED = (
    "expected 質問 and 出力 (or 回答), question and answer, instruction and output, prompt and "
    "completion, messages, or conversations; name other columns with columns.question and "
    "columns.answer"
)


@dataclass(frozen=True)
class Columns:
    """Names of columns, where a file has other names than the usual ones.

    Args:
        question: Column of the question.
        answer: Column of the answer.
        work: Column of the work that the question is about.
        fact: Column of the fact that the question asks for; all wordings of a question on one fact
            have the same text there.
        direction: Column that says forward (from the work to a value) or reverse.
        wording: Column of the template of the question, which several works may share.
        keys: Column of a short accepted answer; an answer that contains it is right.
    """

    question: str | None = None
    answer: str | None = None
    work: str | None = None
    fact: str | None = None
    direction: str | None = None
    wording: str | None = None
    keys: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """The given names, by what they hold."""
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }

    def wanted(self, present: Iterable[str]) -> list[str]:
        """The columns that are read, of those that a table has.

        Raises:
            UserError: a named column is missing, or nothing names a question and its answer.
        """
        present = list(present)
        by_key = {_key(name): name for name in present}
        for field, name in self.named.items():
            if _key(name) not in by_key:
                raise UserError(
                    f"there is no column {name!r}, which columns.{field} names; the columns are "
                    f"{', '.join(map(repr, present))}"
                )
        known = KNOWN | {_key(name) for name in self.named.values()}
        wanted = [name for name in present if _key(name) in known]
        if not self._answers(set(map(_key, wanted))):
            raise UserError(f"{EXPECTED}; the columns are {', '.join(map(repr, present))}")
        return wanted

    def _answers(self, present: set[str]) -> bool:
        return bool(
            self.pair(present)
            or {"question", _ANSWERS} <= present
            or present.intersection(CONVERSATION_KEYS)
        )

    def pair(self, present: Iterable[str]) -> tuple[str, str] | None:
        """The columns of the question and of the answer among ``present``; None without both."""
        present = set(present)
        for question, answer in PAIRS:
            names = (_key(self.question or question), _key(self.answer or answer))
            if present.issuperset(names):
                return names
        return None

    def read(self, row: Row) -> Iterator[Asked]:
        """The questions of a row: one, or those of a conversation.

        Raises:
            UserError: something is missing or of a wrong type; the message names the row.
        """
        values = {_key(name): value for name, value in row.values.items()}
        for field, name in self.named.items():
            if field not in ("question", "answer") and _key(name) in values:
                values[field] = values[_key(name)]
        row = row._replace(values=values)
        for key in CONVERSATION_KEYS:
            if values.get(key) is not None:
                asked = read_conversation(row, values[key], values.get(_SYSTEM))
                break
        else:
            asked = [self._single(row)]
        given = given_fields(row)
        for number, each in enumerate(asked, start=1):
            own = {"id": f"{given['id']}/{number}"} if "id" in given and len(asked) > 1 else {}
            yield replace(each, given={**given, **own})

    def _single(self, row: Row) -> Asked:
        where, place, values = row
        names = self.pair(values)
        if self.answer is None and values.get(_ANSWERS) is not None:
            question = _text(values, _key(self.question or "question"), where)
            answers = _texts(values, _ANSWERS, where)
        elif names:
            if isinstance(values[names[0]], list):
                return _prompt_and_completion(row, names)
            question, answers = _text(values, names[0], where), _answers(values, names[1], where)
            more = values.get(_INPUT)
            if names[0] == "instruction" and more is not None and str(more).strip():
                question = f"{question}\n\n{_text(values, _INPUT, where)}"
        else:
            shown = ", ".join(map(repr, values)) or "none"
            raise UserError(f"{where}: {EXPECTED}; the keys here are {shown}")
        return Asked(
            where, place, question, answers, _thinking(values, where, len(answers)), _history(row)
        )


def given_fields(row: Row) -> dict[str, Any]:
    """What a row says of its question beside the texts; an empty cell says nothing.

    Raises:
        UserError: a field is of a wrong type.
    """
    where, _, values = row
    given: dict[str, Any] = {}
    for name in TEXTS:
        if name == "id" and isinstance(values.get(name), int):
            given[name] = str(values[name])
        elif values.get(name) is not None and values[name] != "":
            given[name] = _text(values, name, where)
    if given.get("direction", "forward") not in DIRECTIONS:
        raise UserError(
            f'{where}: "direction" must be forward or reverse, not {values["direction"]!r}'
        )
    keys = values.get(_KEYS)
    if isinstance(keys, str) and keys.strip():
        given[_KEYS] = (keys.strip(),)
    elif keys is not None and keys != "":
        given[_KEYS] = _texts(values, _KEYS, where)
    return given


def _prompt_and_completion(row: Row, names: tuple[str, str]) -> Asked:
    where, _, values = row
    prompt, completion = values[names[0]], values[names[1]]
    if not isinstance(completion, list):
        raise UserError(f'{where}: "{names[1]}" must be a list of messages, as "{names[0]}" is')
    return read_conversation(row, [*prompt, *completion], None)[-1]


def _history(row: Row) -> tuple[Turn, ...]:
    where, _, values = row
    system = values.get(_SYSTEM)
    turns: list[Turn] = []
    if isinstance(system, str) and system.strip():
        turns.append(Turn("system", system.strip()))
    if values.get(_HISTORY):
        turns += turns_of(values[_HISTORY], where)
    return tuple(turns)


def _thinking(values: Mapping[str, Any], where: str, answers: int) -> tuple[str, ...]:
    thinking = values.get(_THINKING)
    if isinstance(thinking, str):
        return (thinking.strip(),) * answers if thinking.strip() else ()
    if thinking in (None, []):
        return ()
    if not isinstance(thinking, list) or not all(isinstance(each, str) for each in thinking):
        raise UserError(f'{where}: "{_THINKING}" must be a text, or a list of texts')
    if len(thinking) != answers:
        raise UserError(
            f'{where}: "{_THINKING}" holds {len(thinking)} texts for {answers} answers; expected '
            "one for each"
        )
    return tuple(each.strip() for each in thinking)


def _text(values: Mapping[str, Any], name: str, where: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f'{where}: "{name}" must be a non-empty text{_not_quoted(value)}')
    return value.strip()


def _answers(values: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    """One answer, a text or in JSON a number; or a list of accepted ones."""
    value = values.get(name)
    if isinstance(value, list):
        return _texts(values, name, where)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (str(value),)
    return (_text(values, name, where),)


def _texts(values: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    items = values[name]
    if (
        not isinstance(items, list)
        or not items
        or not all(isinstance(item, str) and item.strip() for item in items)
    ):
        given = items if isinstance(items, list) else [items]
        unquoted = next(filter(None, map(_not_quoted, given)), "")
        raise UserError(f'{where}: "{name}" must be a list of one or more texts{unquoted}')
    return tuple(items)


def _not_quoted(value: object) -> str:
    """What to do about a value that would be a text in quotation marks."""
    if not isinstance(value, int | float):
        return ""
    kind = "boolean" if isinstance(value, bool) else "number"
    written = json.dumps(value)
    return f', and is the {kind} {written}; write "{written}"'


def _key(name: str) -> str:
    """A column's name as it is compared: width, case and spaces around it make no difference."""
    return unicodedata.normalize("NFKC", str(name)).strip().casefold()
