"""Scores of one answer: exact match, key accuracy in two spellings, character F1.

Exact match and F1 follow SQuAD's exact match and F1 (arXiv 1606.05250), over characters instead
of words.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from animelm.data.sources.qa import QARecord
from animelm.evaluate.normalization import normalize, occurrences, searchable
from animelm.evaluate.scoring.assertion import asserts
from animelm.evaluate.scoring.spelling import one_spelling


@dataclass(frozen=True)
class Scores:
    """Scores of one answer, each from 0 to 1.

    Attributes:
        accuracy: the key accuracy, the stricter of two: keys as they are spelled.
        exact_match: whether the answer equals an accepted one.
        character_f1: the best F1 over characters.
        loose_accuracy: the looser key accuracy, which counts more spellings as equal; never below
            ``accuracy``.
    """

    accuracy: float
    exact_match: float
    character_f1: float
    loose_accuracy: float


def exact_match(output: str, answers: Iterable[str]) -> float:
    """1.0 if the normalized output is one of the normalized accepted answers, else 0.0."""
    return float(normalize(output) in {normalize(answer) for answer in answers})


def character_f1(output: str, answers: Iterable[str]) -> float:
    """Best F1 over the accepted answers, between multisets of the normalized characters."""
    produced = Counter(normalize(output))
    return max(
        (_multiset_f1(produced, Counter(normalize(answer))) for answer in answers), default=0.0
    )


def _multiset_f1(produced: Counter[str], expected: Counter[str]) -> float:
    shared = (produced & expected).total()
    total = produced.total() + expected.total()
    return 2 * shared / total if total else 1.0


def key_accuracy(
    output: str, keys: Iterable[str], distractors: Iterable[str], context: Iterable[str] = ()
) -> float:
    """1.0 if the output gives an accepted key as its answer and names no distractor, else 0.0.

    A key that is denied (西田ではありません) or is one of several candidates (西田か東田) is not
    given as the answer, unless an accepted answer or the question puts it so itself.

    Args:
        output: the generated answer.
        keys: short accepted answers, of which one is enough. They are found as whole words only
            (see ``normalization.occurrences``).
        distractors: other values of the same relation and direction, which are wrong here. One that
            occurs inside a key or inside ``context`` is ignored. Where names overlap in the output
            the longest counts: the key キラ is not found in the distractor キラ・ヤマト, nor the
            distractor ヤマト in the key キラ・ヤマト.
        context: the question and the accepted answers in full. An answer may repeat what they name.
    """
    accepted = tuple(keys)
    named = [(start, end, False) for key in accepted for start, end in occurrences(key, output)]
    if not named:
        return 0.0
    context = tuple(context)
    harmless = (*accepted, *context)
    for distractor in distractors:
        spans = occurrences(distractor, output)
        if spans and not any(occurrences(distractor, text) for text in harmless):
            named.extend((start, end, True) for start, end in spans)
    names = _without_overlaps(named)
    if any(is_distractor for *_, is_distractor in names):
        return 0.0
    return float(
        _asserts_one([(start, end) for start, end, _ in names], output)
        or any(_only_denies(accepted, text) for text in context)
    )


def loose_key_accuracy(
    output: str, keys: Iterable[str], distractors: Iterable[str], context: Iterable[str] = ()
) -> float:
    """``key_accuracy`` where spellings of one name count as equal (see ``spelling``)."""
    return key_accuracy(
        one_spelling(output),
        map(one_spelling, keys),
        map(one_spelling, distractors),
        map(one_spelling, context),
    )


def _asserts_one(names: list[tuple[int, int]], text: str) -> bool:
    return any(asserts(searchable(text), name, names) for name in names)


def _only_denies(keys: Iterable[str], text: str) -> bool:
    """Whether a text names a key and gives none as its answer."""
    names = [span for key in keys for span in occurrences(key, text)]
    return bool(names) and not _asserts_one(names, text)


def _without_overlaps(named: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """The names that remain when of overlapping ones the longest, then the leftmost, is kept."""
    kept: list[tuple[int, int, bool]] = []
    for start, end, is_distractor in sorted(
        named, key=lambda name: (name[0] - name[1], name[0], name[2])
    ):
        if all(end <= other_start or start >= other_end for other_start, other_end, _ in kept):
            kept.append((start, end, is_distractor))
    return kept


class Distractors:
    """Wrong answers to each question: the keys of other facts of the same relation.

    The relation is what follows the last "/" of ``fact`` (鋼の錬金術師/protagonist). Facts without
    one, such as those grouped from raw pairs, have no distractors: nothing says which values
    exclude each other.

    Args:
        records: every record of the domains that are evaluated, trained on or held out.
    """

    def __init__(self, records: Iterable[QARecord]):
        values: dict[tuple[str, str, str], dict[str, None]] = {}
        statements: dict[tuple[str, str, str], dict[str, None]] = {}
        for record in records:
            if (kind := _relation(record)) is not None:
                values.setdefault(kind, {}).update(dict.fromkeys(record.keys))
            statements.setdefault(_fact(record), {}).update(dict.fromkeys(record.answers))
        self._values = {kind: tuple(keys) for kind, keys in values.items()}
        self._statements = {fact: tuple(answers) for fact, answers in statements.items()}

    def of(self, record: QARecord) -> tuple[str, ...]:
        """The keys of the record's domain, relation and direction, including its own."""
        kind = _relation(record)
        return self._values.get(kind, ()) if kind is not None else ()

    def context(self, record: QARecord) -> tuple[str, ...]:
        """The question, its accepted answers, and those of other wordings of the fact."""
        return (record.question, *record.answers, *self._statements.get(_fact(record), ()))

    def score(self, output: str, record: QARecord) -> Scores:
        """All scores of ``output`` as an answer to ``record``."""
        return Scores(
            accuracy=self.accuracy(output, record),
            exact_match=exact_match(output, record.answers),
            character_f1=character_f1(output, record.answers),
            loose_accuracy=self.loose_accuracy(output, record),
        )

    def accuracy(self, output: str, record: QARecord) -> float:
        """The stricter key accuracy of ``output``."""
        return key_accuracy(output, record.keys, self.of(record), self.context(record))

    def loose_accuracy(self, output: str, record: QARecord) -> float:
        """The looser key accuracy of ``output``, which is never below the stricter one."""
        return self.accuracy(output, record) or loose_key_accuracy(
            output, record.keys, self.of(record), self.context(record)
        )


def _relation(record: QARecord) -> tuple[str, str, str] | None:
    # The fact of a raw pair is named after its question, as its work is; its "/" is no separator.
    if record.fact == record.work or "/" not in record.fact:
        return None
    return (record.domain, record.fact.rsplit("/", 1)[1], record.direction)


def _fact(record: QARecord) -> tuple[str, str, str]:
    return (record.domain, record.fact, record.direction)
