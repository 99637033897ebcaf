"""Finds the answer in generated tokens.

gpt-oss writes messages: ``<|channel|>analysis<|message|>thoughts<|end|>`` and then
``<|start|>assistant<|channel|>final<|message|>answer<|return|>``. Only the final channel is the
answer. Control tokens delimit the messages; they are recognized by id, never by text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from animelm.data.tokenization.chat import ChatFormat

_FINAL = "final"


@dataclass(frozen=True)
class Reply:
    """A generated reply in parts.

    Attributes:
        output: the answer, without control tokens; empty if the final channel was not reached.
        thinking: the text of other channels.
        reached_final: whether an answer was begun; always True in a format without channels.
        reached_end: whether the model ended the answer itself, within the limit.
    """

    output: str
    thinking: str
    reached_final: bool
    reached_end: bool


class ReplyReader:
    """Reads a reply token by token.

    Args:
        chat: the format of the prompt.
        prompt: token ids of the prompt; the reply continues its last message.
        longest_answer: maximum length of the answer in tokens; the rest is cut off.
    """

    def __init__(self, chat: ChatFormat, prompt: Sequence[int], longest_answer: int) -> None:
        self._chat, self._longest = chat, longest_answer
        self._answer: list[int] = []
        self._thinking: list[int] = []
        self._header: list[int] = []
        # The list that receives the next plain token; None: it is dropped.
        self._place: list[int] | None = self._answer if chat.channels is None else None
        self._ended = self._reached_end = False
        self._ends = {chat.end_token_id} | ({chat.channels.end} if chat.channels else set())
        for token in _open_message(chat, prompt):
            self.add(token)

    def add(self, token: int) -> None:
        """Reads the next token; tokens after the end are ignored."""
        if self._ended:
            return
        if token in stop_tokens(self._chat, self.in_answer):
            self._ended = True
            self._reached_end = self.in_answer and token in self._ends
        elif token in self._chat.control:
            self._turn(token)
        elif self._place is not None:
            self._place.append(token)

    def _turn(self, token: int) -> None:
        channels = self._chat.channels
        if channels is None:
            return
        header, place = self._header, self._place
        if token in (channels.start, channels.end):
            place = None
        elif token == channels.channel:
            header = place = []
        elif token == channels.message:
            name = str(self._chat.tokenizer.decode(header)).split()
            header, place = [], self._answer if name[:1] == [_FINAL] else self._thinking
        self._header, self._place = header, place

    @property
    def in_answer(self) -> bool:
        """Whether the next plain token belongs to the answer."""
        return self._place is self._answer

    @property
    def ended(self) -> bool:
        """Whether the reply has ended."""
        return self._ended

    def reply(self) -> Reply:
        """The reply so far."""
        decode = self._chat.tokenizer.decode
        return Reply(
            output=str(decode(self._answer[: self._longest])).strip(),
            thinking=str(decode(self._thinking)).strip(),
            reached_final=bool(self._answer) or self.in_answer,
            reached_end=self._reached_end and len(self._answer) <= self._longest,
        )


def read_reply(
    chat: ChatFormat, prompt: Sequence[int], tokens: Iterable[int], longest_answer: int
) -> Reply:
    """The reply of ``tokens`` after ``prompt``."""
    reader = ReplyReader(chat, prompt, longest_answer)
    for token in tokens:
        reader.add(token)
    return reader.reply()


def stop_tokens(chat: ChatFormat, in_answer: bool) -> list[int]:
    """Tokens that end the generation.

    ``<|end|>`` ends a message; generation ends with it only if that message is the answer.
    ``<|call|>`` waits for the result of a tool, and there are no tools here.
    """
    stop = [chat.end_token_id, chat.document_end_token_id]
    if chat.channels is not None:
        stop += [] if chat.channels.call is None else [chat.channels.call]
        stop += [chat.channels.end] if in_answer else []
    return list(dict.fromkeys(stop))


def _open_message(chat: ChatFormat, prompt: Sequence[int]) -> Sequence[int]:
    """The last message of the prompt, which the reply continues."""
    if chat.channels is None:
        return ()
    last = max((i for i, token in enumerate(prompt) if token == chat.channels.start), default=0)
    return prompt[last:]
