"""What every model of a comparison is asked: held-out questions and held-out articles."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import QuestionBatch
from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.sources.qa import QARecord, read_qa
from animelm.data.split import split_qa, subsample
from animelm.data.tokenization.articles import ArticleCorpus
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.errors import UserError
from animelm.evaluate.scoring import Rivals
from animelm.evaluate.settings import CompareSettings


@dataclass(frozen=True)
class Examination:
    """Questions and articles that training never saw.

    Attributes:
        questions: the questions of each held-out set that has one.
        chat: encodes their prompts.
        questions_per_batch: asked at once.
        rivals: what the answers are scored against.
        anime, general: blocks of held-out articles, None where there are none.
        steps: questions and batches of articles, for a progress bar.
    """

    questions: Mapping[str, list[QARecord]]
    chat: ChatFormat
    questions_per_batch: int
    rivals: Rivals
    anime: PackedLoader | None
    general: PackedLoader | None
    steps: int

    def question_batches(self, answer_from: AnswerFrom) -> Iterator[QuestionBatch]:
        """The batches of one held-out set after the other."""
        for name, records in self.questions.items():
            yield from QuestionLoader(
                records, self.chat, name, self.questions_per_batch, answer_from=answer_from
            )


def prepare(settings: CompareSettings, tokenizer: PreTrainedTokenizerBase) -> Examination:
    """Reads and splits the records and articles as training did.

    Raises:
        UserError: a file or folder is missing or malformed, or no question is held out.
    """
    records = read_qa(settings.records)
    general = (
        read_qa(settings.general_records, domain="general") if settings.general_records else []
    )
    sets = held_out_sets(records, general, settings)
    if not any(sets.values()):
        raise UserError(
            f"{settings.records}: no question is held out; held_out_wordings and "
            "held_out_works must be those of the training, and one of them above 0"
        )
    anime_articles = _held_out_articles(settings.articles, "anime", settings, tokenizer)
    general_articles = _held_out_articles(settings.general_articles, "general", settings, tokenizer)
    steps = sum(map(len, sets.values()))
    steps += sum(len(loader) for loader in (anime_articles, general_articles) if loader is not None)
    return Examination(
        {name: members for name, members in sets.items() if members},
        ChatFormat(tokenizer),
        settings.questions_per_batch,
        Rivals([*records, *general]),
        anime_articles,
        general_articles,
        steps,
    )


def held_out_sets(
    records: Sequence[QARecord], general: Sequence[QARecord], settings: CompareSettings
) -> dict[str, list[QARecord]]:
    """The questions of each held-out set; none that is also trained, be it as replay."""
    anime = split_qa(records, settings.held_out_wordings, settings.held_out_works, settings.seed)
    # Every subject outside anime is known to the base, so no work of it can be held out.
    other = split_qa(general, settings.held_out_wordings, 0.0, settings.seed)
    trained = {record.question for split in (anime, other) for record in split.train}
    sets = {
        "anime_unseen_wording": anime.unseen_wording,
        "anime_unseen_work": anime.unseen_work,
        "general": other.unseen_wording,
    }
    return {
        name: subsample(
            [record for record in members if record.question not in trained],
            settings.questions_per_set,
            settings.seed,
        )
        for name, members in sets.items()
    }


def _held_out_articles(
    folder: Path | None, name: str, settings: CompareSettings, tokenizer: PreTrainedTokenizerBase
) -> PackedLoader | None:
    if folder is None:
        return None
    corpus = ArticleCorpus(
        [folder], tokenizer, settings.validation_share, settings.seed, cache=settings.cache
    )
    if not len(corpus.validation[0]):
        return None
    return corpus.held_out_blocks([0], name, settings.block_size, settings.blocks_per_batch)
