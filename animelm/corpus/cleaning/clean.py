"""Cleans articles, and decides which of them are kept."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from animelm.corpus.cleaning.decontaminate import (
    Contamination,
    Question,
    QuestionSearch,
    contaminated_lines,
)
from animelm.corpus.cleaning.dedup import Duplicates
from animelm.corpus.cleaning.language import LANGUAGES, language_share
from animelm.corpus.cleaning.text_key import text_key
from animelm.errors import UserError


@dataclass(frozen=True)
class CleaningSettings:
    """Conditions that an article must meet to be kept.

    Args:
        minimum_characters: Minimum length of an article in characters, white space not counted.
        language_share: Minimum share of an article's letters, 0 to 1, that belong to the script of
            the language; 0 keeps every language.
        language: Language of the corpus as a code such as ja; any keeps every language. corpus
            build also takes dump, the language of the dump's wiki.
        near_duplicate_threshold: Articles whose character 5-grams are at least this similar
            (Jaccard similarity, above 0, up to 1) to those of an earlier article are dropped; 1
            drops identical texts only.
        drop_contaminated: Whether to drop passages that contain evaluation questions. They are
            listed in any case.
        questions: Files of evaluation questions, in the formats of --data.records.
    """

    minimum_characters: int = 100
    language_share: float = 0.3
    language: str = "ja"
    near_duplicate_threshold: float = 0.8
    drop_contaminated: bool = False
    questions: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.minimum_characters < 0:
            raise UserError(f"minimum_characters must be 0 or more, not {self.minimum_characters}")
        if not 0 <= self.language_share <= 1:
            raise UserError(f"language_share must be from 0 to 1, not {self.language_share}")
        if self.language != "any" and self.language not in LANGUAGES:
            known = ", ".join(sorted(LANGUAGES))
            raise UserError(f"language must be any or one of {known}, not {self.language!r}")
        if not 0 < self.near_duplicate_threshold <= 1:
            raise UserError(
                "near_duplicate_threshold must be above 0 and at most 1, not "
                f"{self.near_duplicate_threshold}"
            )


@dataclass(frozen=True)
class CleaningResult:
    """Whether an article is kept, and its cleaned text.

    Attributes:
        kept: whether it is kept.
        reason: why it is not; empty for an article that is kept.
        markdown: the cleaned text.
    """

    kept: bool
    reason: str
    markdown: str


class Cleaner:
    """Cleans articles one after the other.

    The result depends only on the settings, the articles cleaned before, and their order. Cleaning
    the texts of kept articles again, in the same order, keeps each of them unchanged.

    Args:
        settings: conditions that an article must meet.
        questions: the questions in the files that ``settings.questions`` names.

    Attributes:
        contaminations: passages with questions, in articles that are kept and in those that are
            left out because of what remains without these passages.

    Raises:
        ValueError: ``settings.questions`` names files, but none of their questions is given.
    """

    def __init__(self, settings: CleaningSettings, questions: Iterable[Question] = ()) -> None:
        questions = list(questions)
        if settings.questions and not questions:
            raise ValueError("the questions of settings.questions must be read and given")
        self.settings = settings
        self.contaminations: list[Contamination] = []
        self._duplicates = Duplicates(settings.near_duplicate_threshold)
        self._search = QuestionSearch(questions)

    @property
    def ignored_questions(self) -> list[str]:
        """Ids of the questions that are too short to be searched for."""
        return self._search.ignored

    def clean(self, title: str, markdown: str) -> CleaningResult:
        """Cleans an article and decides whether it is kept.

        Args:
            title: its title, for messages.
            markdown: its text without front matter.
        """
        lines = unicodedata.normalize("NFC", markdown).split("\n")
        plain = [text_key(line) for line in lines]
        reason = self._too_short(lines) or self._wrong_language(plain)
        if reason:
            return CleaningResult(False, reason, "\n".join(lines))
        found = self._search.find(title, lines, plain)
        if found and self.settings.drop_contaminated:
            dropped = contaminated_lines(found)
            kept = [number for number in range(len(lines)) if number + 1 not in dropped]
            lines, plain = [lines[n] for n in kept], [plain[n] for n in kept]
            reason = self._too_short(lines) or self._wrong_language(plain)
            if reason:
                self.contaminations += found
                reason = f"without the passages that contain questions: {reason}"
                return CleaningResult(False, reason, "\n".join(lines))
        duplicate = self._duplicates.add(title, "".join(plain))
        if duplicate:
            likeness = "the same" if duplicate.exact else "nearly the same"
            reason = f"{likeness} text as {duplicate.title!r}"
            return CleaningResult(False, reason, "\n".join(lines))
        self.contaminations += found
        return CleaningResult(True, "", "\n".join(lines))

    def _too_short(self, lines: Sequence[str]) -> str:
        characters = sum(len("".join(line.split())) for line in lines)
        least = self.settings.minimum_characters
        return "" if characters >= least else f"{characters} characters, fewer than {least}"

    def _wrong_language(self, plain: Sequence[str]) -> str:
        least, language = self.settings.language_share, self.settings.language
        if language == "any" or least == 0:
            return ""
        share = language_share("".join(plain), language)
        if share >= least:
            return ""
        return f"{share:.0%} of its letters are of the script of {language}, fewer than {least:.0%}"
