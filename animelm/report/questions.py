"""What is made of files of questions, as tables for the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from animelm.data.doubtful import (
    Suspect,
    about_answers,
    about_suspects,
    answered_differently,
    asked_again,
    suspects,
)
from animelm.data.grouping.text import has_several_sentences
from animelm.data.held_out import DOMAIN_SETS, ONLY_READ, UNSEEN_FACT, UNSEEN_WORDING, QuestionSplit
from animelm.data.held_out_list import held_out_facts
from animelm.data.small_data import FEW_QUESTIONS, without_short_keys
from animelm.data.sources.qa import QARecord

_SETS = {
    UNSEEN_WORDING: "unseen wordings of trained facts",
    ONLY_READ: "works that are never asked about",
    UNSEEN_FACT: "facts that are never asked about (their works are not known)",
}
_LONGEST = 60
_VERBS = ("ます", "ました", "ません", "ませんでした")
_WORDINGS = 4  # of a fact that is shown


def question_tables(
    records: Sequence[QARecord], split: QuestionSplit, shown: int, lists: bool = False
) -> RenderableType:
    """Counts, the largest facts with their keys, what to look at, and the split.

    Args:
        records: all questions.
        split: the same questions, split.
        shown: number of facts, and of questions of each kind to look at.
        lists: whether every held-out fact is listed.
    """
    parts: list[RenderableType] = [_counts(records), _facts(records, shown)]
    without = [record for record in records if record.whole_answers]
    if without:
        parts.append(_without_keys(without, shown))
    if again := asked_again(records):
        parts.append(_asked_again(again, answered_differently(records), shown))
    if alike := suspects(split):
        parts.append(_suspects(alike, shown))
    parts.append(_split(split, len(records)))
    if lists:
        parts.append(_held_out(split))
    return Group(*parts, *_warnings(records, split))


def _counts(records: Sequence[QARecord]) -> Table:
    table = _table("Questions", "", ">number", "derived")
    derived = Counter(name for record in records for name in record.derived)
    known = [record for record in records if record.work_is_known]
    table.add_row("questions", f"{len(records):,}", "")
    table.add_row("answers", f"{sum(len(record.answers) for record in records):,}", "")
    facts = len({record.fact for record in records})
    table.add_row("facts", f"{facts:,}", _share(derived["fact"], len(records)))
    works = len({record.work for record in known})
    found = sum("work" in record.derived for record in known)
    table.add_row("works", f"{works:,}", _share(found, len(records)))
    table.add_row("questions whose work is not known", f"{len(records) - len(known):,}", "")
    reverse = sum(record.direction == "reverse" for record in records)
    table.add_row(
        "questions from a value to the work",
        f"{reverse:,}",
        _share(derived["direction"], len(records)),
    )
    again = asked_again(records)
    if again:
        rows = sum(len(record.places) for record in again)
        table.add_row("questions that several rows ask", f"{len(again):,}", f"from {rows:,} rows")
        differing = len(answered_differently(records))
        table.add_row("of these answered differently", f"{differing:,}", "")
    short = sum(not record.whole_answers for record in records)
    table.add_row("questions with a short key", f"{short:,}", _share(derived["keys"], len(records)))
    return table


def _share(count: int, whole: int) -> str:
    if count == whole:
        return "for all questions"
    return f"for {count:,} question{'s' * (count != 1)}" if count else "for none"


def _facts(records: Sequence[QARecord], shown: int) -> Table:
    """The facts that are asked in most wordings."""
    by_fact: dict[str, list[QARecord]] = {}
    for record in records:
        by_fact.setdefault(record.fact, []).append(record)
    ordered = sorted(by_fact.values(), key=len, reverse=True)
    title = f"Facts in most wordings ({min(shown, len(ordered)):,} of {len(ordered):,})"
    table = _table(title, "work", "questions", "keys")
    table.show_lines = True
    for members in ordered[:shown]:
        wordings = [_short(record.question) for record in members[:_WORDINGS]]
        if len(members) > _WORDINGS:
            wordings.append(f"… {len(members) - _WORDINGS:,} more")
        keys = dict.fromkeys(_short(key) for record in members for key in record.keys)
        work = members[0].work if members[0].work_is_known else "not known"
        table.add_row(_plain(work), _plain("\n".join(wordings)), _plain("\n".join(keys)))
    return table


def _without_keys(records: Sequence[QARecord], shown: int) -> Table:
    title = f"Without a short key: the whole answer must be given ({len(records):,})"
    sentences = sum(has_several_sentences(record.answers[0]) for record in records)
    if sentences:
        title += f"; {sentences:,} of several sentences, where none is guessed"
    table = _table(title, "question", "answer")
    for record in records[:shown]:
        table.add_row(_plain(_short(record.question)), _plain(_short(record.answers[0])))
    return table


def _asked_again(records: Sequence[QARecord], differing: Sequence[QARecord], shown: int) -> Table:
    """Those that are answered differently first."""
    numbers = {record.id for record in differing}
    ordered = sorted(records, key=lambda record: record.id not in numbers)
    title = f"Asked in several rows, which are made one ({len(records):,})"
    table = _table(title, "question", "answers", "agree", "rows")
    for record in ordered[:shown]:
        answers = "\n".join(map(_short, record.answers))
        agrees = "no" if record.id in numbers else "yes"
        places = "\n".join(_name(place) for place in record.places)
        table.add_row(_plain(_short(record.question)), _plain(answers), agrees, _plain(places))
    return table


def _name(place: str) -> str:
    """A place without the folders of its file."""
    return place.replace("\\", "/").rpartition("/")[2]


def _suspects(pairs: Sequence[Suspect], shown: int) -> Table:
    title = f"Held out as another fact than a trained question, but much alike ({len(pairs):,})"
    table = _table(title, "held out", "trained", "key")
    for held_out, trained, key in pairs[:shown]:
        table.add_row(*(_plain(_short(t)) for t in (held_out.question, trained.question, key)))
    return table


def _held_out(split: QuestionSplit) -> Table:
    facts = held_out_facts(split)
    table = _table(f"Held out ({len(facts):,} facts)", "set", "part", "work", "questions")
    for each in facts:
        asked = _plain("\n".join(map(_short, each.questions)))
        work = _plain(each.work or "not known")
        table.add_row(_SETS.get(each.held_out_set, each.held_out_set), each.part, work, asked)
    return table


def _split(split: QuestionSplit, count: int) -> Table:
    """The sizes of all sets; the last row makes them add up to the number of questions."""
    table = _table("Split", "", ">questions", ">facts", ">works", ">dev", ">test")
    table.add_row("trained", *_sizes(split.train), "", "")
    for name in DOMAIN_SETS:
        dev, test = split.dev.get(name, []), split.test.get(name, [])
        sizes = _sizes([*dev, *test])
        table.add_row(_SETS[name], *sizes, f"{len(dev):,}", f"{len(test):,}")
        count -= len(dev) + len(test)
    if unused := count - len(split.train):
        table.add_row(
            "neither trained nor asked: their fact or question is asked in a set above",
            f"{unused:,}",
        )
    return table


def _sizes(records: Sequence[QARecord]) -> tuple[str, str, str]:
    works = {record.work for record in records if record.work_is_known}
    facts = {record.fact for record in records}
    return f"{len(records):,}", f"{len(facts):,}", f"{len(works):,}"


def _warnings(records: Sequence[QARecord], split: QuestionSplit) -> list[Text]:
    abouts = (without_short_keys(records), about_answers(records), about_suspects(split))
    texts = list(filter(None, (*abouts, _about_verbs(records))))
    unknown = sum(not record.work_is_known for record in records)
    if unknown:
        texts.append(
            f"The work of {unknown:,} of {len(records):,} questions is not known: name a column "
            "with columns.work, give --articles, or quote titles with 「」. Until then their "
            "intervals are taken by fact, and a fact in two wordings may be taken for two, one of "
            "them trained and one held out."
        )
    for part, sets in (("dev", split.dev), ("test", split.test)):
        for name, members in sets.items():
            if len(members) < FEW_QUESTIONS:
                texts.append(
                    f"{_SETS[name]}, {part} part: n = {len(members)}; below {FEW_QUESTIONS} an "
                    "accuracy says little."
                )
    if not split.dev and not split.test:
        texts.append("Nothing is held out: validate, test and predict would have nothing to ask.")
    return [Text(f"! {text}") for text in texts]


def _about_verbs(records: Sequence[QARecord]) -> str:
    """A sentence on derived keys that a right answer in other words would not hold."""
    keys = [key for r in records if "keys" in r.derived and not r.whole_answers for key in r.keys]
    found = [key for key in keys if key.endswith(_VERBS)]
    if not found:
        return ""
    return (
        f"{len(found):,} of {len(keys):,} derived keys end in a verb, such as {found[0]!r}: an "
        "answer that gives the same in other words would count as wrong. Shorten them in the file "
        "that --output writes."
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if ">" in column else "left")
    return table


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _plain(text: str) -> Text:
    """A text as it is: brackets in it are no markup, and control characters are not sent."""
    return Text("".join(c if c == "\n" or c.isprintable() else "�" for c in text))
