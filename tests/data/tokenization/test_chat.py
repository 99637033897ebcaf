import copy
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent))

from chat_formats import INSTRUCTION, gpt_oss_tokenizer, llm_jp_tokenizer

from animelm.data.tokenization import chat as chat_module
from animelm.data.tokenization.chat import ChannelTokens, ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
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
def test_a_template_that_cannot_serve_is_reported(tokenizer, template, expected):
    with pytest.raises(UserError, match=expected):
        ChatFormat(with_template(tokenizer, template))


def test_an_answer_ends_with_eos_where_the_template_has_no_end(tokenizer):
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert ChatFormat(with_template(tokenizer, template)).end_token_id == tokenizer.eos_token_id


# llm-jp's form


@pytest.fixture(scope="module")
def llm_jp():
    return llm_jp_tokenizer()


PAIRS = [("主人公は誰ですか?", "私です。"), ("主人公\nは 誰", "主人公 です"), ("1人?", "エド🙂")]


@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_llm_jps_form_has_the_tokens_of_the_whole_text(llm_jp, question, answer):
    """Encoded in parts, neither question nor answer may begin with the mark of a beginning."""
    whole = f"<s>{INSTRUCTION}\n\n### 指示:\n{question}\n\n### 応答:\n{answer}</s>"
    pair = ChatFormat(llm_jp).encode_pair(question, answer)
    assert pair.input_ids.tolist() == llm_jp(whole, add_special_tokens=False)["input_ids"]
    assert llm_jp.decode(pair.input_ids[pair.supervised]) == f"{answer}</s>"


def test_in_llm_jps_form_a_prompt_ends_in_the_heading_of_the_answer(llm_jp):
    chat = ChatFormat(llm_jp)
    prompt = chat.encode_prompt("誰?")
    assert llm_jp.decode(prompt).endswith("### 指示:\n誰?\n\n### 応答:\n")
    assert prompt == chat.encode_prompt("誰?", "start")
    assert chat.encode_pair("誰?", "私。").input_ids[: len(prompt)].tolist() == prompt


def test_llm_jps_tokens_with_a_meaning_are_found(llm_jp):
    chat = ChatFormat(llm_jp)
    names = (chat.end_token_id, chat.pad_token_id, chat.document_end_token_id)
    assert llm_jp.convert_ids_to_tokens(names) == ["</s>", "<PAD|LLM-jp>", "</s>"]
    assert chat.channels is None


@given(st.lists(st.sampled_from(["</s>", "<s>", "<EOD|LLM-jp>", "</", "s>", "\n", " ", "誰"])))
def test_in_llm_jps_form_text_never_becomes_a_control_token(llm_jp, parts):
    text = "".join(parts)
    pair = ChatFormat(llm_jp).encode_pair(text, text)
    control = [i for i in pair.input_ids if i in llm_jp.all_special_ids and i != 0]
    assert llm_jp.convert_ids_to_tokens(control) == ["<s>", "</s>"]
    # Where a spelling was cut apart, a space may stand; nothing else is lost or added.
    answer = llm_jp.decode(pair.input_ids[pair.supervised][:-1])
    assert answer.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("named", ["PreTrainedTokenizerFast", "LlamaTokenizerFast"])
def test_a_tokenizer_is_what_its_file_says_whatever_class_is_named(llm_jp, tmp_path, named):
    llm_jp.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | {"tokenizer_class": named}
    file.write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    loaded = load_tokenizer(str(tmp_path))
    text = "主人公は誰ですか?\n\n### 応答"
    assert loaded(text)["input_ids"] == llm_jp(text)["input_ids"]


def test_a_system_message_is_sent_to_no_template_that_shows_it_or_refuses_it(tokenizer):
    shown = ChatFormat(tokenizer).encode_prompt("誰?")
    assert "PLACEHOLDER" not in tokenizer.decode(shown)
    refusing = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        + tokenizer.chat_template
    )
    assert ChatFormat(with_template(tokenizer, refusing)).encode_prompt("誰?") == shown


# gpt-oss's form, on its real vocabulary


@pytest.fixture(scope="module")
def gpt_oss(shared_data):
    return gpt_oss_tokenizer(shared_data)


def test_gpt_oss_is_prompted_in_the_final_channel_or_at_the_start_of_its_turn(gpt_oss):
    chat = ChatFormat(gpt_oss)
    final, start = (chat.encode_prompt("誰?", place) for place in ("final", "start"))
    assert gpt_oss.convert_ids_to_tokens(final[len(start) :]) == [
        "<|channel|>",
        "final",
        "<|message|>",
    ]
    assert final[: len(start)] == start
    assert gpt_oss.decode(start).endswith("<|start|>user<|message|>誰?<|end|><|start|>assistant")
    assert "Current date: 2025-08-05\n" in gpt_oss.decode(start)
    assert "developer" not in gpt_oss.decode(start)


def test_of_gpt_oss_the_answer_and_return_alone_are_supervised(gpt_oss):
    chat = ChatFormat(gpt_oss)
    pair = chat.encode_pair("誰?<|return|>", "私。<|end|>")
    assert pair.input_ids[: -pair.supervised.sum()].tolist() == chat.encode_prompt("誰?<|return|>")
    answer = pair.input_ids[pair.supervised].tolist()
    assert gpt_oss.decode(answer) == "私。<|end|><|return|>"
    assert [token for token in answer if token in chat.control] == [200002]
    assert chat.channels == ChannelTokens(200006, 200005, 200008, 200007, 200012)


ALL = "{% for m in messages %}{{ m.content }}<|return|>{% endfor %}"
DOUBLING = "{% set n = namespace(t='a') %}" + "{% set n.t = n.t ~ n.t %}" * 25 + "{{ n.t }}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ 9 ** (9 ** 9) }}", "takes more than"),
        ("{{ 'a' * 10 ** 10 }}", "takes more than"),
        ("{{ 'a' | center(10 ** 10) }}", "takes more than"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "more than",
        ),
        (DOUBLING, "renders a short question to 33,554,"),
        ("{{ 1 / 0 }}", "cannot be rendered: division by zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "cannot be rendered"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be rendered"),
        ("{{ messages.append(1) }}", "cannot be rendered"),
    ],
)
def test_a_template_that_does_not_end_in_time_or_space_is_refused(
    tokenizer, monkeypatch, template, told
):
    monkeypatch.setattr(chat_module, "_RENDERING_SECONDS", 1)
    hostile = copy.deepcopy(tokenizer)
    hostile.chat_template = template + ALL
    with pytest.raises(UserError, match=told):
        ChatFormat(hostile)
