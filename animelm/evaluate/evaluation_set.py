"""The held-out questions and articles on which every model of a comparison is evaluated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.batches.batch import QuestionBatch
from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.domain import DomainData
from animelm.data.held_out import SplitSettings
from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.qa import QARecord
from animelm.data.split import subsample
from animelm.data.tokenization.chat import AnswerFrom
from animelm.errors import UserError
from animelm.evaluate.scoring import Distractors
from animelm.evaluate.settings import CompareSettings


@dataclass(frozen=True)
class EvaluationSet:
    """Questions and articles that no model was trained on.

    Attributes:
        data: the data they come from.
        questions: the questions of each held-out set that has one.
        questions_per_batch: questions answered together.
        distractors: what the answers are scored against.
        articles: blocks of each set of held-out articles that is not empty, by its name.
    """

    data: DomainData
    questions: Mapping[str, list[QARecord]]
    questions_per_batch: int
    distractors: Distractors
    articles: Mapping[str, PackedLoader]

    @property
    def steps(self) -> int:
        """Questions and batches of articles, for a progress bar."""
        return sum(map(len, self.questions.values())) + sum(map(len, self.articles.values()))

    def question_batches(
        self, answer_from: AnswerFrom, retrieval: bool = False
    ) -> Iterator[QuestionBatch]:
        """The batches of all held-out sets, one set after another.

        Args:
            answer_from: where the prompts end.
            retrieval: whether the article on a question's work precedes the question.
        """
        for name, records in self.questions.items():
            yield from QuestionLoader(
                records,
                self.data.chat,
                name,
                self.questions_per_batch,
                answer_from=answer_from,
                context=self._article_on if retrieval else None,
            )

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
        UserError: a file or folder is missing or malformed, or no question is held out.
    """
    data = DomainData(settings.data_paths, tokenizer, split, cache=settings.cache)
    questions = {
        name: subsample(members, settings.questions_per_set, split.seed)
        for name, members in data.questions.test.items()
    }
    if not questions:
        raise UserError(
            f"{settings.records}: no question is held out; held_out_wordings and "
            "held_out_works must be as in training, and at least one of them above 0"
        )
    return EvaluationSet(
        data,
        questions,
        settings.questions_per_batch,
        Distractors([*data.records, *data.general_records]),
        {
            name: corpus.held_out_blocks(name, settings.block_size, settings.blocks_per_batch)
            for name, corpus in data.held_out_articles.items()
        },
    )
