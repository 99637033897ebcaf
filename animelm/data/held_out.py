"""Which questions and articles a run holds out, by the names that every room uses for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from animelm.data.sources.qa import QARecord
from animelm.data.split import QASplit, check_share, split_qa

UNSEEN_WORDING = "anime_unseen_wording"
ONLY_READ = "anime_only_read"
GENERAL = "general"
QUESTION_SETS = (UNSEEN_WORDING, ONLY_READ, GENERAL)

ANIME_ARTICLES = "anime_articles"
GENERAL_ARTICLES = "general_articles"


@dataclass(frozen=True)
class SplitSettings:
    """What decides the split of a run's data. ``dataclasses.asdict`` gives plain JSON values.

    Attributes:
        seed: of every choice.
        held_out_wordings: share of each fact's wordings that is never trained on, in [0, 1); None
            for a run without questions.
        held_out_works: share of the works that training never asks about, in [0, 1); None for a
            run without questions.
        validation_share: share of the articles that is never trained on, in [0, 1); None for a run
            without articles.

    Raises:
        UserError: a share is not in [0, 1).
    """

    seed: int = 0
    held_out_wordings: float | None = None
    held_out_works: float | None = None
    validation_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("held_out_wordings", "held_out_works", "validation_share"):
            share = getattr(self, name)
            if share is not None:
                check_share(name, share)


@dataclass(frozen=True)
class QuestionSplit:
    """The questions of a run, split.

    Attributes:
        train: anime records to train on.
        replay: general records to train on.
        held_out: the records of each held-out set that is not empty, by its name in
            ``QUESTION_SETS``. None of their questions is trained on.
    """

    train: list[QARecord]
    replay: list[QARecord]
    held_out: dict[str, list[QARecord]]


def split_questions(
    anime: Sequence[QARecord],
    general: Sequence[QARecord],
    replay: Sequence[QARecord],
    settings: SplitSettings,
) -> QuestionSplit:
    """Splits all questions of a run.

    - ``anime_unseen_wording``: wordings never trained on, of facts that are.
    - ``anime_only_read``: works that training never asks about; they occur in articles only.
    - ``general``: wordings of general questions that are never trained on.

    Args:
        anime: records on anime.
        general: records on other subjects, to see what was forgotten.
        replay: records on other subjects that training mixes in; often ``general`` itself.
        settings: shares and seed; a share of None holds nothing out.
    """
    own = split_qa(
        anime, settings.held_out_wordings or 0.0, settings.held_out_works or 0.0, settings.seed
    )
    replayed = split_general(replay, settings).train
    sets = {
        UNSEEN_WORDING: own.unseen_wording,
        ONLY_READ: own.only_read,
        GENERAL: split_general(general, settings).unseen_wording,
    }
    trained = {record.question for record in (*own.train, *replayed)}
    held_out = {
        name: [record for record in records if record.question not in trained]
        for name, records in sets.items()
    }
    return QuestionSplit(
        own.train, replayed, {name: records for name, records in held_out.items() if records}
    )


def split_general(records: Sequence[QARecord], settings: SplitSettings) -> QASplit:
    """Splits general records: only wordings are held out, since the base knows every subject."""
    return split_qa(records, settings.held_out_wordings or 0.0, 0.0, settings.seed)
