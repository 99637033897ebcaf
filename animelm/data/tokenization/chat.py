"""Encodes questions and answers in the chat format of the tokenizer.

The template is rendered around placeholders, and only its own text may become control tokens;
question and answer are encoded separately, as plain text.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import Document
from animelm.data.sources.formats.asked import Turn
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.tokenizer import (
    TextEncoder,
    control_token_ids,
    document_end_token_id,
)
from animelm.data.tokenization.turns import TurnEncoder
from animelm.errors import UserError
from animelm.processes import call_bounded

_RENDERING_SECONDS, _RENDERING_BYTES = 3, 256 << 20
_LONGEST_RENDERED = 1_000_000

AnswerFrom = Literal["final", "start"]
"""Where a prompt ends: at the beginning of the answer, or of the assistant's turn."""

_QUESTION, _ANSWER, _SYSTEM = "PLACEHOLDERxQUESTION", "PLACEHOLDERxANSWER", "PLACEHOLDERxSYSTEM"
# The template of gpt-oss writes the current day into its system message. With a fixed day, training
# and every later evaluation have the same prompt.
_FIXED_DAY = "{% macro strftime_now(format) %}2025-08-05{% endmacro %}"


@dataclass(frozen=True)
class _Template:
    """What decides the text around question and answer, and the tokenizer that renders it."""

    text: str
    tokenizer: PreTrainedTokenizerBase = field(compare=False, repr=False)


@lru_cache(maxsize=8)
def _rendered(template: _Template) -> tuple[str, str, str, str]:
    # A template is a program: it can loop for ever, or write a text of any length.
    return call_bounded(
        _render_around_placeholders,
        template.tokenizer,
        seconds=_RENDERING_SECONDS,
        memory=_RENDERING_BYTES,
        what="rendering the chat template",
    )


@dataclass(frozen=True)
class ChannelTokens:
    """Ids of the tokens that delimit messages and channels in the harmony format of gpt-oss.

    ``<|start|>role<|channel|>name<|message|>text<|end|>``; ``call`` ends a tool call, and is None
    if the vocabulary has no such token.
    """

    start: int
    channel: int
    message: int
    end: int
    call: int | None


class ChatFormat:
    """Encodes plain text, questions, and question-answer pairs.

    A prompt can end in two places. ``final``: at the beginning of the answer, in gpt-oss after the
    assistant's ``<|channel|>final<|message|>``. Training pairs have this form, and so have the
    prompts for a model that was fine-tuned on them. ``start``: where the template's own generation
    prompt ends, in gpt-oss after ``<|start|>assistant``. The published gpt-oss was trained to think
    in the analysis channel first, and answers best that way. In templates without channels the two
    places are the same.

    A template may write an opening text only if there is a system message, whatever its content
    (llm-jp: 以下は、タスクを説明する指示です。…). That text is part of every prompt.

    Args:
        tokenizer: a fast tokenizer with a chat template.

    Attributes:
        end_token_id: token that ends an answer (``<|return|>`` in gpt-oss, ``</s>`` in llm-jp).
        pad_token_id: token that fills the rest of a block.
        document_end_token_id: token that ends an article (``<|endoftext|>`` in gpt-oss).
        control: ids of all tokens with a meaning in the chat format.
        channels: tokens of the channels of gpt-oss; None for a vocabulary without them.

    Raises:
        UserError: there is no chat template, it does not contain question and answer once each in
            this order, or it has no token that ends an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.control = control_token_ids(tokenizer)
        self.channels = _channel_tokens(tokenizer)
        self._encoder = TextEncoder(tokenizer)
        template = repr((tokenizer.chat_template, tokenizer.special_tokens_map))
        before, between, after, opening = _rendered(_Template(template, tokenizer))
        self._before = self._encode_control(before)
        # The text after the question, for both ends of a prompt.
        self._openings = {
            "final": self._encode_control(between, _QUESTION),
            "start": self._encode_control(opening, _QUESTION),
        }
        self._question_prefix, self._answer_prefix = (
            self._plain_tail(before),
            self._plain_tail(between),
        )
        self._turns = TurnEncoder(
            lambda messages, opens: _render(tokenizer, messages, opens),
            self._encode_control,
            lambda text, before: self._encoder.encode_after(self._plain_tail(before), [text])[0],
            _opening_message(tokenizer),
        )
        self.end_token_id = self._first_control_token(after)
        self.document_end_token_id = document_end_token_id(tokenizer)
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = self.document_end_token_id if pad is None else int(pad)

    def encode_prompt(self, question: str, answer_from: AnswerFrom = "final") -> list[int]:
        """Token ids of a prompt, which ends where ``answer_from`` says."""
        return self.encode_prompts([question], answer_from)[0]

    def encode_prompts(
        self, questions: Sequence[str], answer_from: AnswerFrom = "final"
    ) -> list[list[int]]:
        """``encode_prompt`` for many questions, much faster than one by one."""
        encoded = self._encoder.encode_after(self._question_prefix, questions)
        return [[*self._before, *ids, *self._openings[answer_from]] for ids in encoded]

    def encode_pair(self, question: str, answer: str) -> Document:
        """Prompt, answer and end token, of which the answer and the end token are supervised."""
        return self.encode_pairs([(question, answer)])[0]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Document]:
        """``encode_pair`` for many pairs, much faster than one by one."""
        prompts = self.encode_prompts([question for question, _ in pairs])
        answers = self._encoder.encode_after(self._answer_prefix, [answer for _, answer in pairs])
        documents = []
        for (question, _), prompt, answer in zip(pairs, prompts, answers, strict=True):
            ids = np.array([*prompt, *answer, self.end_token_id], dtype=np.int32)
            documents.append(Document(ids, np.arange(len(ids)) >= len(prompt), question))
        return documents

    def encode_records(self, records: Sequence[QARecord]) -> list[Document]:
        """The pairs of all answers of records, after the messages and thoughts that they have.

        Of a message before the question nothing is supervised. Thoughts are supervised with the
        channel that they stand in; a template without a place for them leaves them out, with a
        warning.

        Raises:
            UserError: the template leaves out a message.
        """
        documents = self.encode_pairs(
            [(r.question, answer) for r in records for answer in r.answers]
        )
        place = 0
        for record in records:
            for number, answer in enumerate(record.answers):
                thoughts = record.thinking[number] if record.thinking else ""
                if record.history or thoughts:
                    documents[place] = self._turn(record, thoughts, answer)
                place += 1
        return documents

    def encode_questions(
        self,
        records: Sequence[QARecord],
        answer_from: AnswerFrom = "final",
        before: Sequence[str] = (),
    ) -> list[list[int]]:
        """Token ids of the prompts of records, after the messages that they have.

        Args:
            records: the questions.
            answer_from: where the prompts end.
            before: a text that precedes each question; without it the questions stand alone.
        """
        texts = [r.question for r in records]
        if before:
            texts = [text + question for text, question in zip(before, texts, strict=True)]
        prompts = self.encode_prompts(texts, answer_from)
        for i, record in enumerate(records):
            if record.history:
                turns = [*record.history, Turn("user", texts[i])]
                prompts[i] = self._turns.prompt(turns, final=answer_from == "final")
        return prompts

    def encode_turns(self, turns: Sequence[Turn], answer_from: AnswerFrom = "final") -> list[int]:
        """Token ids of the prompt of a conversation, whose last message is the user's.

        Raises:
            UserError: the template leaves out a message.
        """
        if len(turns) == 1:
            return self.encode_prompt(turns[0].text, answer_from)
        return self._turns.prompt(turns, final=answer_from == "final")

    def _turn(self, record: QARecord, thoughts: str, answer: str) -> Document:
        turns = [*record.history, Turn("user", record.question)]
        try:
            ids, prompt = self._turns.answered(turns, thoughts, answer)
        except LookupError as error:
            warnings.warn(f"{error}: only the answers are trained", stacklevel=2)
            return self._turn(record, "", answer)
        whole = np.array([*ids, self.end_token_id], dtype=np.int32)
        return Document(whole, np.arange(len(whole)) >= prompt, record.question)

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text, without control tokens."""
        return self._encoder.encode([text])[0]

    def _encode_control(self, text: str, prefix: str = "") -> list[int]:
        """Token ids of text of the template as it follows the plain text ``prefix``."""
        before, whole = (
            list(self.tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"])
            for part in (prefix, prefix + text)
        )
        if whole[: len(before)] != before:
            return self._encode_control(text)
        return whole[len(before) :]

    def _plain_tail(self, text: str) -> str:
        """The text after the last control token in ``text``."""
        spellings = [
            s for s in self.tokenizer.convert_ids_to_tokens(list(self.control)) if s in text
        ]
        return text[max((text.rfind(s) + len(s) for s in spellings), default=0) :]

    def _first_control_token(self, after: str) -> int:
        end = next((i for i in self._encode_control(after) if i in self.control), None)
        end = self.tokenizer.eos_token_id if end is None else end
        if end is None:
            raise UserError(
                "the chat template ends an answer with no control token, and the tokenizer has no "
                "eos_token; expected one of the two"
            )
        return int(end)


def _channel_tokens(tokenizer: PreTrainedTokenizerBase) -> ChannelTokens | None:
    control = control_token_ids(tokenizer)
    names = ("start", "channel", "message", "end", "call")
    ids = {
        name: i
        for name in names
        if (i := tokenizer.get_vocab().get(f"<|{name}|>")) is not None and i in control
    }
    call = ids.pop("call", None)
    return ChannelTokens(**ids, call=call) if len(ids) == len(names) - 1 else None


def _render_around_placeholders(
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[str, str, str, str]:
    """The text of the template: before the question, between question and answer, and after it.

    The fourth text follows the question in the template's generation prompt.
    """
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {tokenizer.name_or_path or 'this base'} has no chat template; "
            "questions and answers need one (chat_template.jinja)"
        )
    asked = [*_opening_message(tokenizer), {"role": "user", "content": _QUESTION}]
    try:
        text = _render(tokenizer, [*asked, {"role": "assistant", "content": _ANSWER}])
        prompt = _render(tokenizer, asked, add_generation_prompt=True)
    except (MemoryError, UserError):
        raise
    except Exception as error:  # a template can do whatever raises an error
        raise UserError(f"the chat template cannot be rendered: {error}") from error
    before, found_question, rest = text.partition(_QUESTION)
    between, found_answer, after = rest.partition(_ANSWER)
    if not (found_question and found_answer) or _QUESTION in rest or _ANSWER in after:
        raise UserError(
            "the chat template must contain the user's message and the assistant's once each, in "
            f"this order; it gives {text!r}"
        )
    return before, between, after, prompt.partition(_QUESTION)[2]


def _opening_message(tokenizer: PreTrainedTokenizerBase) -> list[dict[str, str]]:
    """A system message, if the template replaces it by a text of its own; else no message."""
    system = {"role": "system", "content": _SYSTEM}
    try:
        text = _render(tokenizer, [system, {"role": "user", "content": _QUESTION}])
    except (MemoryError, UserError):
        raise
    except Exception:  # a template may refuse system messages
        return []
    return [] if _SYSTEM in text else [system]


def _render(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, str]],
    add_generation_prompt: bool = False,
) -> str:
    text = str(
        tokenizer.apply_chat_template(
            messages,
            chat_template=_FIXED_DAY + tokenizer.get_chat_template(),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )
    )
    if len(text) > _LONGEST_RENDERED:
        raise UserError(
            f"the chat template renders a short question to {len(text):,} characters; expected at "
            f"most {_LONGEST_RENDERED:,}"
        )
    return text
