"""Lets models answer tasks of lm-evaluation-harness."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.compare import with_adapter
from animelm.evaluate.comparison.environment import describe_environment
from animelm.evaluate.comparison.models import ComparedModel, answers_from, compared_models
from animelm.evaluate.generate import CausalModel, load_for_inference
from animelm.evaluate.harness.settings import HarnessSettings
from animelm.evaluate.harness.tasks import find_tasks
from animelm.evaluate.settings import CompareSettings
from animelm.files import make_folder, write_whole
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.provenance.check import require_same_base
from animelm.provenance.fingerprints import record_base
from animelm.provenance.record import read_record

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

RESULTS = "harness.json"
_BOOTSTRAPS = 1000
Scores = dict[str, dict[str, Any]]
"""What the harness measured, by task and metric."""


def run_harness(settings: HarnessSettings) -> dict[str, Scores]:
    """Asks every model every task; writes harness.json, and each answer.

    Returns:
        The scores of each model by its name.

    Raises:
        UserError: the harness, a task, a model or an adapter is missing or malformed, an adapter
            was trained on another base, or the output cannot be written.
    """
    models = _models(settings)
    manager = find_tasks(settings.tasks, settings.task_folder)
    make_folder(settings.output, "--output")  # before hours of answering
    found = {name: _ask(settings, name, model, manager) for name, model in models.items()}
    content = {
        "models": {name: asdict(model) for name, model in models.items()},
        "tasks": settings.tasks,
        "limit": settings.limit,
        "num_fewshot": settings.num_fewshot,
        "chat": settings.chat,
        "results": found,
        **describe_environment(),
    }
    _write_json(settings.output / RESULTS, content)
    return found


def _models(settings: HarnessSettings) -> dict[str, ComparedModel]:
    """The models by name; of several adapters of a row, each has a name of its own.

    Raises:
        UserError: two models have one name, one is to read articles, or an adapter was trained on
            another base.
    """
    given = CompareSettings(
        settings.base,
        models={"base": None} if settings.models is None else settings.models,
        answer_from=settings.answer_from,
        quantization=settings.quantization,
    )
    models: dict[str, ComparedModel] = {}
    for model in compared_models(given):
        name = f"{model.name} {model.run + 1}" if model.run else model.name
        if name in models:
            raise UserError(f"models: two are called {name!r}; give one of them another name")
        if model.retrieval:
            raise UserError(f"models.{name}: tasks have no articles for retrieval; leave it out")
        models[name] = model
        if model.adapter and (steps := read_record(model.adapter)):
            require_same_base(model.adapter, steps, record_base(model.checkpoint))
    return models


def _ask(
    settings: HarnessSettings, name: str, model: ComparedModel, manager: "TaskManager"
) -> Scores:
    from lm_eval.evaluator import simple_evaluate

    tokenizer = load_tokenizer(model.checkpoint)
    check_vocabulary(tokenizer, model.checkpoint)
    base = load_for_inference(model.checkpoint, model.quantization, settings.compute_type)
    with with_adapter(base, model.adapter) as loaded:
        found = simple_evaluate(
            model=harness_model(loaded, tokenizer, model, settings.batch_size),
            tasks=settings.tasks,
            task_manager=manager,
            limit=settings.limit,
            num_fewshot=settings.num_fewshot,
            apply_chat_template=settings.chat,
            bootstrap_iters=_BOOTSTRAPS,
        )
    assert found is not None  # None on all processes but the first
    for task, samples in found["samples"].items():
        lines = (json.dumps(each, ensure_ascii=False, default=str) for each in samples)
        folder = settings.output / name
        make_folder(folder, "--output")
        write_whole(folder / f"samples_{task}.jsonl", "".join(f"{line}\n" for line in lines))
    return {
        task: {metric: _plain(value) for metric, value in scores.items()}
        for task, scores in found["results"].items()
    }


def harness_model(
    loaded: CausalModel,
    tokenizer: PreTrainedTokenizerBase,
    model: ComparedModel,
    batch_size: int,
) -> "HFLM":
    """The harness's own model for transformers, whose prompts end where the model's do.

    Args:
        loaded: the model, on its device.
        tokenizer: its tokenizer.
        model: what it is.
        batch_size: prompts in one pass.
    """
    from lm_eval.models.huggingface import HFLM

    class AdaptedModel(HFLM):
        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            prompt = super().apply_chat_template(chat_history, add_generation_prompt)
            return prompt + ending if add_generation_prompt else prompt

    chat = ChatFormat(tokenizer)
    ending = _ending(chat) if answers_from(model) == "final" else ""
    if isinstance(loaded, PeftModel):
        loaded.requires_grad_(False)
    loaded.eval()
    return AdaptedModel(
        pretrained=loaded,
        tokenizer=tokenizer,
        batch_size=batch_size,
        # What a model thinks before its last message is no part of its answer.
        think_end_token=chat.channels.message if chat.channels else None,
    )


def _ending(chat: ChatFormat) -> str:
    """What follows the template's own generation prompt where an answer begins at once."""
    start, final = (chat.encode_prompt("", each) for each in ("start", "final"))
    return str(chat.tokenizer.decode(final[len(start) :]))


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python."""
    return value.item() if hasattr(value, "item") else value


def _write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, ensure_ascii=False, indent=1, default=str)
    write_whole(path, text + "\n")
