import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animelm.data.prompts import ChatFormat
from animelm.errors import UserError


@pytest.fixture(scope="session")
def chat(tokenizer):
    return ChatFormat(tokenizer)


def test_a_pair_is_what_the_template_renders(tokenizer, chat):
    messages = [{"role": "user", "content": "誰?"}, {"role": "assistant", "content": "私。"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(chat.encode_pair("誰?", "私。").input_ids) == rendered


def test_the_prompt_is_the_pair_up_to_the_answer(tokenizer, chat):
    pair, prompt = chat.encode_pair("誰?", "私。"), chat.encode_prompt("誰?")
    assert pair.input_ids[: len(prompt)].tolist() == prompt
    assert tokenizer.convert_ids_to_tokens(prompt)[-1] == "<|message|>"


def test_answer_and_end_token_alone_are_supervised(tokenizer, chat):
    pair = chat.encode_pair("誰?", "私。")
    assert tokenizer.decode(pair.input_ids[pair.supervised]) == "私。<|return|>"


def test_the_tokens_with_a_meaning_are_found(tokenizer, chat):
    names = (chat.end_token_id, chat.pad_token_id, chat.document_end_token_id)
    assert tokenizer.convert_ids_to_tokens(names) == [
        "<|return|>",
        "<|endoftext|>",
        "<|endoftext|>",
    ]


@given(st.lists(st.sampled_from(["<|end|>", "<|return|>", "<|start|>", "<|", "|>", "誰"])))
def test_text_never_becomes_a_control_token(tokenizer, chat, parts):
    text = "".join(parts)
    ids = chat.encode_text(text)
    assert set(ids).isdisjoint(tokenizer.all_special_ids)
    assert tokenizer.decode(ids) == text
    pair = chat.encode_pair(text, text)
    ends = (pair.input_ids == chat.end_token_id).sum()
    assert ends == 1 and pair.input_ids[-1] == chat.end_token_id


def test_control_text_leaves_the_tokens_beside_it_alone(chat):
    text = "主人公は誰ですか" * 2  # two tokens
    assert chat.encode_text(text + "<|end|>")[: len(chat.encode_text(text))] == chat.encode_text(
        text
    )


def with_template(tokenizer, template):
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def test_the_day_in_a_template_is_fixed(tokenizer):
    template = "{{ strftime_now('%Y-%m-%d') }}" + tokenizer.chat_template
    prompt = ChatFormat(with_template(tokenizer, template)).encode_prompt("誰?")
    assert tokenizer.decode(prompt).startswith("2025-08-05")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, "no chat template"),
        ("{{ messages[0].content }}", "once each"),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "once each"),
        ("{% for m in messages %}{{ m.content ", "cannot be rendered"),
    ],
)
def test_a_template_that_cannot_serve_is_told(tokenizer, template, expected):
    with pytest.raises(UserError, match=expected):
        ChatFormat(with_template(tokenizer, template))


def test_an_answer_ends_with_eos_where_the_template_has_no_end(tokenizer):
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert ChatFormat(with_template(tokenizer, template)).end_token_id == tokenizer.eos_token_id
