import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import GptOssForCausalLM, PreTrainedTokenizerBase

from animelm.data.batches.loaders import QuestionLoader
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate import generate
from animelm.evaluate.generate import answer_questions, stream_reply
from animelm.evaluate.harmony import Reply
from animelm.model.checkpoint.load import load_base

Make = Callable[..., QARecord]
QUESTIONS = (
    "主人公は?",
    "鋼の錬金術師の主人公は誰ですか?",
    "「ONE PIECE」で活躍するのは誰?",
    "誰?",
)


class ScriptedModel:
    """Says what it is expected to, and remembers how it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, continuations: list[list[int]]):
        self.training = True
        self.training_while_generating: bool | None = None
        self.stop: list[int] = []
        self.longest = 0
        self._continuations = continuations
        monkeypatch.setattr(generate, "generate_greedily", self._generate)

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def eval(self) -> None:
        self.training = False

    def _generate(
        self, model: object, prompts: list[list[int]], stop: list[int], longest: int
    ) -> list[list[int]]:
        assert model is self and len(prompts) == len(self._continuations)
        self.training_while_generating, self.stop, self.longest = self.training, stop, longest
        return self._continuations


@pytest.fixture
def chat(tokenizer: PreTrainedTokenizerBase) -> ChatFormat:
    return ChatFormat(tokenizer)


@pytest.fixture(scope="session")
def model(base: str) -> GptOssForCausalLM:
    return load_base(base, "none")


def _records(make_record: Make) -> list[QARecord]:
    return [make_record(id=str(i), question=question) for i, question in enumerate(QUESTIONS)]


def test_an_answer_ends_at_its_end_token(
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    make_record: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, more = chat.encode_text("エド"), chat.encode_text("ルフィ")
    end, document_end, pad = chat.end_token_id, chat.document_end_token_id, chat.pad_token_id
    scripts = [
        [*text, end, *more],
        [*text, document_end, *more],
        [*text, *more],
        [end],
    ]
    length = max(map(len, scripts))
    scripted = ScriptedModel(monkeypatch, [s + [pad] * (length - len(s)) for s in scripts])
    seen: list[int] = []
    loader = QuestionLoader(_records(make_record), chat, "anime_only_read")
    answers = list(answer_questions(scripted, tokenizer, loader, 20, seen.append))  # type: ignore[arg-type]
    assert [a.output for a in answers[:2]] == ["エド", "エド"]
    assert answers[2].output.startswith("エドルフィ")
    assert [a.reached_end for a in answers] == [True, False, False, True]
    assert answers[3].output == ""
    assert {a.held_out_set for a in answers} == {"anime_only_read"}
    lengths = [len(chat.encode_prompt(a.record.question)) for a in answers]
    assert lengths == sorted(lengths, reverse=True)
    assert seen == [4]
    assert scripted.longest == 20
    assert end in scripted.stop


def test_the_models_mode_is_put_back(
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    make_record: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = ScriptedModel(monkeypatch, [[chat.end_token_id]])
    list(answer_questions(scripted, tokenizer, QuestionLoader([make_record()], chat, "set")))  # type: ignore[arg-type]
    assert scripted.training_while_generating is False
    assert scripted.training is True


def test_answers_in_a_batch_are_those_given_alone_without_cache_or_padding(
    base: str,
    model: GptOssForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    make_record: Make,
) -> None:
    batches = QuestionLoader(_records(make_record), chat, "set", questions_per_batch=4)
    answers = list(answer_questions(model, tokenizer, batches, max_new_tokens=12))
    stock = GptOssForCausalLM.from_pretrained(base, attn_implementation="eager")
    for answer in answers:
        tokens = chat.encode_prompt(answer.record.question)
        start = len(tokens)
        while len(tokens) < start + 12 and tokens[-1] != chat.end_token_id:
            logits = stock(input_ids=torch.tensor([tokens]), use_cache=False).logits
            tokens.append(int(logits[0, -1].argmax()))
        assert answer.output == tokenizer.decode(tokens[start:], skip_special_tokens=True).strip()
    assert len({answer.output for answer in answers}) > 1


def test_generation_ends_when_every_row_has(
    base: str, tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, make_record: Make
) -> None:
    model = load_base(base, "none")
    bias = torch.zeros(model.config.vocab_size)
    bias[chat.end_token_id] = 1e6
    model.lm_head.bias = nn.Parameter(bias)
    passes: list[int] = []
    model.lm_head.register_forward_hook(lambda *_: passes.append(1))
    batches = QuestionLoader(_records(make_record), chat, "set")
    answers = list(answer_questions(model, tokenizer, batches, max_new_tokens=50))
    assert all(answer.reached_end and not answer.output for answer in answers)
    # The shared beginning, and the rest of the prompts in groups of similar length; nothing after.
    assert 2 <= len(passes) <= 1 + len({len(chat.encode_prompt(each)) for each in QUESTIONS})


@pytest.fixture
def thinking(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """With a template that hands over at the start of the turn, as gpt-oss's does."""
    changed = copy.deepcopy(tokenizer)
    opening = "{%- if add_generation_prompt -%}<|start|>assistant"
    before, found, _ = changed.chat_template.rpartition(opening)
    assert found
    changed.chat_template = f"{before}{opening}{{%- endif -%}}"
    return changed


def test_thoughts_are_generated_within_their_own_limit_and_are_no_answer(
    thinking: PreTrainedTokenizerBase, make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = ChatFormat(thinking)
    thoughts = "<|channel|>analysis<|message|>誰だろう<|end|>"
    final = "<|start|>assistant<|channel|>final<|message|>"
    texts = [f"{thoughts}{final}エド<|return|>", thoughts]
    written = [thinking(text, add_special_tokens=False)["input_ids"] for text in texts]
    length = max(map(len, written))
    scripted = ScriptedModel(
        monkeypatch, [ids + [chat.pad_token_id] * (length - len(ids)) for ids in written]
    )
    loader = QuestionLoader(_records(make_record)[:2], chat, "set", answer_from="start")
    answers = list(answer_questions(scripted, thinking, loader, 20, max_thinking_tokens=300))  # type: ignore[arg-type]
    assert [answer.output for answer in answers] == ["エド", ""]
    assert [answer.reached_final for answer in answers] == [True, False]
    assert [answer.reached_end for answer in answers] == [True, False]
    assert scripted.longest == 320
    assert thinking.convert_tokens_to_ids("<|end|>") not in scripted.stop


def test_behind_the_final_channel_there_is_no_thinking(
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    make_record: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = ScriptedModel(monkeypatch, [[chat.end_token_id]])
    loader = QuestionLoader([make_record()], chat, "set")
    [answer] = answer_questions(scripted, tokenizer, loader, 20, max_thinking_tokens=300)  # type: ignore[arg-type]
    assert answer.reached_final
    assert scripted.longest == 20
    assert tokenizer.convert_tokens_to_ids("<|end|>") in scripted.stop


def test_a_streamed_reply_grows_to_the_answer_that_a_batch_gives(
    model: GptOssForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    make_record: Make,
) -> None:
    [record] = _records(make_record)[:1]
    loader = QuestionLoader([record], chat, "set")
    [answer] = answer_questions(model, tokenizer, loader, max_new_tokens=12)
    seen: list[Reply] = []
    reply = stream_reply(model, chat, chat.encode_prompt(record.question), 12, 0, seen.append)
    assert (reply.output, reply.reached_end) == (answer.output, answer.reached_end)
    assert len(seen) > 1 and seen[-1] == reply
    lengths = [len(grown.output) for grown in seen]
    assert lengths == sorted(lengths)
