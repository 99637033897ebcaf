"""Compares base, CPT and CPT+SFT on the same held-out questions and articles.

The base is loaded once; each adapter in turn is added to it and removed again.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

from peft import LoraModel, PeftModel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import PreTrainedTokenizerBase

from animelm.data.held_out import (
    ANIME_ARTICLES,
    DEFAULT_SPLIT,
    GENERAL_ARTICLES,
    SplitSettings,
)
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.errors import UserError
from animelm.evaluate.evaluation_set import EvaluationSet, prepare_evaluation
from animelm.evaluate.generate import CausalModel, answer_questions, load_for_inference
from animelm.evaluate.perplexity import Perplexity, perplexity
from animelm.evaluate.results import Result, make_result, write_results
from animelm.evaluate.settings import CompareSettings, resolve_answer_from
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
from animelm.model.lora.targets import DEFAULT_TARGETS, audit_targets
from animelm.provenance.check import (
    other_training_data,
    recorded_split,
    require_same_base,
    require_same_data,
    require_same_split,
    without_record,
)
from animelm.provenance.fingerprints import record_base, record_paths
from animelm.provenance.record import TrainingStep, read_record

__all__ = ["CompareSettings", "compare"]

RETRIEVAL = "retrieval"
_FINE_TUNED = ("sft_only", "sft")


def compare(settings: CompareSettings) -> Summary:
    """Runs the comparison; writes results.jsonl, whole or not at all.

    Raises:
        UserError: a file or folder is missing or malformed, an adapter does not fit the base,
            nothing is held out, or the output folder cannot be written.
    """
    begin = time.monotonic()
    tokenizer = load_tokenizer(settings.base)
    check_vocabulary(tokenizer, settings.base)
    split = require_trained_split(settings)
    evaluation = prepare_evaluation(settings, split, tokenizer)
    make_folder(settings.output, "--output")  # before hours of answering
    base = load_for_inference(settings.base, settings.quantization, settings.compute_type)
    results: dict[str, list[Result]] = {}
    models: dict[str, ModelSummary] = {}
    parameters: dict[str, int] = {}
    with _progress() as progress:
        for name, folder in _models(settings).items():
            with with_adapter(base, folder) as model:
                run = _ModelRun(model, tokenizer, evaluation, settings, progress, name)
                results[name] = run.answers(split.seed)
                models[name] = summarize_model(
                    results[name],
                    split.seed,
                    anime=run.perplexity(ANIME_ARTICLES),
                    general=run.perplexity(GENERAL_ARTICLES),
                )
                parameters = _trainable_parameters(model) or parameters
    summary = Summary(
        models=models,
        differences=paired_differences(results, split.seed),
        seconds=settings.seconds_before + time.monotonic() - begin,
        trainable_parameters_per_target=parameters,
        seeds=(split.seed,),
    )
    write_results(
        settings.output / "results.jsonl", (result for rows in results.values() for result in rows)
    )
    return summary


def _models(settings: CompareSettings) -> dict[str, Path | None]:
    """The adapter of each model that is compared; None for the base."""
    retrieval = {RETRIEVAL: None} if settings.retrieval else {}
    return {"base": None, **settings.adapters, **retrieval}


def require_trained_split(settings: CompareSettings) -> SplitSettings:
    """The split with which all adapters of a comparison were trained.

    An adapter without a record, from another tool, is compared with the settings as given. Where no
    adapter has rehearsed anything general, no general subject counts as rehearsed.

    Raises:
        UserError: an adapter is missing, is not what its setting says, or was trained on another
            base, other data or with another split than the settings say.
    """
    for folder in settings.adapters.values():  # before the base is loaded
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected an adapter that a fit has written")
    records = {folder: read_record(folder) for folder in settings.adapters.values()}
    recorded = recorded_split(records)
    if any(records.values()):
        base, data = record_base(settings.base), record_paths(settings.data_paths)
        for folder, steps in records.items():
            require_same_base(folder, steps, base)
            require_same_data(folder, steps, data)
            require_same_split(folder, steps, settings.given_split)
            for sentence in other_training_data(folder, steps, data):
                warnings.warn(sentence, stacklevel=2)
    for name, folder in settings.adapters.items():
        if records[folder]:
            _require_role(name, folder, records[folder])
        else:
            warnings.warn(without_record(folder), stacklevel=2)
    values = asdict(DEFAULT_SPLIT)
    if all(records.values()):  # also without adapters
        values["held_out_subjects"] = None
    given = {name: value for name, value in settings.given_split.items() if value is not None}
    return SplitSettings(**{**values, **recorded, **given})


def _require_role(name: str, folder: Path, steps: Sequence[TrainingStep]) -> None:
    """Checks that an adapter is what it is compared as: a control that had CPT would be none.

    Raises:
        UserError: it is not.
    """
    trained = " + ".join(step.step for step in steps)
    fine_tuned = any(step.step == "sft" for step in steps)
    fits = {
        "cpt": not fine_tuned,
        "sft_only": len(steps) == 1 and steps[0].init_adapter is None,
        "sft": len(steps) > 1 or steps[0].init_adapter is not None,
    }
    expected = {
        "cpt": "one that was not fine-tuned (no step sft)",
        "sft_only": "one that was fine-tuned from the base alone",
        "sft": "one that began from another adapter (one that did not is an sft_only_adapter)",
    }
    if not fits[name]:
        raise UserError(
            f"{name}_adapter {folder}: its record says {trained}; expected {expected[name]}"
        )


class _ModelRun:
    """The evaluation of one model, with its line in the progress display."""

    def __init__(
        self,
        model: CausalModel,
        tokenizer: PreTrainedTokenizerBase,
        evaluation: EvaluationSet,
        settings: CompareSettings,
        progress: Progress,
        name: str,
    ):
        self._model, self._tokenizer, self._evaluation = model, tokenizer, evaluation
        self._settings, self._progress, self._name = settings, progress, name
        self._task = progress.add_task(name, total=evaluation.steps)

    def answers(self, seed: int) -> list[Result]:
        """Answers every question and scores the answers, in the order of the evaluation set."""
        answer_from = resolve_answer_from(
            self._settings.answer_from, fine_tuned=self._name in _FINE_TUNED
        )
        answers = answer_questions(
            self._model,
            self._tokenizer,
            self._evaluation.question_batches(answer_from, self._name == RETRIEVAL),
            self._settings.max_new_tokens,
            progress=self._advance,
            max_thinking_tokens=self._settings.max_thinking_tokens,
        )
        score = self._evaluation.distractors.score
        # Batches are ordered by the length of their prompts, which retrieval makes longer.
        results = {
            (answer.held_out_set, answer.record.id): make_result(
                self._name, answer, score(answer.output, answer.record), seed
            )
            for answer in answers
        }
        return [
            results[name, record.id]
            for name, records in self._evaluation.questions.items()
            for record in records
        ]

    def perplexity(self, name: str) -> Perplexity | None:
        """Perplexity on a set of held-out articles; None where there are none."""
        if self._name == RETRIEVAL:
            return None  # no article is retrieved for an article
        articles = self._evaluation.articles.get(name)
        return perplexity(self._model, articles, progress=self._advance) if articles else None

    def _advance(self, steps: int) -> None:
        self._progress.advance(self._task, steps)


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


def _trainable_parameters(model: CausalModel) -> dict[str, int]:
    """Number of parameters of the adapter by target; empty for the base."""
    if not isinstance(model, PeftModel):
        return {}
    counts = audit_targets(model, DEFAULT_TARGETS).per_target
    return {target: count for target, count in counts.items() if count}
