"""The data of one domain, and general data beside them: read, split, and made into sources."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.batches.batch import Document
from animelm.data.batches.mixing import TrainingSource
from animelm.data.held_out import (
    ANIME_ARTICLES,
    GENERAL_ARTICLES,
    ONLY_READ,
    UNREHEARSED,
    QuestionSplit,
    SplitSettings,
    split_questions,
)
from animelm.data.mentions import Mentions
from animelm.data.sources.article_folders import open_articles
from animelm.data.sources.folder_files import WeightedFolder
from animelm.data.sources.infoboxes import infobox_values
from animelm.data.sources.qa import Columns, QARecord, QuestionFile, read_qa
from animelm.data.split import check_share
from animelm.data.tokenization.articles import ArticleCorpus
from animelm.data.tokenization.chat import ChatFormat
from animelm.errors import UserError

SourceName = Literal["articles", "questions", "general_articles", "general_questions"]


@dataclass(frozen=True)
class DataPaths:
    """Where the data lie.

    Attributes:
        articles: folders of articles on the domain.
        questions: files of questions on the domain.
        general_articles: folders of other articles.
        general_questions: files of other questions.
        columns: names of the columns of ``questions``, where they are not the usual ones.
    """

    articles: tuple[WeightedFolder, ...] = ()
    questions: tuple[QuestionFile, ...] = ()
    general_articles: tuple[WeightedFolder, ...] = ()
    general_questions: tuple[QuestionFile, ...] = ()
    columns: Columns = Columns()  # noqa: RUF009 (frozen)

    def read_questions(self, domain: str = "anime") -> list[QARecord]:
        """Every question on the domain; works are found among the titles of its articles.

        Raises:
            UserError: as ``read_qa`` and ``open_articles``.
        """
        return _read(self.questions, domain, self.columns, self.articles)

    def read_general_questions(self) -> list[QARecord]:
        """Every other question.

        Raises:
            UserError: as ``read_qa`` and ``open_articles``.
        """
        return _read(self.general_questions, "general", Columns(), self.general_articles)


def _read(
    files: tuple[QuestionFile, ...],
    domain: str,
    columns: Columns,
    folders: Sequence[WeightedFolder],
) -> list[QARecord]:
    if not files:
        return []

    def titles() -> list[str]:
        return sorted({a.title() for folder in folders for a in open_articles(folder.path)})

    def values(works: Collection[str]) -> dict[str, list[str]]:
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for work in works:
            wanted[text_key(work)].append(work)
        return {
            work: infobox_values(article.read())
            for folder in folders
            for article in open_articles(folder.path)
            for work in wanted.get(text_key(article.title()), ())
        }

    return read_qa(files, domain, columns, titles, values)


@dataclass(frozen=True)
class Shares:
    """How much of an epoch's tokens each source is, beside what the epoch shows whole.

    Every epoch draws afresh; nothing is drawn twice before all has been drawn once.

    Args:
        articles: Share of articles on the domain, 0 to 1. Fine-tuning on questions alone wipes out
            what was read.
        questions: Share of questions on the domain, 0 to 1. Beside the articles they teach to
            answer from what was read.
        general_articles: Share of general articles, 0 to 1, so that less is forgotten.
        general_questions: Share of general questions, 0 to 1, so that less is forgotten.

    Raises:
        UserError: a share is not in [0, 1).
    """

    articles: float = 0.0
    questions: float = 0.0
    general_articles: float = 0.0
    general_questions: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            check_share(f"shares.{each.name}", getattr(self, each.name))


class DomainData:
    """The articles and questions of a run, read and split when they are first asked for.

    Args:
        paths: where they lie.
        tokenizer: a fast tokenizer with a chat template.
        split: what is held out.
        workers: processes that tokenize.
        cache: folder of tokenized articles; None for the default one.
        domain: name of the domain, for records that name none.

    Raises:
        UserError: on access, where a file or folder is missing or malformed.
    """

    def __init__(
        self,
        paths: DataPaths,
        tokenizer: PreTrainedTokenizerBase,
        split: SplitSettings,
        workers: int = 1,
        cache: Path | None = None,
        domain: str = "anime",
    ) -> None:
        self.paths, self.split, self.domain = paths, split, domain
        self.chat = ChatFormat(tokenizer)
        self._workers, self._cache = workers, cache

    @cached_property
    def records(self) -> list[QARecord]:
        """Every question on the domain."""
        return self.paths.read_questions(self.domain)

    @cached_property
    def general_records(self) -> list[QARecord]:
        """Every other question."""
        return self.paths.read_general_questions()

    @cached_property
    def questions(self) -> QuestionSplit:
        """All questions, split."""
        return split_questions(self.records, self.general_records, self.split, self._unread())

    @cached_property
    def articles(self) -> ArticleCorpus | None:
        """The tokenized articles on the domain."""
        return self._corpus(self.paths.articles)

    @cached_property
    def general_articles(self) -> ArticleCorpus | None:
        """The tokenized general articles."""
        return self._corpus(self.paths.general_articles)

    @property
    def held_out_articles(self) -> dict[str, ArticleCorpus]:
        """The corpora of which articles are held out, by the name of the set."""
        corpora = {ANIME_ARTICLES: self.articles, GENERAL_ARTICLES: self.general_articles}
        return {
            name: corpus
            for name, corpus in corpora.items()
            if corpus is not None and any(map(len, corpus.validation))
        }

    def training_sources(
        self, wanted: Collection[SourceName], block_size: int
    ) -> dict[SourceName, TrainingSource]:
        """What may be trained on, by kind; none of it is held out.

        Args:
            wanted: the kinds that are trained on.
            block_size: tokens that a question must fit into with its answer.

        Raises:
            UserError: a question is longer.
        """
        held_out = self._held_out_titles()
        sources: dict[SourceName, Callable[[], TrainingSource]] = {
            "articles": lambda: _articles_of(self.articles, held_out),
            "questions": lambda: self._pairs(self.questions.train, block_size),
            "general_articles": lambda: _articles_of(
                self.general_articles, held_out, self._naming()
            ),
            "general_questions": lambda: self._pairs(self.questions.replay, block_size),
        }
        return {name: read() for name, read in sources.items() if name in wanted}

    def _corpus(self, folders: Sequence[WeightedFolder]) -> ArticleCorpus | None:
        if not folders:
            return None
        return ArticleCorpus(folders, self.chat.tokenizer, self.split, self._workers, self._cache)

    def _held_out_titles(self) -> set[str]:
        """Titles held out of any folder: another folder may hold the same article."""
        corpora = (self.articles, self.general_articles)
        return {title for corpus in corpora if corpus for title in corpus.held_out_titles}

    def _unread(self) -> set[str]:
        """Works whose article is held out, so that training has not read it."""
        titles = self.articles.held_out_titles if self.articles else set()
        return {record.work for record in self.records if text_key(record.work) in titles}

    def _naming(self) -> set[int]:
        """Numbers of the general articles that name a subject which nothing may rehearse."""
        mentions = Mentions(self.questions.unrehearsed)
        texts = _texts_of(self.paths.general_articles)
        return {number for number, text in enumerate(texts) if mentions.any_in(text)}

    def about_unrehearsed(self) -> str:
        """A sentence on questions called not rehearsed that a trained article may rehearse.

        Empty where no article on the domain that is trained holds the subject of one with an
        answer to it.
        """
        asked = self._held_out(UNREHEARSED)
        if not asked or self.articles is None:
            return ""
        named, rehearsed = self._read_of(asked)
        if not rehearsed:
            return ""
        first = next(iter(rehearsed.values()))
        count = sum(record.work in named for record in asked)
        return (
            f"{len(rehearsed):,} of {len(asked):,} questions on general subjects that are not "
            f"rehearsed stand with their answer in a trained article on the domain, such as "
            f"{first.question!r}; the subjects of {count:,} are named there. What the set says of "
            "forgetting holds for the others"
        )

    def about_unread(self) -> str:
        """A sentence on questions called only read of which no trained article tells.

        Empty where a trained article tells of each: it names the work in its title, or the work and
        the answer in its text.
        """
        asked = self._held_out(ONLY_READ)
        if not asked or self.articles is None:
            return ""
        _, told = self._read_of(asked)
        titles = "\n".join(self.articles.titles[number] for number in self._read_numbers())
        titled = Mentions({record.work for record in asked}).found_in(titles)
        unread = [r for r in asked if r.id not in told and r.work not in titled]
        if not unread:
            return ""
        return (
            f"{len(unread):,} of {len(asked):,} questions on works that are only read are on works "
            f"of which no trained article tells, such as {unread[0].question!r}: they say nothing "
            "of what reading teaches. Add articles on their works to data.folder, or leave these "
            "questions out"
        )

    def _held_out(self, name: str) -> list[QARecord]:
        parts = (self.questions.dev, self.questions.test)
        return [record for part in parts for record in part.get(name, [])]

    def _read_numbers(self) -> set[int]:
        """Numbers of the articles on the domain that are trained."""
        return set(_articles_of(self.articles, self._held_out_titles()).chosen.tolist())

    def _read_of(self, asked: Sequence[QARecord]) -> tuple[set[str], dict[str, QARecord]]:
        """What the trained articles on the domain tell of some questions.

        Returns:
            The works that an article names, and the questions whose work stands with an answer in
            an article, by id.
        """
        chosen = self._read_numbers()
        works = Mentions({record.work for record in asked})
        answers = Mentions({key for record in asked for key in record.keys})
        named: set[str] = set()
        told: dict[str, QARecord] = {}
        for number, text in enumerate(_texts_of(self.paths.articles)):
            if number in chosen and (found := works.found_in(text)):
                named |= found
                known = answers.found_in(text)
                both = (r for r in asked if r.work in found and not known.isdisjoint(r.keys))
                told |= {record.id: record for record in both}
        return named, told

    def _pairs(self, records: Sequence[QARecord], block_size: int) -> TrainingSource:
        documents = self.chat.encode_records(records)
        longest = max(documents, key=len, default=None)
        if longest is not None and len(longest) > block_size:
            raise UserError(
                f"the question {longest.name!r} takes {len(longest)} tokens with its answer, more "
                f"than a block holds; set block_size to {len(longest)} or more, or shorten it"
            )
        weights = [record.weight for record in records for _ in record.answers]
        shown = np.repeat(np.arange(len(documents)), weights)
        return TrainingSource(documents, _lengths(documents), shown)


def _texts_of(folders: Sequence[WeightedFolder]) -> Iterator[str]:
    """The articles of folders with their titles, in the order in which they are numbered."""
    for folder in folders:
        for article in open_articles(folder.path):
            yield f"「{article.title()}」\n{article.read()}"


def _lengths(documents: Sequence[Document]) -> NDArray[np.int64]:
    return np.array([len(document) for document in documents], dtype=np.int64)


def _articles_of(
    corpus: ArticleCorpus | None, held_out: Collection[str], without: Collection[int] = ()
) -> TrainingSource:
    """The training articles of a corpus that hold text, without some titles and some numbers."""
    if corpus is None:
        return TrainingSource([], _lengths([]), np.arange(0))
    kept = [
        number
        for numbers, weight in zip(corpus.train, corpus.weights, strict=True)
        for number in np.tile(numbers, weight)
        if corpus.lengths[number]
        and number not in without
        and text_key(corpus.titles[number]) not in held_out
    ]
    return TrainingSource(corpus.documents, corpus.lengths, np.array(kept, dtype=np.int64))
