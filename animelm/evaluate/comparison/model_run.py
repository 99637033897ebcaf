"""One model of a comparison answers what it has not answered yet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import QuestionBatch
from animelm.data.sources.qa import QARecord
from animelm.data.tokenization.chat import ChatFormat
from animelm.evaluate.comparison.journal import AnswerJournal
from animelm.evaluate.comparison.likelihood import (
    Choices,
    Preference,
    preferences,
    rival_choices,
)
from animelm.evaluate.comparison.models import ComparedModel, answers_from
from animelm.evaluate.comparison.routers import RouterCounts
from animelm.evaluate.evaluation_set import EvaluationSet
from animelm.evaluate.generate import Answer, CausalModel, answer_questions
from animelm.evaluate.perplexity import perplexity
from animelm.evaluate.results import Result, make_result
from animelm.evaluate.scoring import Scores
from animelm.evaluate.settings import CompareSettings
from animelm.model.lora.targets import DEFAULT_TARGETS, audit_targets


def is_finished(model: ComparedModel, evaluation: EvaluationSet, journal: AnswerJournal) -> bool:
    """Whether a model has answered everything, and its articles were measured."""
    measured = (model.name, model.run) in journal.measured
    return measured and not any(
        _unanswered(model, evaluation, journal, name) for name in evaluation.sets
    )


def _unanswered(
    model: ComparedModel, evaluation: EvaluationSet, journal: AnswerJournal, name: str
) -> list[QARecord]:
    return [
        record
        for record in evaluation.sets[name].records
        if (model.name, model.run, name, record.id) not in journal.results
    ]


class ModelRun:
    """The evaluation of one model.

    Args:
        model: what it is.
        loaded: the model itself.
        tokenizer: its tokenizer.
        evaluation: what it is asked.
        settings: of the comparison.
        journal: holds the answers.
        progress: called with the number of questions or batches that were done.
    """

    def __init__(
        self,
        model: ComparedModel,
        loaded: CausalModel,
        tokenizer: PreTrainedTokenizerBase,
        evaluation: EvaluationSet,
        settings: CompareSettings,
        journal: AnswerJournal,
        progress: Callable[[int], object],
    ) -> None:
        self._model, self._loaded, self._tokenizer = model, loaded, tokenizer
        self._evaluation, self._settings, self._journal = evaluation, settings, journal
        self._progress = progress
        self._chat = ChatFormat(tokenizer)
        self._seed = evaluation.data.split.seed

    def finish(self, comparable: bool) -> None:
        """Answers the questions that are left, and measures the articles.

        Args:
            comparable: whether the model has the base's tokenizer, without which perplexities
                cannot be compared.
        """
        for name, given in self._evaluation.sets.items():
            records = _unanswered(self._model, self._evaluation, self._journal, name)
            self._progress(len(given.records) - len(records))
            if not records:
                continue
            if given.scoring == "multiple_choice":
                self._choose(name, records)
            else:
                self._answer(name, records)
        if (self._model.name, self._model.run) not in self._journal.measured:
            self._measure(comparable)

    def _answer(self, name: str, records: Sequence[QARecord]) -> None:
        batches = self._evaluation.question_batches(
            name, records, self._chat, answers_from(self._model), self._model.retrieval
        )
        for batch in batches:
            self._journal.add(self._answered(name, batch))

    def _answered(self, name: str, batch: QuestionBatch) -> list[Result]:
        given, distractors = self._evaluation.sets[name], self._evaluation.distractors
        answers = answer_questions(
            self._loaded,
            self._tokenizer,
            [batch],
            self._settings.max_new_tokens,
            self._progress,
            self._settings.max_thinking_tokens,
        )
        results = [
            make_result(
                self._model.name,
                answer,
                given.score(answer.output, answer.record, distractors),
                self._seed,
                self._model.run,
            )
            for answer in answers
        ]
        if self._settings.rivals and given.scoring == "keys":
            return self._with_preferences(name, batch.records, results)
        return results

    def _with_preferences(
        self, name: str, records: Sequence[QARecord], results: Sequence[Result]
    ) -> list[Result]:
        """The results, with the likelihood of the right key where it has rivals."""
        before = self._evaluation.before(name, self._model.retrieval)
        asked: dict[str, Choices] = {}
        for record in records:
            choices = rival_choices(
                record,
                self._evaluation.distractors,
                self._settings.rivals,
                before(record) + record.question,
                self._seed,
            )
            if choices is not None:
                asked[record.id] = choices
        found = dict(
            zip(asked, preferences(self._loaded, self._chat, list(asked.values())), strict=True)
        )
        return [_preferring(result, found.get(result.id)) for result in results]

    def _choose(self, name: str, records: Sequence[QARecord]) -> None:
        """Answers multiple choices by the likeliest one."""
        given, size = self._evaluation.sets[name], self._settings.questions_per_batch
        for start in range(0, len(records), size):
            members = records[start : start + size]
            choices = [given.choices[record.id] for record in members]
            asked = [
                Choices(given.before(record) + record.question, names, names)
                for record, names in zip(members, choices, strict=True)
            ]
            found = preferences(self._loaded, self._chat, asked)
            self._journal.add(
                _preferring(self._chosen(name, record, names, preference), preference)
                for record, names, preference in zip(members, choices, found, strict=True)
            )
            self._progress(len(members))

    def _chosen(
        self, name: str, record: QARecord, choices: Sequence[str], preference: Preference
    ) -> Result:
        right = float(preference.likeliest in record.answers)
        answer = Answer(record, name, preference.likeliest, reached_end=True)
        scores = Scores(right, right, right, right)
        result = make_result(self._model.name, answer, scores, self._seed, self._model.run)
        return replace(result, choices=len(choices))

    def _measure(self, comparable: bool) -> None:
        """Perplexities and the routers' choices on held-out articles; parameters of the adapter."""
        perplexities: dict[str, float] = {}
        routers = {}
        for name, batches in self._evaluation.articles.items():
            if self._model.retrieval or not comparable:  # no article is retrieved for an article
                break
            counts = RouterCounts(self._loaded)
            with counts.counting(batches) as watched:
                found = perplexity(self._loaded, watched, self._progress)
            if found is not None and math.isfinite(found.value):  # JSON has no infinity
                perplexities[name] = found.value
            if shares := counts.shares():
                routers[name] = shares
        values = {
            "perplexity": perplexities,
            "routers": routers,
            "parameters": self._trainable_parameters(),
        }
        self._journal.add_measured(self._model.name, self._model.run, values)

    def _trainable_parameters(self) -> dict[str, int]:
        """Number of parameters of the adapter by target; empty for a model without one."""
        if not isinstance(self._loaded, PeftModel):
            return {}
        counts = audit_targets(self._loaded, DEFAULT_TARGETS).per_target
        return {target: count for target, count in counts.items() if count}


def _preferring(result: Result, preference: Preference | None) -> Result:
    if preference is None:
        return result
    return replace(
        result,
        likeliest=preference.likeliest,
        confidence=preference.confidence,
        key_probability=preference.key_probability,
    )
