"""Tokenizers with the chat forms of the published bases, small or with their real vocabulary."""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

# gpt-oss: a system message of the template's own, instructions as developer message, channels.
HARMONY_TEMPLATE = (
    "<|start|>system<|message|>Knowledge cutoff: 2024-06\n"
    "Current date: {{ strftime_now('%Y-%m-%d') }}\n\nReasoning: medium\n\n"
    "# Valid channels: analysis, commentary, final.<|end|>"
    "{% for message in messages %}"
    "{% if message.role == 'system' %}"
    "<|start|>developer<|message|># Instructions\n\n{{ message.content }}<|end|>"
    "{% elif message.role == 'user' %}<|start|>user<|message|>{{ message.content }}<|end|>"
    "{% else %}"
    "{% if loop.last and message.thinking %}"
    "<|start|>assistant<|channel|>analysis<|message|>{{ message.thinking }}<|end|>{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ message.content }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
# llm-jp: headings instead of control tokens, and one fixed sentence for whatever system message.
INSTRUCTION = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
LLM_JP_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}" + INSTRUCTION + "{% endif %}"
    "{% if message.role == 'user' %}{{ '\n\n### 指示:\n' ~ message.content }}{% endif %}"
    "{% if message.role == 'assistant' %}"
    "{{ '\n\n### 応答:\n' ~ message.content ~ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\n\n### 応答:\n' }}{% endif %}"
)
_LLM_JP_SPECIAL = (
    "<unk>",
    "<s>",
    "</s>",
    "<MASK|LLM-jp>",
    "<PAD|LLM-jp>",
    "<CLS|LLM-jp>",
    "<SEP|LLM-jp>",
    "<EOD|LLM-jp>",
)
_WORDS = ("\n\n###", "▁以下は", "以下は", "指示", "応答", "主人公", "ですか", "です", "▁主人公")


def gpt_oss_tokenizer(shared_data: Path) -> PreTrainedTokenizerFast:
    """gpt-oss's real vocabulary of 201,088 ids with a harmony template."""
    file = shared_data / "tokenizers" / "gpt-oss" / "tokenizer.json"
    return PreTrainedTokenizerFast(
        tokenizer_file=str(file),
        bos_token="<|startoftext|>",
        eos_token="<|return|>",
        pad_token="<|endoftext|>",
        chat_template=HARMONY_TEMPLATE,
    )


def llm_jp_tokenizer() -> PreTrainedTokenizerFast:
    """A few words in the manner of llm-jp's: Unigram with bytes, ``▁`` where a text begins."""
    letters = sorted({*INSTRUCTION, *"指示応答主人公は誰ですか?私。#:<|/s>\n▁"} - {" "})
    scores = {name: 0.0 for name in _LLM_JP_SPECIAL}
    scores |= {f"<0x{byte:02X}>": -10.0 for byte in range(256)}
    scores |= {letter: -5.0 for letter in letters} | {word: -6.0 for word in _WORDS}
    backend = Tokenizer(models.Unigram(list(scores.items()), unk_id=0, byte_fallback=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"(?<!\n)^"), "▁"), normalizers.Replace(Regex(" "), "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Replace(Regex("▁"), " "),
            decoders.Fuse(),
            decoders.Replace(Regex(r"(?<!\n)^ "), ""),
        ]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    backend.add_special_tokens(list(_LLM_JP_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<PAD|LLM-jp>",
        cls_token="<CLS|LLM-jp>",
        sep_token="<SEP|LLM-jp>",
        mask_token="<MASK|LLM-jp>",
        chat_template=LLM_JP_TEMPLATE,
    )
