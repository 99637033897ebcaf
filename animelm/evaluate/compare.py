"""Compares models on the same questions and articles that none was trained on.

A base is loaded once for all its adapters; each in turn is added to it and removed again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import cast

from peft import LoraModel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import PreTrainedTokenizerBase

from animelm.data.held_out import ANIME_ARTICLES, GENERAL_ARTICLES
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.evaluate.comparison.files import write_comparison
from animelm.evaluate.comparison.identity import comparison_identity
from animelm.evaluate.comparison.journal import AnswerJournal
from animelm.evaluate.comparison.model_run import ModelRun, is_finished
from animelm.evaluate.comparison.models import ComparedModel, compared_models
from animelm.evaluate.comparison.trained_split import require_trained_split
from animelm.evaluate.evaluation_set import EvaluationSet, prepare_evaluation
from animelm.evaluate.generate import CausalModel, load_for_inference
from animelm.evaluate.results import Result
from animelm.evaluate.settings import CompareSettings
from animelm.evaluate.summary import (
    ModelSummary,
    Summary,
    paired_differences,
    summarize_model,
)
from animelm.files import make_folder
from animelm.model.architecture import CausalLM
from animelm.model.checkpoint.hub import check_vocabulary
from animelm.model.lora.adapters import load_adapter

__all__ = ["CompareSettings", "compare", "require_trained_split", "with_adapter"]


def compare(settings: CompareSettings) -> Summary:
    """Runs the comparison; writes its files except summary.json.

    Answers are written as they come. A comparison with the same models, questions and settings that
    was interrupted goes on in its folder, and asks nothing again.

    Raises:
        UserError: a file or folder is missing or malformed, an adapter does not fit the base,
            nothing is held out, or the output folder cannot be written or holds unfinished answers
            of another comparison.
    """
    begin = time.monotonic()
    models = compared_models(settings)
    tokenizer = load_tokenizer(settings.base)
    check_vocabulary(tokenizer, settings.base)
    split = require_trained_split(settings)
    evaluation = prepare_evaluation(settings, split, tokenizer)
    make_folder(settings.output, "--output")  # before hours of answering
    identity = comparison_identity(settings, models, split)
    with AnswerJournal(settings.output, identity) as journal, _progress() as progress:
        _answer_all(settings, models, tokenizer, evaluation, journal, progress)
        results = _results(models, evaluation, journal)
        summary = Summary(
            models={
                name: replace(
                    _summarize(name, rows, journal),
                    retrieval=any(m.retrieval for m in models if m.name == name),
                )
                for name, rows in results.items()
            },
            differences=paired_differences(results, split.seed),
            seconds=settings.seconds_before + time.monotonic() - begin,
            trainable_parameters_per_target=_trainable_parameters(journal),
            seeds=(split.seed,),
        )
        write_comparison(settings, identity, results, journal.measured, summary.seconds)
        journal.finish()
    return summary


def _answer_all(
    settings: CompareSettings,
    models: list[ComparedModel],
    tokenizer: PreTrainedTokenizerBase,
    evaluation: EvaluationSet,
    journal: AnswerJournal,
    progress: Progress,
) -> None:
    """Has every model answer what it has not answered yet, base by base."""
    missing = [model for model in models if not is_finished(model, evaluation, journal)]
    order = list(dict.fromkeys((model.checkpoint, model.quantization) for model in missing))

    def weights(model: ComparedModel) -> int:
        return order.index((model.checkpoint, model.quantization))

    for number, members in groupby(sorted(missing, key=weights), weights):
        checkpoint, quantization = order[number]
        own = tokenizer if checkpoint == settings.base else load_tokenizer(checkpoint)
        check_vocabulary(own, checkpoint)
        base = load_for_inference(checkpoint, quantization, settings.compute_type)
        for model in members:
            task = progress.add_task(model.name, total=evaluation.steps)
            with with_adapter(base, model.adapter) as loaded:
                ModelRun(
                    model,
                    loaded,
                    own,
                    evaluation,
                    settings,
                    journal,
                    progress=partial(progress.advance, task),
                ).finish(comparable=own.get_vocab() == tokenizer.get_vocab())
        del base


def _results(
    models: list[ComparedModel], evaluation: EvaluationSet, journal: AnswerJournal
) -> dict[str, list[Result]]:
    """The answers by name of the model, in the order of the evaluation set."""
    results: dict[str, list[Result]] = {}
    for model in models:
        results.setdefault(model.name, []).extend(
            journal.results[model.name, model.run, name, record.id]
            for name, records in evaluation.questions.items()
            for record in records
        )
    return results


def _summarize(name: str, results: list[Result], journal: AnswerJournal) -> ModelSummary:
    runs = [values for (model, _), values in journal.measured.items() if model == name]

    def mean(articles: str) -> float | None:
        found = [values["perplexity"].get(articles) for values in runs]
        return sum(found) / len(found) if found and None not in found else None

    return summarize_model(results, results[0].seed, mean(ANIME_ARTICLES), mean(GENERAL_ARTICLES))


def _trainable_parameters(journal: AnswerJournal) -> dict[str, int]:
    """Number of parameters of the last adapter by target."""
    found = [values["parameters"] for values in journal.measured.values() if values["parameters"]]
    return found[-1] if found else {}


def _progress() -> Progress:
    return Progress(
        TextColumn("Evaluating {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )


@contextmanager
def with_adapter(base: CausalLM, folder: Path | None) -> Iterator[CausalModel]:
    """The base with an adapter, which is removed at the end; for None, the base itself."""
    if folder is None:
        yield base
        return
    model = load_adapter(base, folder, trainable=True)  # so that its parameters can be counted
    try:
        yield model
    finally:
        cast(LoraModel, model.base_model).unload()
