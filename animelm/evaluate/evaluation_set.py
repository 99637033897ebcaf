"""What every model of a comparison is asked: held-out questions and held-out articles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import QuestionBatch
from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.held_out import ANIME_ARTICLES, GENERAL_ARTICLES, split_questions
from animelm.data.sources.qa import QARecord, read_qa
from animelm.data.split import subsample
from animelm.data.tokenization.articles import ArticleCorpus
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.errors import UserError
from animelm.evaluate.scoring import Distractors
from animelm.evaluate.settings import CompareSettings


@dataclass(frozen=True)
class EvaluationSet:
    """Questions and articles that training never saw.

    Attributes:
        questions: the questions of each held-out set that has one.
        chat: encodes their prompts.
        questions_per_batch: questions answered together.
        distractors: what the answers are scored against.
        articles: blocks of held-out articles by the name of their set, without empty sets.
    """

    questions: Mapping[str, list[QARecord]]
    chat: ChatFormat
    questions_per_batch: int
    distractors: Distractors
    articles: Mapping[str, PackedLoader]

    @property
    def steps(self) -> int:
        """Questions and batches of articles, for a progress bar."""
        return sum(map(len, self.questions.values())) + sum(map(len, self.articles.values()))

    def question_batches(self, answer_from: AnswerFrom) -> Iterator[QuestionBatch]:
        """The batches of one held-out set after the other."""
        for name, records in self.questions.items():
            yield from QuestionLoader(
                records, self.chat, name, self.questions_per_batch, answer_from=answer_from
            )


def prepare_evaluation(
    settings: CompareSettings, tokenizer: PreTrainedTokenizerBase
) -> EvaluationSet:
    """Reads and splits the records and articles as training did.

    Raises:
        UserError: a file or folder is missing or malformed, or no question is held out.
    """
    records = read_qa(settings.records)
    general = (
        read_qa(settings.general_records, domain="general") if settings.general_records else []
    )
    held_out = split_questions(records, general, general, settings.split_settings).held_out
    if not held_out:
        raise UserError(
            f"{settings.records}: no question is held out; held_out_wordings and "
            "held_out_works must be those of the training, and one of them above 0"
        )
    questions = {
        name: subsample(members, settings.questions_per_set, settings.seed)
        for name, members in held_out.items()
    }
    folders = {ANIME_ARTICLES: settings.articles, GENERAL_ARTICLES: settings.general_articles}
    articles = {
        name: _held_out_articles(folder, name, settings, tokenizer)
        for name, folder in folders.items()
        if folder is not None
    }
    return EvaluationSet(
        questions,
        ChatFormat(tokenizer),
        settings.questions_per_batch,
        Distractors([*records, *general]),
        {name: loader for name, loader in articles.items() if len(loader)},
    )


def _held_out_articles(
    folder: Path, name: str, settings: CompareSettings, tokenizer: PreTrainedTokenizerBase
) -> PackedLoader:
    corpus = ArticleCorpus([folder], tokenizer, settings.split_settings, cache=settings.cache)
    return corpus.held_out_blocks([0], name, settings.block_size, settings.blocks_per_batch)
