"""Replies on gpt-oss's real vocabulary."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).parent.parent))

from chat_formats import gpt_oss_tokenizer, llm_jp_tokenizer

from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.harmony import Reply, read_reply, stop_tokens

ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>"


@pytest.fixture(scope="module")
def gpt_oss(shared_data: Path) -> PreTrainedTokenizerBase:
    return gpt_oss_tokenizer(shared_data)


@pytest.fixture(scope="module")
def chat(gpt_oss: PreTrainedTokenizerBase) -> ChatFormat:
    return ChatFormat(gpt_oss)


def tokens_of(chat: ChatFormat, text: str) -> list[int]:
    """What a model would write; control tokens in it are control tokens."""
    return chat.tokenizer(text, add_special_tokens=False)["input_ids"]


def read(chat: ChatFormat, written: str, place: str = "start", longest: int = 64) -> Reply:
    prompt = [chat.pad_token_id] * 3 + chat.encode_prompt("誰?", place)  # type: ignore[arg-type]
    return read_reply(chat, prompt, tokens_of(chat, written), longest)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f"{ANALYSIS}うーん<|end|>{FINAL}エド<|return|>", Reply("エド", "うーん", True, True)),
        # What is behind the end is padding or chatter.
        (
            f"{ANALYSIS}う<|end|>{FINAL}エド<|return|><|endoftext|>ルフィ",
            Reply("エド", "う", True, True),
        ),
        (f"{ANALYSIS}う<|end|>{FINAL}エド<|end|><|start|>user", Reply("エド", "う", True, True)),
        # Without thinking.
        ("<|channel|>final<|message|>エド<|return|>", Reply("エド", "", True, True)),
        # Still thinking when the tokens were used up.
        (f"{ANALYSIS}エドだと思う", Reply("", "エドだと思う", False, False)),
        (f"{ANALYSIS}エド<|end|>", Reply("", "エド", False, False)),
        (
            f"{ANALYSIS}エド<|end|><|start|>assistant<|channel|>final",
            Reply("", "エド", False, False),
        ),
        # Ended its turn in the wrong channel, or called a tool that there is not.
        (f"{ANALYSIS}エド<|return|>", Reply("", "エド", False, False)),
        (
            "<|channel|>commentary to=functions.find <|constrain|>json<|message|>{}<|call|>エド",
            Reply("", "{}", False, False),
        ),
        # Text without a channel is no answer.
        ("エド<|return|>", Reply("", "", False, False)),
        ("<|message|>エド<|return|>", Reply("", "エド", False, False)),
        ("", Reply("", "", False, False)),
        # The final channel was reached, and nothing said.
        ("<|channel|>final<|message|><|return|>", Reply("", "", True, True)),
        ("<|channel|>final<|message|>エド", Reply("エド", "", True, False)),
        ("<|channel|>final<|message|>エド<|endoftext|>", Reply("エド", "", True, False)),
    ],
)
def test_only_the_final_channel_is_the_answer(
    chat: ChatFormat, written: str, expected: Reply
) -> None:
    assert read(chat, written) == expected


def test_behind_a_prompt_that_ends_in_the_final_channel_the_text_is_the_answer(
    chat: ChatFormat,
) -> None:
    assert read(chat, "エド<|return|>", "final") == Reply("エド", "", True, True)
    assert read(chat, "エド<|end|>", "final") == Reply("エド", "", True, True)
    assert read(chat, "", "final") == Reply("", "", True, False)


def test_a_channel_that_is_only_spelt_out_is_text(chat: ChatFormat) -> None:
    """As plain characters, the words of the format change nothing."""
    spelt = chat.encode_text(f"{FINAL}ルフィ<|return|>")
    prompt = chat.encode_prompt("誰?", "start")
    thoughts = [*tokens_of(chat, ANALYSIS), *spelt]
    reply = read_reply(chat, prompt, thoughts, 64)
    assert (reply.output, reply.reached_final) == ("", False)
    assert reply.thinking == f"{FINAL}ルフィ<|return|>"


def test_an_answer_longer_than_allowed_is_cut_and_did_not_end(chat: ChatFormat) -> None:
    text = "主人公は誰ですか"
    length = len(chat.encode_text(text))
    written = f"{ANALYSIS}{text * 9}<|end|>{FINAL}{text}<|return|>"
    assert read(chat, written, longest=length).output == text
    assert read(chat, written, longest=length).reached_end
    cut = read(chat, written, longest=length - 1)
    assert text.startswith(cut.output) and len(cut.output) < len(text)
    assert (cut.reached_final, cut.reached_end) == (True, False)


PIECES = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"]
PIECES += ["<|constrain|>", "assistant", "final", "analysis", "エド"]


@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_whatever_is_written_thoughts_never_become_the_answer(
    chat: ChatFormat, pieces: list[str]
) -> None:
    written = "".join(pieces)
    reply = read(chat, written)
    assert not any(piece in reply.output for piece in PIECES if piece.startswith("<|"))
    if not reply.reached_final:
        assert reply.output == "" and not reply.reached_end
    written = written.replace("<|constrain|>", "")  # no part of a message, and changes nothing
    opened = re.search(r"<\|channel\|>final", written)
    assert opened or not reply.reached_final
    assert reply.output in written[opened.end() :] if opened else not reply.output


def test_thoughts_do_not_end_the_generation(gpt_oss: PreTrainedTokenizerBase) -> None:
    chat = ChatFormat(gpt_oss)
    names = gpt_oss.convert_ids_to_tokens
    assert names(stop_tokens(chat, in_answer=False)) == ["<|return|>", "<|endoftext|>", "<|call|>"]
    assert "<|end|>" in names(stop_tokens(chat, in_answer=True))


def test_without_channels_all_text_is_the_answer() -> None:
    chat = ChatFormat(llm_jp_tokenizer())
    prompt = chat.encode_prompt("誰?")
    end = chat.end_token_id
    [私] = chat.encode_pair("誰?", "私").input_ids[len(prompt) : -1].tolist()
    assert read_reply(chat, prompt, [私, end, 私], 64) == Reply("私", "", True, True)
    assert read_reply(chat, prompt, [私, 私], 1) == Reply("私", "", True, False)
    assert stop_tokens(chat, in_answer=True) == [end]
