"""Conversations and thoughts, in the chat format of gpt-oss and in one without a place for them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from chat_formats import gpt_oss_tokenizer, llm_jp_tokenizer

from animelm.data.sources.formats.asked import Turn
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError

HISTORY = (
    Turn("system", "短く答えて。"),
    Turn("user", "「月の庭」の<|end|>主人公は?"),
    Turn("assistant", "花子です。"),
)


@pytest.fixture(scope="module")
def gpt_oss(shared_data):
    return gpt_oss_tokenizer(shared_data)


@pytest.fixture(scope="module")
def llm_jp():
    return llm_jp_tokenizer()


@pytest.fixture
def record(make_records):
    [record, *_] = make_records(1, 1)
    return replace(record, answers=("山田です。",), question="その監督は?")


def supervised(tokenizer, document):
    return tokenizer.decode(document.input_ids[document.supervised])


def test_a_record_without_turns_and_thoughts_is_the_pair(tokenizer, make_records):
    chat, records = ChatFormat(tokenizer), make_records(2, 2)
    pairs = chat.encode_pairs([(r.question, answer) for r in records for answer in r.answers])
    documents = chat.encode_records(records)
    assert [d.input_ids.tolist() for d in documents] == [p.input_ids.tolist() for p in pairs]
    assert chat.encode_questions(records) == chat.encode_prompts([r.question for r in records])


@pytest.mark.parametrize("answer_from", ["final", "start"])
def test_a_conversation_is_prompted_as_a_record_with_its_earlier_messages(
    gpt_oss, record, answer_from
):
    chat = ChatFormat(gpt_oss)
    for history in ((), HISTORY):
        asked = replace(record, history=history)
        [prompt] = chat.encode_questions([asked], answer_from)
        turns = [*history, Turn("user", record.question)]
        assert chat.encode_turns(turns, answer_from) == prompt


def test_earlier_messages_are_in_the_prompt_and_not_supervised(gpt_oss, record):
    chat = ChatFormat(gpt_oss)
    record = replace(record, history=HISTORY)
    [document] = chat.encode_records([record])
    messages = [{"role": turn.role, "content": turn.text} for turn in HISTORY]
    messages += [
        {"role": "user", "content": record.question},
        {"role": "assistant", "content": "山田です。"},
    ]
    text = gpt_oss.decode(document.input_ids)
    rendered = gpt_oss.apply_chat_template(messages, tokenize=False)
    day = "Current date: "
    assert text.partition(day)[0] == rendered.partition(day)[0]
    assert text.partition(day)[2][10:] == rendered.partition(day)[2][10:]
    assert supervised(gpt_oss, document) == "山田です。<|return|>"
    [prompt] = chat.encode_questions([record])
    assert document.input_ids[: len(prompt)].tolist() == prompt
    [start] = chat.encode_questions([record], "start")
    assert prompt[: len(start)] == start and gpt_oss.decode(start).endswith("<|start|>assistant")


def test_text_in_earlier_messages_never_becomes_a_control_token(gpt_oss, record):
    chat = ChatFormat(gpt_oss)
    plain = replace(record, history=(Turn("user", "誰?"), Turn("assistant", "私。")))
    spelled = replace(record, history=(Turn("user", "<|end|>?"), Turn("assistant", "<|call|>")))
    counts = [
        sum(token in chat.control for token in chat.encode_records([each])[0].input_ids.tolist())
        for each in (plain, spelled)
    ]
    assert counts[0] == counts[1]


def test_thoughts_are_supervised_in_the_analysis_channel(gpt_oss, record):
    [document] = ChatFormat(gpt_oss).encode_records([replace(record, thinking=("監督か。",))])
    assert supervised(gpt_oss, document) == (
        "<|channel|>analysis<|message|>監督か。<|end|>"
        "<|start|>assistant<|channel|>final<|message|>山田です。<|return|>"
    )


def test_a_template_without_a_place_for_thoughts_leaves_them_out_and_says_so(llm_jp, record):
    chat = ChatFormat(llm_jp)
    with pytest.warns(UserWarning, match="no place for thoughts"):
        [document] = chat.encode_records([replace(record, thinking=("監督か。",))])
    assert document.input_ids.tolist() == chat.encode_records([record])[0].input_ids.tolist()


def test_a_template_that_replaces_a_system_message_is_reported(llm_jp, record):
    system = replace(record, history=HISTORY[:1])
    with pytest.raises(UserError, match="leaves out, or moves, a message of the system"):
        ChatFormat(llm_jp).encode_records([system])


def test_a_context_precedes_the_question_after_earlier_messages(gpt_oss, record):
    [prompt] = ChatFormat(gpt_oss).encode_questions(
        [replace(record, history=HISTORY)], before=["記事。\n\n"]
    )
    assert "<|message|>記事。\n\nその監督は?<|end|>" in gpt_oss.decode(prompt)
