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
    """Where the prompts of a model end; auto depends on how it was trained.

    A model that was fine-tuned here answers at once, after a prompt that ends at ``final``. The
    published gpt-oss, also after CPT, was trained to think first. It is prompted at ``start``;
    otherwise its scores would not show what it knows.

    Args:
        setting: the setting of the user.
        fine_tuned: whether the model was trained on questions and answers (SFT).
    """
    if setting == "auto":
        return "final" if fine_tuned else "start"
    return setting


@dataclass
class CompareSettings:
    """The models to compare, and the questions and articles to evaluate them on.

    The shares, the seed and the files must be as in training; otherwise questions that were trained
    on would count as held out.

    Args:
        base: Checkpoint folder or Hugging Face hub id of the base of all adapters.
        records: Anime questions and answers (.jsonl, .csv, .txt or .parquet), as for SFT.
        cpt_adapter: Adapter folder of the continual pre-training. Without it, CPT is left out.
        sft_adapter: Adapter folder of the fine-tuning after CPT. Without it, CPT+SFT is left out.
        general_records: Questions on other subjects, to measure forgetting. Their held-out wordings
            are asked; no subject is held out.
        articles: Folder of anime articles (.md or .parquet), as for CPT.
        general_articles: Folder of articles on other subjects.
        held_out_wordings: Share of each fact's wordings that was held out of training.
        held_out_works: Share of the works that training never asked about.
        validation_share: Share of the articles that was held out of training; the perplexity is
            measured on them.
        seed: Seed of these splits, and of the bootstrap.
        questions_per_set: Maximum number of questions of each held-out set, chosen by hash; null
            asks all.
        questions_per_batch: Number of questions to answer in one batch. A larger batch is faster
            and takes more memory.
        max_new_tokens: Maximum length of an answer in tokens, the same for every question.
        answer_from: Where the prompt ends. final: at the beginning of the answer, as in
            fine-tuning. start: at the beginning of the assistant's turn, so that gpt-oss can think
            first. auto: final for CPT+SFT, start for base and CPT. Ignored by models without
            channels.
        max_thinking_tokens: Additional tokens for a model that can think first. Thinking is not
            scored; if no answer begins within these tokens, it counts as wrong.
        block_size: Tokens per block of articles, as in training.
        blocks_per_batch: Number of blocks per batch when perplexity is measured.
        quantization: Format of the base's weights, as in training; none keeps them in the compute
            type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.
        cache: Folder of tokenized articles; null for ~/.cache/animelm, as in training.
        output: Folder to write results.jsonl (every answer) and summary.json to.
        seconds_before: Seconds to add to the duration in the summary, for work before this
            comparison such as training the adapters.
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
        """The given adapter folders by model name, in the order of training."""
        given = {"cpt": self.cpt_adapter, "sft": self.sft_adapter}
        return {name: folder for name, folder in given.items() if folder is not None}
