"""Reads JSQuAD, NIILC, JEMHopQA and JCommonsenseQA as they are published."""

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from animelm.data.sources.qa import QARecord
from animelm.errors import UserError
from animelm.evaluate.standard_sets.question_set import QuestionSet
from animelm.reading import json_lines, read_json, read_utf8

_SHORT_ANSWER = "質問に対する答えを、語句のみで簡潔に答えてください。\n\n"
_FROM_PASSAGE = "文章を読み、質問に対する答えを文章中の語句のみで答えてください。\n\n"
_CHOOSE = "質問に対する答えを、選択肢の中から一つ選んで答えてください。\n\n"
_SEPARATOR = " [SEP] "  # between title and text in JSQuAD's passages
_CHOICES = 5


def read_standard_set(kind: str, path: Path) -> QuestionSet:
    """Reads a published set.

    ===============  ===================================================================
    kind             content
    ===============  ===================================================================
    jsquad           JGLUE's JSQuAD (.json), with the passage before the question
    jsquad_closed    the same without the passage
    niilc            NIILC-ECQA2015 (.xml)
    jemhopqa         JEMHopQA (.json)
    jcommonsenseqa   JGLUE's JCommonsenseQA (.jsonl), five choices
    ===============  ===================================================================

    Args:
        kind: one of ``STANDARD_SETS``.
        path: the published file.

    Raises:
        UserError: the kind is unknown; the file is missing or of another form, or holds no
            question.
    """
    if kind not in STANDARD_SETS:
        raise UserError(f"format {kind!r}; expected one of {', '.join(STANDARD_SETS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the published file of {kind}")
    try:
        found = STANDARD_SETS[kind](path)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path}: not the published form of {kind} ({type(error).__name__}: {error})"
        ) from error
    if not found.records:
        raise UserError(f"{path}: holds no question of {kind}")
    return found


def _record(
    kind: str, number: str, subject: str, question: str, answers: tuple[str, ...]
) -> QARecord:
    answers = tuple(dict.fromkeys(answers))
    return QARecord(
        id=number,
        work=subject,
        fact=number,
        direction="forward",
        wording=kind,
        domain="general",
        question=question,
        answers=answers,
        keys=answers,
    )


def _jsquad(path: Path, opened: bool) -> QuestionSet:
    records, passages = [], {}
    for article in read_json(path)["data"]:
        for paragraph in article["paragraphs"]:
            title, _, text = paragraph["context"].partition(_SEPARATOR)
            for question in paragraph["qas"]:
                answers = tuple(answer["text"] for answer in question["answers"])
                records.append(
                    _record(
                        "jsquad", question["id"], article["title"], question["question"], answers
                    )
                )
                passages[question["id"]] = f"{title}\n{text}"
    if opened:
        return QuestionSet(records, "short_answer", _FROM_PASSAGE, passages)
    return QuestionSet(records, "short_answer", _SHORT_ANSWER)


def _niilc(path: Path) -> QuestionSet:
    text = read_utf8(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        # Entities can be made to grow without limit, and the published file has none.
        raise UserError(f"{path}: holds a document type or entities; expected the published file")
    try:
        root = ElementTree.fromstring(text.partition("?>")[2] or text)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not valid XML: {error}") from error
    return QuestionSet(list(_niilc_records(root)), "short_answer", _SHORT_ANSWER)


def _niilc_records(root: ElementTree.Element) -> Iterator[QARecord]:
    for question in root.iter("question"):
        text = (question.findtext("text") or "").strip()
        found = (answer.text for answer in question.iter("answer"))
        answers = tuple(answer.strip() for answer in found if answer and answer.strip())
        # Some questions have no accepted answer, and cannot be scored.
        if text and answers:
            yield _record("niilc", question.attrib["id"], question.attrib["id"], text, answers)


def _jemhopqa(path: Path) -> QuestionSet:
    records = [
        # Questions on one page are not independent: the first page is the subject.
        _record(
            "jemhopqa",
            item["qid"],
            str(item["page_ids"][0]) if item.get("page_ids") else item["qid"],
            item["question"],
            (item["answer"],),
        )
        for item in read_json(path)
    ]
    return QuestionSet(records, "short_answer", _SHORT_ANSWER)


def _jcommonsenseqa(path: Path) -> QuestionSet:
    records, choices = [], {}
    for number, item in json_lines(path):
        options = tuple(str(item[f"choice{index}"]) for index in range(_CHOICES))
        if not isinstance(item["label"], int) or not 0 <= item["label"] < _CHOICES:
            raise UserError(f"{path}:{number}: label is {item['label']!r}; expected 0 to 4")
        right = options[item["label"]]
        name = str(item["q_id"])
        asked = f"{item['question']}\n選択肢: {'、'.join(options)}"
        records.append(_record("jcommonsenseqa", name, name, asked, (right,)))
        # The right one first, as the measurement of likelihoods expects it.
        choices[name] = (right, *(option for option in options if option != right))
    return QuestionSet(records, "multiple_choice", _CHOOSE, choices=choices)


STANDARD_SETS: dict[str, Callable[[Path], QuestionSet]] = {
    "jsquad": lambda path: _jsquad(path, opened=True),
    "jsquad_closed": lambda path: _jsquad(path, opened=False),
    "niilc": _niilc,
    "jemhopqa": _jemhopqa,
    "jcommonsenseqa": _jcommonsenseqa,
}
