"""A set of questions that is asked whole, with its prompts and its way of scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from animelm.data.sources.qa import QARecord
from animelm.evaluate.scoring import Distractors, Scores, character_f1, exact_match
from animelm.evaluate.scoring.spelling import one_spelling

Scoring = Literal["keys", "short_answer", "multiple_choice"]


@dataclass(frozen=True)
class QuestionSet:
    """Questions that are asked whole.

    Attributes:
        records: the questions. Of a multiple choice the accepted answers are the right choice.
        scoring: keys: as the held-out sets, by a key and no distractor. short_answer: as the field
            does, by exact match (which is also the accuracy) and character F1 of the answer's first
            line (SQuAD, arXiv 1606.05250; over characters in JGLUE, Kurihara et al., LREC 2022).
            multiple_choice: whether the right choice is the likeliest.
        opening: text before each question, such as an instruction.
        passages: text that a question is about, by its id.
        choices: the choices by id; empty unless ``scoring`` is multiple_choice.
    """

    records: Sequence[QARecord]
    scoring: Scoring
    opening: str = ""
    passages: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def before(self, record: QARecord) -> str:
        """The text that precedes a question in its prompt."""
        passage = self.passages.get(record.id)
        return self.opening + (f"{passage}\n\n" if passage else "")

    def score(self, output: str, record: QARecord, distractors: Distractors) -> Scores:
        """The scores of a generated answer."""
        if self.scoring == "keys":
            return distractors.score(output, record)
        first_line = output.strip().partition("\n")[0]
        exact = exact_match(first_line, record.answers)
        loose = exact_match(one_spelling(first_line), map(one_spelling, record.answers))
        return Scores(exact, exact, character_f1(first_line, record.answers), max(exact, loose))
