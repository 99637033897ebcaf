"""The questions of a check: a file, or those that the adapter's record holds out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from animelm.data.domain import DataPaths, DomainData
from animelm.data.held_out import DOMAIN_SETS, SplitSettings
from animelm.data.sources.folder_files import weighted_folders
from animelm.data.sources.hub import local_copy
from animelm.data.sources.qa import QARecord, question_files, read_qa
from animelm.data.split import subsample
from animelm.data.tokenization.chat import AnswerFrom, ChatFormat
from animelm.errors import UserError
from animelm.evaluate.harmony import read_reply, stop_tokens
from animelm.evaluate.scoring import Distractors
from animelm.export.stock.measuring import Measured, Questions
from animelm.provenance.check import recorded_split, require_same_data
from animelm.provenance.fingerprints import record_paths
from animelm.provenance.record import DataRecord, DataRole, TrainingStep

_COMPARED = 16  # answers whose logits are compared


@dataclass(frozen=True)
class Scored:
    """The answers of one model.

    Attributes:
        outputs: the text of each answer, without control tokens.
        accuracies: key accuracy of each, 0 or 1.
        losses: mean loss of each expected answer's tokens, in nats; empty if the tool gives none.
    """

    outputs: tuple[str, ...]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def loss(self) -> float:
        """Mean over the answers; NaN without losses."""
        return sum(self.losses) / len(self.losses) if self.losses else float("nan")


class CheckQuestions:
    """Questions, encoded for every model in the same way.

    Args:
        records: the questions.
        distractors: what the answers are scored against.
        chat: format of the base.
        answer_from: where the prompts end.
        batch: prompts asked at once.
        max_new_tokens: longest answer in tokens.
    """

    def __init__(
        self,
        records: Sequence[QARecord],
        distractors: Distractors,
        chat: ChatFormat,
        answer_from: AnswerFrom,
        batch: int,
        max_new_tokens: int,
    ) -> None:
        self.records, self._distractors, self._chat = list(records), distractors, chat
        self._longest = max_new_tokens
        texts = [record.question for record in records]
        pairs = chat.encode_pairs([(record.question, record.answers[0]) for record in records])
        answers = [[int(token) for token in pair.input_ids[pair.supervised]] for pair in pairs]
        final = chat.encode_prompts(texts)
        # The expected answer follows the place where fine-tuning trained it.
        self.questions = Questions(
            prompts=chat.encode_prompts(texts, answer_from),
            answer_prompts=final,
            answers=answers,
            stop=stop_tokens(chat, in_answer=answer_from == "final"),
            pad=chat.pad_token_id,
            max_new_tokens=max_new_tokens,
            batch=batch,
            compared=min(_COMPARED, len(texts)),
        )
        self.texts = texts
        self.text_tokens = [chat.encode_text(text) for text in texts]

    def score(self, measured: Measured) -> Scored:
        """The answers' texts and scores."""
        outputs, accuracies = [], []
        replies = zip(self.records, self.questions.prompts, measured.replies, strict=True)
        for record, prompt, reply in replies:
            tokens = self._tokens(reply) if isinstance(reply, str) else reply
            output = read_reply(self._chat, prompt, tokens, self._longest).output
            outputs.append(output)
            accuracies.append(self._distractors.score(output, record).accuracy)
        return Scored(tuple(outputs), tuple(accuracies), tuple(measured.losses))

    def _tokens(self, reply: str) -> list[int]:
        encoded = self._chat.tokenizer(reply, add_special_tokens=False)
        return cast(list[int], encoded["input_ids"])


def check_records(
    adapter: Path,
    steps: Sequence[TrainingStep],
    file: Path | None,
    chat: ChatFormat,
    largest: int,
) -> tuple[list[QARecord], Distractors]:
    """The questions of a check, and what their answers are scored against.

    Args:
        adapter: its folder.
        steps: its record.
        file: questions and answers; None takes the anime questions of the test part that the record
            holds out.
        chat: format of the base.
        largest: number of questions to choose, by hash.

    Raises:
        UserError: there are none, or the recorded data is missing or has changed.
    """
    if file is not None:
        records = read_qa(file)
        return subsample(records, largest, 0), Distractors(records)
    advice = "name questions with --verify, or export without a check (--check=false)"
    paths = _recorded_paths(steps)
    if paths is None:
        raise UserError(f"{adapter}: its record names no questions for the check; {advice}")
    for each in (*paths.questions, *paths.general_questions):
        if not local_copy(each.path).exists():
            raise UserError(f"{each.path}: is not here, and {adapter} was trained on it; {advice}")
    require_same_data(adapter, steps, record_paths(paths))
    split = SplitSettings(**recorded_split({adapter: steps}))  # type: ignore[arg-type]
    data = DomainData(paths, chat.tokenizer, split)
    test = data.questions.test
    records = [r for name in DOMAIN_SETS for r in test.get(name, ())]
    if not records:
        raise UserError(f"{adapter}: its record holds out no question; {advice}")
    chosen = subsample(records, largest, split.seed)
    return chosen, Distractors([*data.records, *data.general_records])


def _recorded_paths(steps: Sequence[TrainingStep]) -> DataPaths | None:
    """Where the questions of the last step that had some lie, and the articles beside them.

    Articles only matter where works were found among their titles; where they are missing then, the
    questions have another hash.
    """
    for step in reversed(steps):
        # Several files of questions are one entry.
        paths = {
            role: [Path(path) for each in step.data if each.role == role for path in _paths(each)]
            for role in get_args(DataRole)
        }
        if paths["questions"]:
            return DataPaths(
                weighted_folders([path for path in paths["articles"] if path.exists()]),
                question_files(paths["questions"]),
                weighted_folders([path for path in paths["general_articles"] if path.exists()]),
                question_files(paths["general_questions"]),
            )
    return None


def _paths(source: DataRecord) -> list[str]:
    return source.path.split(", ") if "questions" in source.role else [source.path]
