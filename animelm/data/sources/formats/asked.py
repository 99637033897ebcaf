"""What a file of questions says, before anything is derived from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """An earlier message of a conversation.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        text: what it says.
    """

    role: str
    text: str


class Row(NamedTuple):
    """One object of a JSON file, or one row of a table.

    Attributes:
        where: this row, at the beginning of a message about it.
        place: this row, in a message about another row.
        values: values by column.
    """

    where: str
    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One question and one or more of its answers, as a file gives them.

    Attributes:
        where: its place, at the beginning of a message about it.
        place: its place, in a message about another one.
        question: the question.
        answers: accepted answers.
        thinking: the thoughts before each answer; empty texts where there are none.
        history: the messages before the question.
        conversation: name of the conversation, whose questions belong together; empty for a
            question that stands alone.
        given: what else is known of it: ``id``, ``work``, ``fact``, ``direction``, ``wording`` and
            ``domain`` as texts, ``keys`` as a tuple of texts.
    """

    where: str
    place: str
    question: str
    answers: tuple[str, ...]
    thinking: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()
    conversation: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
