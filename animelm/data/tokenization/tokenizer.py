"""The tokenizer of the base, and encoding of text that can never become a control token."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from animelm.errors import UserError
from animelm.hub import download, require_hub_name
from animelm.shipped import find_shipped

_FILES = ["tokenizer*.json", "special_tokens_map.json", "chat_template.jinja"]
_LARGEST_GROWTH = 64
_DOCUMENT_END = "<|endoftext|>"


def load_tokenizer(base: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer.json of a base: a folder, or a name on the Hugging Face hub.

    The class named in tokenizer_config.json is ignored: the Llama class of transformers would
    replace the normalizer and pre-tokenizer of the file, which llm-jp needs.

    Raises:
        UserError: there is no such folder, it cannot be fetched, or it holds no tokenizer.json
            that can be used.
    """
    folder = find_shipped(Path(base))
    if not folder.is_dir():
        require_hub_name(base)
        folder = download(base, _FILES)
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
        _require_bounded(tokenizer)
        return tokenizer
    except Exception as error:  # the library of tokenizers raises no narrower one
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"base {base!r}: its tokenizer cannot be loaded: {reason} (expected a tokenizer.json)"
        ) from error


def _require_bounded(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises a ValueError if it would make far more out of a text than it is, or has no length."""
    if not isinstance(tokenizer.model_max_length, int | float):
        raise ValueError(f"model_max_length is {tokenizer.model_max_length!r:.80}")
    backend = tokenizer.backend_tokenizer
    for part in (backend.normalizer, backend.decoder):
        if part is not None and _growth(json.loads(part.__getstate__())) > _LARGEST_GROWTH:
            raise ValueError(f"it makes a text more than {_LARGEST_GROWTH} times as long")


def _growth(part: dict[str, Any]) -> float:
    """How many times as long the replacements of a normalizer or decoder can make a text."""
    steps = part.get("normalizers") or part.get("decoders") or []
    growth = math.prod(map(_growth, steps))
    if part.get("type") == "Replace":
        replaced = len(part["pattern"].get("String", "")) or 1  # a pattern may match one character
        growth *= max(1.0, len(part["content"]) / replaced)
    return growth


def control_token_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids of tokens with a meaning in the chat format: special ones, and added ones such as <x>.

    The token for unknown characters is not included, since any text may contain one.
    """
    added = tokenizer.added_tokens_decoder.items()
    ids = {i for i, token in added if token.special or re.fullmatch(r"<.+>", token.content)}
    return frozenset((ids | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id})


def document_end_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an article: ``<|endoftext|>`` if it exists, else ``eos_token``.

    Raises:
        UserError: the tokenizer has neither.
    """
    vocabulary = tokenizer.get_vocab()
    if _DOCUMENT_END in vocabulary:
        return vocabulary[_DOCUMENT_END]
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"the tokenizer has neither {_DOCUMENT_END} nor an eos_token; expected one of them, "
            "to end articles"
        )
    return int(tokenizer.eos_token_id)


class TextEncoder:
    """Encodes plain text without control tokens; ``<|end|>`` in it is encoded as characters.

    For byte-level BPE, ``split_special_tokens`` is enough. In general it is not: a Unigram
    vocabulary holds ``</s>`` as an ordinary piece, a normalizer may compose one, and added tokens
    that are not marked as special are still matched. Therefore the result is checked, and a text
    with a control token is encoded in two halves, recursively, until its spelling is divided.

    Args:
        tokenizer: a fast tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._control = control_token_ids(tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without any control token."""
        if not texts:
            return []
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
        return [
            ids if self._control.isdisjoint(ids) else self._encode_apart(text, ids)
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def encode_after(self, prefix: str, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text as it follows ``prefix``, without those of ``prefix``.

        A SentencePiece tokenizer marks the beginning of a text (``▁``), which must not happen after
        other text. If the first token would extend into ``prefix``, the text is encoded alone.
        """
        if not prefix:
            return self.encode(texts)
        [before] = self.encode([prefix])
        whole = self.encode([prefix + text for text in texts])
        return [
            ids[len(before) :] if ids[: len(before)] == before else self.encode([text])[0]
            for text, ids in zip(texts, whole, strict=True)
        ]

    def _encode_apart(self, text: str, ids: list[int]) -> list[int]:
        if len(text) < 2:  # a control token of one character cannot be spelt
            return [token for token in ids if token not in self._control]
        middle = len(text) // 2
        first, second = self.encode([text[:middle], text[middle:]])
        return first + second
