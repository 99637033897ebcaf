"""Which questions and articles a run holds out, by the names that every room uses for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.mentions import Mentions
from animelm.data.sources.qa import QARecord
from animelm.data.split import check_share, hash_order, held_out_names, split_qa

UNSEEN_WORDING = "anime_unseen_wording"
ONLY_READ = "anime_only_read"
UNSEEN_FACT = "anime_unseen_fact"
TRAINED = "anime_trained"
REHEARSED = "general_rehearsed"
UNREHEARSED = "general_unrehearsed"
QUESTION_SETS = (UNSEEN_WORDING, ONLY_READ, REHEARSED, UNREHEARSED)
DOMAIN_SETS = (UNSEEN_WORDING, ONLY_READ, UNSEEN_FACT)

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
        held_out_subjects: share of the general subjects that no general text and no question in
            training names, in [0, 1); articles on the domain may. None for a run without replay, in
            which nothing is rehearsed.
        dev_share: share of each set's works that recipes are chosen on, in [0, 1); the others are
            for the final figures.
        validation_share: share of the articles that is never trained on, in [0, 1); None for a run
            without articles.

    Raises:
        UserError: a share is not in [0, 1).
    """

    seed: int = 0
    held_out_wordings: float | None = None
    held_out_works: float | None = None
    held_out_subjects: float | None = None
    dev_share: float = 0.25
    validation_share: float | None = None

    def __post_init__(self) -> None:
        for name in (
            "held_out_wordings",
            "held_out_works",
            "held_out_subjects",
            "dev_share",
            "validation_share",
        ):
            share = getattr(self, name)
            if share is not None:
                check_share(name, share)


DEFAULT_SPLIT = SplitSettings(
    held_out_wordings=0.25, held_out_works=0.25, held_out_subjects=0.25, validation_share=0.05
)


@dataclass(frozen=True)
class QuestionSplit:
    """The questions of a run, split.

    Attributes:
        train: anime records to train on.
        replay: general records to train on.
        dev: the records of each held-out set, by its name in ``QUESTION_SETS``, on which recipes
            are chosen; without empty sets.
        test: those that figures are reported on, likewise.
        unrehearsed: the general subjects that nothing may rehearse.
    """

    train: list[QARecord]
    replay: list[QARecord]
    dev: dict[str, list[QARecord]]
    test: dict[str, list[QARecord]]
    unrehearsed: frozenset[str]


def split_questions(
    anime: Sequence[QARecord],
    general: Sequence[QARecord],
    settings: SplitSettings,
    unread: Collection[str] = (),
) -> QuestionSplit:
    """Splits all questions of a run.

    - ``anime_unseen_wording``: wordings never trained on, of facts that are.
    - ``anime_only_read``: works that training never asks about; they occur in articles only.
    - ``anime_unseen_fact``: facts that training never asks about, of questions whose work is not
      known: other questions may be on the same work.
    - ``general_rehearsed``: wordings never trained on, of general facts that replay draws from.
    - ``general_unrehearsed``: questions on general subjects that no general text or question in
      training names.

    No question of these sets is trained on, whatever its punctuation, width and case. Of the sets
    of works, facts and subjects that are not asked about, no fact is. The works of each set are
    divided into dev and test.

    Args:
        anime: records on anime.
        general: records on other subjects.
        settings: shares and seed; a share of None holds nothing out, except that without
            ``held_out_subjects`` no general question is trained on.
        unread: works whose article is held out; they are in no set of works that were only read.
    """
    wordings = settings.held_out_wordings or 0.0
    own = split_qa(anime, wordings, settings.held_out_works or 0.0, settings.seed)
    replay, rehearsed, unrehearsed, subjects = _split_general(general, wordings, settings)
    # A file of general questions may ask about anime as well.
    asked_nowhere = Mentions({record.work for record in own.only_read})
    replay = [record for record in replay if not _names(asked_nowhere, record)]
    facts = {record.fact for record in replay}
    trained = _Trained([*own.train, *replay])
    unasked = list(filter(trained.has_no_fact_of, own.only_read))
    sets = {
        UNSEEN_WORDING: own.unseen_wording,
        ONLY_READ: [r for r in unasked if r.work_is_known],
        UNSEEN_FACT: [r for r in unasked if not r.work_is_known],
        REHEARSED: [record for record in rehearsed if record.fact in facts],
        # Of a work on anime, articles are read even where nothing asks about it.
        UNREHEARSED: list(filter(_Trained([*anime, *replay]).has_no_fact_of, unrehearsed)),
    }
    dev: dict[str, list[QARecord]] = {}
    test: dict[str, list[QARecord]] = {}
    for name, records in sets.items():
        # Before anything is left out, so that a run with other articles divides them alike.
        chosen = _dev_units(records, settings)
        asked = [r for r in records if not trained.has_question_of(r)]
        if name == ONLY_READ:
            asked = [record for record in asked if record.work not in unread]
        for part, inside in ((dev, True), (test, False)):
            members = [r for r in asked if (r.work in chosen or r.fact in chosen) == inside]
            if members:
                part[name] = members
    return QuestionSplit(own.train, replay, dev, test, subjects)


class _Trained:
    """What the questions of training ask."""

    def __init__(self, records: Sequence[QARecord]) -> None:
        self._questions = {text_key(record.asked) for record in records}
        self._facts = {record.fact for record in records}
        self._works = {text_key(record.work) for record in records}

    def has_question_of(self, record: QARecord) -> bool:
        return text_key(record.asked) in self._questions

    def has_no_fact_of(self, record: QARecord) -> bool:
        """Whether neither the fact nor another fact of its work is asked about."""
        return record.fact not in self._facts and text_key(record.work) not in self._works


def _names(subjects: Mentions, record: QARecord) -> bool:
    return any(map(subjects.any_in, (record.work, record.question, *record.answers)))


def _split_general(
    records: Sequence[QARecord], wordings: float, settings: SplitSettings
) -> tuple[list[QARecord], list[QARecord], list[QARecord], frozenset[str]]:
    """Records to replay, held-out wordings of the others, held out and unrehearsed; subjects."""
    if settings.held_out_subjects is None:
        split = split_qa(records, wordings, 0.0, settings.seed)
        # Nothing is replayed, so facts without a held-out wording can be asked as well.
        varied = {record.fact for record in split.unseen_wording}
        single = [record for record in split.train if record.fact not in varied]
        return [], [], [*split.unseen_wording, *single], frozenset(r.work for r in records)
    works = (record.work for record in records)
    subjects = frozenset(held_out_names(works, settings.held_out_subjects, settings.seed))
    split = split_qa(records, wordings, settings.held_out_subjects, settings.seed)
    mentions = Mentions(subjects)
    replay = [record for record in split.train if not _names(mentions, record)]
    return replay, split.unseen_wording, split.only_read, subjects


def _dev_units(records: Sequence[QARecord], settings: SplitSettings) -> set[str]:
    """The works for dev; of a set on a single work, the facts."""
    units = {record.work for record in records}
    if len(units) < 2:
        units = {record.fact for record in records}
    chosen = held_out_names(units, settings.dev_share, settings.seed)
    if not chosen and settings.dev_share > 0 and len(units) > 1:
        chosen = {hash_order(units, settings.seed)[0]}
    return chosen
