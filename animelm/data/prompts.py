"""Questions and answers in the tokenizer's own chat format.

The template is rendered around placeholders, and only what it adds itself may become control
tokens; question and answer are encoded apart from it, as plain text.
"""

from collections.abc import Sequence

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from animelm.data.batch import Document
from animelm.data.tokens import TextEncoder, control_token_ids, document_end_token_id
from animelm.errors import UserError

_QUESTION, _ANSWER = "PLACEHOLDERxQUESTION", "PLACEHOLDERxANSWER"
# gpt-oss's template writes the day into its system message. A fixed day gives training and every
# later evaluation the same prompt.
_FIXED_DAY = "{% macro strftime_now(format) %}2025-08-05{% endmacro %}"


class ChatFormat:
    """Encodes plain text, questions, and question-answer pairs.

    The prompt ends where the answer begins, in gpt-oss after the assistant's
    ``<|channel|>final<|message|>``, so the model is asked exactly as it was trained.

    Args:
        tokenizer: a fast tokenizer with a chat template.

    Attributes:
        end_token_id: token that ends an answer (``<|return|>`` in gpt-oss).
        pad_token_id: token that fills the rest of a block.
        document_end_token_id: token that ends an article (``<|endoftext|>`` in gpt-oss).

    Raises:
        UserError: there is no chat template, it does not show question and answer once each and in
            that order, or it has no token that ends an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._encoder = TextEncoder(tokenizer)
        before, between, after = _render_around_placeholders(tokenizer)
        self._before, self._between = self._encode_control(before), self._encode_control(between)
        self.end_token_id = self._first_control_token(after)
        self.document_end_token_id = document_end_token_id(tokenizer)
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = self.document_end_token_id if pad is None else int(pad)

    def encode_prompt(self, question: str) -> list[int]:
        """Tokens up to the place where the answer begins."""
        return self.encode_prompts([question])[0]

    def encode_prompts(self, questions: Sequence[str]) -> list[list[int]]:
        """``encode_prompt`` of many questions, many times faster than one by one."""
        return [[*self._before, *ids, *self._between] for ids in self._encoder.encode(questions)]

    def encode_pair(self, question: str, answer: str) -> Document:
        """Prompt, answer and end token; supervised are the answer and the end token."""
        return self.encode_pairs([(question, answer)])[0]

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Document]:
        """``encode_pair`` of many pairs, many times faster than one by one."""
        prompts = self.encode_prompts([question for question, _ in pairs])
        answers = self._encoder.encode([answer for _, answer in pairs])
        documents = []
        for (question, _), prompt, answer in zip(pairs, prompts, answers, strict=True):
            ids = np.array([*prompt, *answer, self.end_token_id], dtype=np.int32)
            documents.append(Document(ids, np.arange(len(ids)) >= len(prompt), question))
        return documents

    def encode_text(self, text: str) -> list[int]:
        """Tokens of plain text, none of them a control token."""
        return self._encoder.encode([text])[0]

    def _encode_control(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _first_control_token(self, after: str) -> int:
        control = control_token_ids(self.tokenizer)
        end = next((i for i in self._encode_control(after) if i in control), None)
        end = self.tokenizer.eos_token_id if end is None else end
        if end is None:
            raise UserError(
                "the chat template ends an answer with no control token, and the tokenizer has no "
                "eos_token; expected one of the two"
            )
        return int(end)


def _render_around_placeholders(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str, str]:
    """What the template writes before the question, between question and answer, and after it."""
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {tokenizer.name_or_path or 'this base'} has no chat template; "
            "questions and answers need one (chat_template.jinja)"
        )
    messages = [
        {"role": "user", "content": _QUESTION},
        {"role": "assistant", "content": _ANSWER},
    ]
    try:
        template = _FIXED_DAY + tokenizer.get_chat_template()
        text = str(tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False))
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(f"the chat template cannot be rendered: {error}") from error
    before, found_question, rest = text.partition(_QUESTION)
    between, found_answer, after = rest.partition(_ANSWER)
    if not (found_question and found_answer) or _QUESTION in rest or _ANSWER in after:
        raise UserError(
            "the chat template must show the user's message and the assistant's once each, in this "
            f"order; it gives {text!r}"
        )
    return before, between, after
