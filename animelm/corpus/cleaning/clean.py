"""Which articles are worth training on, and in what form."""

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
from animelm.corpus.cleaning.text_key import letters
from animelm.errors import UserError


@dataclass(frozen=True)
class CleaningSettings:
    """What an article must be like to be kept.

    Args:
        minimum_characters: Shortest article, in characters without white space.
        language_share: Share of an article's letters, 0 to 1, that must be of the script of
            ``language``; 0 asks for nothing.
        language: Language of the corpus, as a code such as ja; ``any`` asks for nothing.
        near_duplicate_threshold: Articles whose character 5-grams are as similar as this (Jaccard,
            above 0, up to 1) to an earlier article's are dropped; 1 drops the same text only.
        drop_contaminated: Whether passages that contain evaluation questions are dropped; they are
            listed either way.
        questions: Files of evaluation questions, in the formats of ``--data.records``.
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
class Verdict:
    """What became of an article.

    Attributes:
        kept: whether it belongs to the corpus.
        reason: why it does not; empty for an article that is kept.
        markdown: the cleaned text.
    """

    kept: bool
    reason: str
    markdown: str


class Cleaner:
    """Judges articles one after the other.

    The verdicts depend on the settings, the articles judged before, and their order alone. Judging
    the cleaned text of kept articles again, in order, keeps every one of them unchanged: so a build
    that was interrupted reminds a new cleaner of what it has written.

    Args:
        settings: what is asked of an article.
        questions: the questions in the files that ``settings.questions`` names.

    Attributes:
        contaminations: passages with questions, of articles that are kept and of those that are too
            short without these passages.

    Raises:
        ValueError: ``settings.questions`` names files, and none of their questions is given.
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
        """Ids of the questions that are too short to be looked for."""
        return self._search.ignored

    def judge(self, title: str, markdown: str) -> Verdict:
        """Cleans an article and says whether it is kept.

        Args:
            title: its title, for reasons and lists.
            markdown: its text without front matter.
        """
        lines = unicodedata.normalize("NFC", markdown).split("\n")
        plain = [letters(line) for line in lines]
        reason = self._too_short(lines) or self._wrong_language(plain)
        if reason:
            return Verdict(False, reason, "\n".join(lines))
        found = self._search.find(title, lines, plain)
        if found and self.settings.drop_contaminated:
            dropped = contaminated_lines(found)
            kept = [number for number in range(len(lines)) if number + 1 not in dropped]
            lines, plain = [lines[n] for n in kept], [plain[n] for n in kept]
            reason = self._too_short(lines)
            if reason:
                self.contaminations += found
                reason = f"without the passages that contain questions {reason}"
                return Verdict(False, reason, "\n".join(lines))
        duplicate = self._duplicates.add(title, "".join(plain))
        if duplicate:
            likeness = "the same" if duplicate.exact else "nearly the same"
            reason = f"{likeness} text as {duplicate.title!r}"
            return Verdict(False, reason, "\n".join(lines))
        self.contaminations += found
        return Verdict(True, "", "\n".join(lines))

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
