"""The embedded base's tokenizer: byte-level BPE that never merges across a change of script.

A title must be the same tokens in every sentence, or what was learned in one wording cannot be
asked for in another. So text is cut first into runs of katakana, of kanji and of Latin letters,
single digits, single hiragana and single signs; merges happen only inside a run.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from animelm.sample.invented import common_kanji

CONTROL_TOKENS = [
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
    "<|start|>", "<|end|>", "<|message|>", "<|call|>",
]  # fmt: skip
_RUNS = r"[ァ-ヺー]+|[一-鿿々〆]+|[A-Za-z]+|\s|[\s\S]"
_KANA = [chr(code) for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB))]
# Times each common character is shown to the trainer, so that each becomes one token.
_CHARACTER_BOOST = 200
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}"
    "<|start|>assistant<|channel|>final<|message|>{{ message.content }}<|return|>"
    "{%- else -%}"
    "<|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|start|>assistant<|channel|>final<|message|>{%- endif -%}"
)


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int, folder: Path
) -> PreTrainedTokenizerFast:
    """Trains on ``texts`` and writes the tokenizer with its chat template into ``folder``.

    Args:
        texts: what its merges are learned from; the common characters are added.
        vocabulary_size: tokens, control tokens and bytes among them.
        folder: gets ``tokenizer.json``, ``tokenizer_config.json`` and ``chat_template.jinja``.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_RUNS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_characters(texts), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|startoftext|>",
        eos_token="<|return|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return fast


def _with_characters(texts: Iterable[str]) -> Iterator[str]:
    yield from texts
    for character in (*common_kanji(), *_KANA, *"「」『』、。！？・ー～"):
        # Blanks keep the characters apart: no merge may join two of them.
        yield (character + " ") * _CHARACTER_BOOST
