"""The settings of ``compare``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animelm.data.held_out import SplitSettings
from animelm.data.tokenization.chat import AnswerFrom
from animelm.model.precision import ComputeType
from animelm.model.quantization.linear4bit import Quantization

AnswerFromSetting = Literal["auto", "final", "start"]


def resolve_answer_from(setting: AnswerFromSetting, fine_tuned: bool) -> AnswerFrom:
    """Where a model's prompts end; for auto, by what it was trained on.

    A model that was fine-tuned here has learned to answer at once, right behind the place where
    ``final`` ends. Neither a published gpt-oss nor one that read articles on top (CPT) has: it
    learned to think first, and is asked at ``start``, or it would be measured below what it knows.

    Args:
        setting: what the user asked for.
        fine_tuned: whether the model was trained on questions and answers (SFT).
    """
    if setting == "auto":
        return "final" if fine_tuned else "start"
    return setting


@dataclass
class CompareSettings:
    """What to compare, on which questions and articles.

    The shares, the seed and the files must be those of the training, or what was trained would be
    taken for held out.

    Args:
        base: Checkpoint folder or hub id of the model that all adapters belong to.
        records: Anime questions and answers (.jsonl, .csv, .txt or .parquet) that the SFT was
            trained on a part of.
        cpt_adapter: Adapter folder of the continual pre-training; left out of the comparison when
            not given.
        sft_adapter: Adapter folder of the fine-tuning that followed; left out when not given.
        general_records: Questions on other subjects, to see what was forgotten. Their held-out
            wordings are asked; none of their subjects is held out.
        articles: Folder of the anime articles (.md or .parquet) of the continual pre-training.
        general_articles: Folder of articles on other subjects.
        held_out_wordings: Share of each fact's wordings that training never saw.
        held_out_works: Share of the works that training never asked about.
        validation_share: Share of the articles that training never saw; perplexity is measured on
            them.
        seed: Seed of these splits, and of the bootstrap.
        questions_per_set: At most so many questions of each held-out set, chosen by hash; null asks
            all.
        questions_per_batch: Questions answered at once. More is faster, and takes more memory.
        max_new_tokens: Longest answer in tokens, the same for every question.
        answer_from: Where a question's prompt ends. final: where the answer begins, as fine-tuning
            has it. start: where the assistant's turn begins, so that gpt-oss may think first. auto:
            final for the fine-tuned model, start for base and CPT. Bases whose chat format has no
            channels know no difference.
        max_thinking_tokens: Tokens on top of max_new_tokens for a model that may think first. Its
            thoughts are not scored; an answer that it does not begin within them is wrong.
        block_size: Tokens per block of articles; as in training.
        blocks_per_batch: Blocks whose perplexity is measured at once.
        quantization: as in training, or none for a base held in the compute type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.
        cache: Folder of tokenized articles; null for the one that training uses by default.
        output: Folder for results.jsonl (every answer) and summary.json.
        seconds_before: Time that belongs to this comparison and passed before it, such as the
            training of the adapters; added to "seconds" in the summary.
    """

    base: str
    records: Path
    cpt_adapter: Path | None = None
    sft_adapter: Path | None = None
    general_records: Path | None = None
    articles: Path | None = None
    general_articles: Path | None = None
    held_out_wordings: float = 0.25
    held_out_works: float = 0.25
    validation_share: float = 0.05
    seed: int = 0
    questions_per_set: int | None = None
    questions_per_batch: int = 128
    max_new_tokens: int = 64
    answer_from: AnswerFromSetting = "auto"
    max_thinking_tokens: int = 512
    block_size: int = 512
    blocks_per_batch: int = 8
    quantization: Quantization = "nf4"
    compute_type: ComputeType = "auto"
    cache: Path | None = None
    output: Path = Path("runs/compare")
    seconds_before: float = 0.0

    @property
    def split_settings(self) -> SplitSettings:
        """The split of the questions and articles.

        Raises:
            UserError: a share is not in [0, 1).
        """
        return SplitSettings(
            self.seed, self.held_out_wordings, self.held_out_works, self.validation_share
        )

    @property
    def adapters(self) -> dict[str, Path]:
        """The adapter folders that were given, by model name, in the order of their training."""
        given = {"cpt": self.cpt_adapter, "sft": self.sft_adapter}
        return {name: folder for name, folder in given.items() if folder is not None}
