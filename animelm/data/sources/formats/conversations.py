"""Conversations: ``messages`` as OpenAI has them, ``conversations`` as ShareGPT has them."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from animelm.data.sources.formats.asked import Asked, Row, Turn
from animelm.errors import UserError

CONVERSATION_KEYS = ("messages", "conversations")
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
_THOUGHTS = ("thinking", "reasoning_content", "reasoning")
_THINK = re.compile(r"\s*<think>(.*?)</think>\s*(.*)", re.DOTALL)


def read_conversation(row: Row, messages: Any, system: Any) -> list[Asked]:
    """Each user's message with the assistant's reply to it, and all messages before it.

    Thoughts are taken from a message's ``thinking`` or ``reasoning_content``, from a message on the
    ``analysis`` channel, or from ``<think>…</think>`` at the begin of a reply.

    Args:
        row: where the conversation stands.
        messages: the list of messages.
        system: a system prompt beside the list; None without one.

    Raises:
        UserError: something else than texts of system, user and assistant in turn.
    """
    turns = list(_with_thoughts(messages, row.where))
    if isinstance(system, str) and system.strip():
        turns.insert(0, (Turn("system", system.strip()), ""))
    asked: list[Asked] = []
    history: list[Turn] = []
    for number, (turn, thoughts) in enumerate(turns, start=1):
        expected = _expected_before(turn.role)
        before = history[-1].role if history else None
        if before not in expected:
            raise UserError(
                f"{row.where}: message {number} is of the {turn.role} after "
                f"{f'one of the {before}' if before else 'nothing'}; expected the user and the "
                "assistant in turn, after a system message at most"
            )
        if turn.role == "assistant":
            asked.append(
                Asked(
                    row.where,
                    row.place,
                    history[-1].text,
                    (turn.text,),
                    (thoughts,) if thoughts else (),
                    tuple(history[:-1]),
                )
            )
        history.append(turn)
    if not history or history[-1].role != "assistant":
        raise UserError(f"{row.where}: the conversation does not end with an answer")
    if len(asked) == 1:
        return asked
    return [_of_conversation(each, row.where) for each in asked]


def turns_of(messages: Any, where: str) -> Iterator[Turn]:
    """The messages as turns, without their thoughts.

    Raises:
        UserError: a message is not a text of system, user or assistant.
    """
    return (turn for turn, _ in _with_thoughts(messages, where))


def _of_conversation(asked: Asked, name: str) -> Asked:
    return Asked(
        asked.where,
        asked.place,
        asked.question,
        asked.answers,
        asked.thinking,
        asked.history,
        conversation=name,
    )


def _expected_before(role: str) -> tuple[str | None, ...]:
    return {
        "system": (None,),
        "user": (None, "system", "assistant"),
        "assistant": ("user",),
    }[role]


def _with_thoughts(messages: Any, where: str) -> Iterator[tuple[Turn, str]]:
    if not isinstance(messages, list) or not messages:
        raise UserError(f"{where}: expected a list of messages")
    analysis: list[str] = []
    for number, message in enumerate(messages, start=1):
        place = f"{where}: message {number}"
        if not isinstance(message, dict):
            raise UserError(f"{place}: expected an object with role and content, or from and value")
        name = message.get("role", message.get("from"))
        role = _ROLES.get(str(name).casefold())
        if role is None:
            raise UserError(
                f"{place}: the role is {name!r}; expected system, user or assistant (in ShareGPT "
                "human or gpt)"
            )
        text = _content(message.get("content", message.get("value")), place)
        if role == "assistant" and message.get("channel") == "analysis":
            analysis.append(text)
            continue
        thoughts = next((str(message[key]) for key in _THOUGHTS if message.get(key)), "")
        if role == "assistant" and (match := _THINK.fullmatch(text)):
            thoughts, text = thoughts or match[1], match[2]
        if not text.strip():
            raise UserError(f"{place}: the text is empty")
        yield Turn(role, text.strip()), "\n".join([*analysis, thoughts]).strip()
        analysis = []
    if analysis:
        raise UserError(f"{where}: the conversation ends with thoughts, without an answer")


def _content(content: Any, place: str) -> str:
    """The text of a message: a text, or a list of parts of the type text."""
    parts: Iterable[Any] = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{place}: the content must be a text")
    return "".join(map(str, texts))
