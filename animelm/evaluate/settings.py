"""The settings of ``compare``."""

from dataclasses import dataclass
from pathlib import Path

from animelm.model.precision import ComputeType
from animelm.model.quantize import Quantization


@dataclass
class CompareSettings:
    """What to compare, on which questions and articles.

    The shares, the seed and the files must be those of the training, or what was trained would be
    taken for held out.

    Args:
        base: Checkpoint folder or hub id of the model that all adapters belong to.
        records: Anime questions and answers (.jsonl, .csv or .txt) that the SFT was trained on a
            part of.
        cpt_adapter: Adapter folder of the continual pre-training; left out of the comparison when
            not given.
        sft_adapter: Adapter folder of the fine-tuning that followed; left out when not given.
        general_records: Questions on other subjects, to see what was forgotten. Their held-out
            wordings are asked; none of their subjects is held out.
        articles: Folder of the anime articles (.md) of the continual pre-training.
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
        block_size: Tokens per block of articles; as in training.
        blocks_per_batch: Blocks whose perplexity is measured at once.
        quantization: nf4 as in training, or none for a base held in the compute type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.
        cache: Folder of tokenised articles; null for the one that training uses by default.
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
    block_size: int = 512
    blocks_per_batch: int = 8
    quantization: Quantization = "nf4"
    compute_type: ComputeType = "auto"
    cache: Path | None = None
    output: Path = Path("runs/compare")
    seconds_before: float = 0.0

    @property
    def adapters(self) -> dict[str, Path]:
        """The adapter folders that were given, by model name, in the order of their training."""
        given = {"cpt": self.cpt_adapter, "sft": self.sft_adapter}
        return {name: folder for name, folder in given.items() if folder is not None}
