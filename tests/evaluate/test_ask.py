import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from animelm.data.sources.formats.asked import Turn
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate import ask as ask_module
from animelm.evaluate.ask import AskedModels, AskSettings
from animelm.evaluate.harmony import Reply
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import TrainingStep, write_record


def test_an_adapter_of_another_base_is_refused_before_the_base_is_loaded(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_module, "load_for_inference", pytest.fail)
    other = replace(record_base(base), name="another/base", config_sha256="x" * 64)
    write_record(tmp_path, [TrainingStep("sft", "0.1.0", 1, other)])
    message = rf"was trained on the base another/base \(config x{{12}}\), and {base} is another one"
    with pytest.raises(UserError, match=message):
        AskedModels(AskSettings(base, adapter=tmp_path))


def test_an_adapter_that_is_missing_is_named(base: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        AskedModels(AskSettings(base, adapter=tmp_path / "nowhere"))


def script(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> list[list[int]]:
    """Lets the model give these replies one after another; returns its prompts."""
    prompts: list[list[int]] = []
    left = iter(replies)

    def stream(model: object, chat: object, prompt: list[int], *rest: Any) -> Reply:
        prompts.append(prompt)
        reply = next(left)
        rest[2](reply)
        return reply

    monkeypatch.setattr(ask_module, "stream_reply", stream)
    return prompts


def test_a_conversation_holds_the_earlier_turns_until_it_begins_anew(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = script(monkeypatch, *[Reply("エドです。", "", True, True)] * 4)
    models = AskedModels(AskSettings(base, conversation=True))
    chat = ChatFormat(load_tokenizer(base))
    for question in ("主人公は?", "弟は?"):
        models.answer("base", question)
    models.forget()
    models.answer("base", "弟は?")
    answered = [Turn("user", "主人公は?"), Turn("assistant", "エドです。"), Turn("user", "弟は?")]
    alone = chat.encode_prompt("弟は?", "start")
    assert prompts == [
        chat.encode_prompt("主人公は?", "start"),
        chat.encode_turns(answered, "start"),
        alone,
    ]


def test_without_a_conversation_each_question_stands_alone(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = script(monkeypatch, *[Reply("エドです。", "", True, True)] * 2)
    models = AskedModels(AskSettings(base))
    models.answer("base", "主人公は?")
    models.answer("base", "主人公は?")
    assert prompts[0] == prompts[1]


def test_the_oldest_turns_leave_a_conversation_that_outgrows_the_context(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    config, context = tmp_path / "config.json", 1024
    values = json.loads(config.read_text()) | {"max_position_embeddings": context}
    config.write_text(json.dumps(values))
    prompts = script(monkeypatch, *[Reply("エドです。" * 40, "", True, True)] * 9)
    models = AskedModels(AskSettings(str(tmp_path), conversation=True, max_new_tokens=64))
    for _ in range(9):
        models.answer("base", "主人公は?")
    lengths = [len(prompt) + 64 for prompt in prompts]
    assert context / 2 < max(lengths) <= context
    with pytest.raises(UserError, match="expected less than 1,024"):
        models.answer("base", "誰?" * 2000)


def test_what_is_shown_of_an_unfinished_answer_is_whole_characters(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, Reply("エド\ufffd", "誰\ufffd", True, False))
    seen: list[Reply] = []
    reply = AskedModels(AskSettings(base)).answer("base", "主人公は?", seen.append)
    assert [reply, *seen] == [Reply("エド", "誰", True, False)] * 2


def test_a_comparison_needs_an_adapter() -> None:
    with pytest.raises(UserError, match="--compare needs an adapter"):
        AskSettings("base", compare=True)
