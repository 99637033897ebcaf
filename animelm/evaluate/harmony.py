"""What of the generated tokens is the answer.

gpt-oss writes messages: ``<|channel|>analysis<|message|>thoughts<|end|>`` and then
``<|start|>assistant<|channel|>final<|message|>answer<|return|>``. Only the final channel is the
answer. Where a message begins and ends is told by the ids of control tokens, never by text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from animelm.data.tokenization.chat import ChatFormat

_FINAL = "final"


@dataclass(frozen=True)
class Reply:
    """A generated reply, taken apart.

    Attributes:
        output: the answer, without control tokens; empty when the final channel was not reached.
        thinking: what was written in other channels.
        reached_final: whether an answer was begun; always, in a format without channels.
        reached_end: whether the model ended the answer itself, within the limit.
    """

    output: str
    thinking: str
    reached_final: bool
    reached_end: bool


class ReplyReader:
    """Reads a reply token by token.

    Args:
        chat: the format that the prompt was encoded in.
        prompt: the prompt's tokens; the reply goes on in the message that they leave open.
        longest_answer: tokens of the answer that count; what goes beyond is cut off.
    """

    def __init__(self, chat: ChatFormat, prompt: Sequence[int], longest_answer: int) -> None:
        self._chat, self._longest = chat, longest_answer
        self._answer: list[int] = []
        self._thinking: list[int] = []
        self._header: list[int] = []
        # Where the next plain token belongs; None: to nothing that is read.
        self._place: list[int] | None = self._answer if chat.channels is None else None
        self._ended = self._reached_end = False
        self._ends = {chat.end_token_id} | ({chat.channels.end} if chat.channels else set())
        for token in _open_message(chat, prompt):
            self.add(token)

    def add(self, token: int) -> None:
        """Reads the next token; after the end, nothing is read any more."""
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
        """Whether nothing more will be read."""
        return self._ended

    def reply(self) -> Reply:
        """What was read so far."""
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
    """The reply that ``tokens`` make behind ``prompt``."""
    reader = ReplyReader(chat, prompt, longest_answer)
    for token in tokens:
        reader.add(token)
    return reader.reply()


def stop_tokens(chat: ChatFormat, in_answer: bool) -> list[int]:
    """Tokens that end the generation.

    ``<|end|>`` ends one message: the answer's if that is the one being written, but thoughts are
    followed by more. ``<|call|>`` waits for a tool, which nobody runs here.
    """
    stop = [chat.end_token_id, chat.document_end_token_id]
    if chat.channels is not None:
        stop += [] if chat.channels.call is None else [chat.channels.call]
        stop += [chat.channels.end] if in_answer else []
    return list(dict.fromkeys(stop))


def _open_message(chat: ChatFormat, prompt: Sequence[int]) -> Sequence[int]:
    """The prompt's last message, which the reply goes on in."""
    if chat.channels is None:
        return ()
    last = max((i for i, token in enumerate(prompt) if token == chat.channels.start), default=0)
    return prompt[last:]
