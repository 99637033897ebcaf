"""The questions and articles on which every model of a comparison is evaluated."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.batches.batch import QuestionBatch
from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.domain import DomainData
from animelm.data.held_out import TRAINED, SplitSettings
from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.qa import QARecord
from animelm.data.split import subsample
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.errors import UserError
from animelm.evaluate.comparison.own_sets import read_sets
from animelm.evaluate.scoring import Distractors
from animelm.evaluate.settings import CompareSettings
from animelm.evaluate.standard_sets import QuestionSet


@dataclass(frozen=True)
class EvaluationSet:
    """Questions and articles that no model was trained on, and what it recalls of training.

    Attributes:
        data: the data they come from.
        sets: the questions of each set that has one: those that were trained on, the held-out
            ones, and the comparison's own.
        questions_per_batch: questions answered together.
        distractors: what the answers are scored against.
        articles: blocks of each set of held-out articles that is not empty, by its name.
    """

    data: DomainData
    sets: Mapping[str, QuestionSet]
    questions_per_batch: int
    distractors: Distractors
    articles: Mapping[str, PackedLoader]

    @property
    def questions(self) -> dict[str, Sequence[QARecord]]:
        """The questions of each set."""
        return {name: each.records for name, each in self.sets.items()}

    @property
    def steps(self) -> int:
        """Questions and batches of articles, for a progress bar."""
        return sum(map(len, self.questions.values())) + sum(map(len, self.articles.values()))

    def question_batches(
        self,
        name: str,
        records: Sequence[QARecord],
        chat: ChatFormat,
        answer_from: AnswerFrom,
        retrieval: bool = False,
    ) -> Iterator[QuestionBatch]:
        """Batches of some questions of a set.

        Args:
            name: of the set.
            records: the questions; one or more.
            chat: the format of the model that is asked.
            answer_from: where the prompts end.
            retrieval: whether the article on a question's work precedes the question.
        """
        yield from QuestionLoader(
            records,
            chat,
            name,
            self.questions_per_batch,
            answer_from=answer_from,
            context=self.before(name, retrieval),
        )

    def before(self, name: str, retrieval: bool = False) -> Callable[[QARecord], str]:
        """What precedes the questions of a set in their prompts."""
        if retrieval and (name == TRAINED or name in self.data.questions.test):
            return self._article_on
        return self.sets[name].before

    def _article_on(self, record: QARecord) -> str:
        text = self._articles_by_title.get(text_key(record.work))
        return f"{text}\n\n" if text else ""

    @cached_property
    def _articles_by_title(self) -> dict[str, str]:
        paths = self.data.paths
        folders = (*paths.articles, *paths.general_articles)
        articles = (article for folder in folders for article in open_articles(folder.path))
        asked = {text_key(r.work) for records in self.questions.values() for r in records}
        titled = ((text_key(article.title()), article) for article in articles)
        return {title: article.read() for title, article in titled if title in asked}


def prepare_evaluation(
    settings: CompareSettings, split: SplitSettings, tokenizer: PreTrainedTokenizerBase
) -> EvaluationSet:
    """Reads the records and articles, and splits them as for training; takes the test part.

    Args:
        settings: of the comparison.
        split: with which the adapters were trained.
        tokenizer: of the base.

    Raises:
        UserError: a file or folder is missing or malformed, or there is no question to ask.
    """
    data = DomainData(settings.data_paths, tokenizer, split, cache=settings.cache)
    sets = {
        name: QuestionSet(subsample(members, settings.questions_per_set, split.seed), "keys")
        for name, members in data.questions.test.items()
    }
    if not sets and settings.records:
        raise UserError(
            f"{settings.records}: no question is held out; held_out_wordings and "
            "held_out_works must be as in training, and at least one of them above 0"
        )
    if settings.trained_questions < 0:
        raise UserError(f"trained_questions is {settings.trained_questions}; expected 0 or more")
    if settings.trained_questions and data.questions.train:
        chosen = subsample(data.questions.train, settings.trained_questions, split.seed)
        sets = {TRAINED: QuestionSet(chosen, "keys"), **sets}
    own = {name: _untrained(name, each, data) for name, each in read_sets(settings).items()}
    if not sets and not own:
        raise UserError("nothing to ask; expected records, sets, or both")
    keyed = (r for each in own.values() if each.scoring == "keys" for r in each.records)
    return EvaluationSet(
        data,
        {**sets, **own},
        settings.questions_per_batch,
        Distractors([*data.records, *data.general_records, *keyed]),
        {
            name: corpus.held_out_blocks(name, settings.block_size, settings.blocks_per_batch)
            for name, corpus in data.held_out_articles.items()
        },
    )


def _untrained(name: str, given: QuestionSet, data: DomainData) -> QuestionSet:
    """The set without questions that were trained on, with a warning.

    Raises:
        UserError: none is left.
    """
    trained = {text_key(r.question) for r in (*data.questions.train, *data.questions.replay)}
    kept = [record for record in given.records if text_key(record.question) not in trained]
    left_out = len(given.records) - len(kept)
    if not kept:
        raise UserError(f"sets.{name}: every one of its {left_out} questions was trained on")
    if left_out:
        warnings.warn(
            f"sets.{name}: {left_out} of {len(given.records)} questions were trained on and are "
            "left out",
            stacklevel=2,
        )
    return QuestionSet(kept, given.scoring, given.opening, given.passages, given.choices)
