"""The settings of ``compare``."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from animelm.data.domain import DataPaths
from animelm.data.held_out import SplitSettings
from animelm.data.sources.folder_files import FolderSetting, weighted_folders
from animelm.data.sources.qa import Columns, QuestionFile, question_files
from animelm.data.tokenization.chat import AnswerFrom
from animelm.model.lora.files import find_adapter
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

    Each adapter's record says what it was trained on: another base, other data or another split
    than that is refused, because questions that were trained on would count as held out.

    Args:
        base: Checkpoint folder or hub id of the model that the adapters belong to.
        records: Anime questions and answers, in the forms that training reads. The fine-tuning was
            trained on a part of them. May be left out where sets are given.
        cpt_adapter: Adapter folder of the continual pre-training, or the folder of that run; so
            too for the next two. Left out of the comparison by default.
        sft_only_adapter: Adapter folder of a fine-tuning that began from the base. It is the
            control that shows what the continual pre-training contributes. Left out by default.
        sft_adapter: Adapter folder of the fine-tuning that followed the continual pre-training.
            Left out by default.
        retrieval: Let the base also answer with the right article in its prompt. This shows what
            a perfect search engine would give, instead of training.
        models: The models of the comparison by names of your choice, instead of the four settings
            above. Each is an adapter's folder, a whole model's folder, a list of adapters of
            several seeds (one row, with mean and spread), nothing (the base), or a mapping with
            adapter, checkpoint, quantization, answer_from and retrieval, of which each may be left
            out. With retrieval: true the right article stands in the prompt.
        sets: Further questions by names of your choice, asked whole. Each is a file, or a mapping
            with file, format, domain and questions (their largest number). The format is records
            (as the questions above), or a published set: jsquad, jsquad_closed, niilc, jemhopqa,
            jcommonsenseqa. It may be left out where the name is that of a published set.
        rivals: Number of wrong keys beside which the likelihood of the right key is measured. 0
            measures no likelihoods, except of multiple choices.
        general_records: Questions on other subjects, which show what was forgotten.
        articles: Folder of the anime articles of the continual pre-training, or several.
        general_articles: Folder of articles on other subjects, or several.
        held_out_wordings: Share of each fact's wordings that training never saw. By default this
            and the next five settings are those that the adapters were trained with.
        held_out_works: Share of the works that training never asked about.
        held_out_subjects: Share of the general subjects that no general text and no question of
            training names.
        dev_share: Share of each held-out set's works that is left out here, because recipes were
            chosen on it.
        validation_share: Share of the articles that training never saw; perplexity is measured on
            them.
        seed: Seed of these splits, and of the bootstrap.
        questions_per_set: Largest number of questions of each held-out set, chosen by hash. By
            default all are asked.
        trained_questions: Number of questions of training that are asked as well, chosen by hash,
            as the set anime_trained: what is recalled, beside what is known. 0 asks none.
        questions_per_batch: Questions answered at once. More is faster, and takes more memory.
        max_new_tokens: Longest answer in tokens, the same for every question.
        answer_from: Where a question's prompt ends. final: where the answer begins, as in
            fine-tuning. start: where the assistant's turn begins, so that gpt-oss may think first.
            auto: final for fine-tuned models, start for the others. Ignored by models without
            channels.
        max_thinking_tokens: Tokens on top of max_new_tokens for a model that may think first. Its
            thoughts are not scored; an answer that it does not begin within them is wrong.
        block_size: Tokens per block of articles, as in training.
        blocks_per_batch: Blocks whose perplexity is measured at once.
        quantization: Storage of the frozen weights, as in training; none keeps them in the compute
            type.
        compute_type: float32, bfloat16, or auto to measure which is faster on this machine.
        columns: Names of the columns of records, as in training.
        cache: Folder of tokenized articles. By default the one that training uses.
        output: Folder for results.jsonl (every answer), summary.json and the other files of the
            comparison. A comparison that was interrupted goes on here where it stopped.
        seconds_before: Time that belongs to this comparison and passed before it, such as the
            training of the adapters, in seconds. It is added to "seconds" in the summary.
    """

    base: str
    records: Path | QuestionFile | list[Path | QuestionFile] | None = None
    cpt_adapter: Path | None = None
    sft_only_adapter: Path | None = None
    sft_adapter: Path | None = None
    retrieval: bool = False
    models: dict[str, Any] | None = None
    sets: dict[str, Any] | None = None
    rivals: int = 0
    general_records: Path | QuestionFile | list[Path | QuestionFile] | None = None
    articles: FolderSetting = None
    general_articles: FolderSetting = None
    held_out_wordings: float | None = None
    held_out_works: float | None = None
    held_out_subjects: float | None = None
    dev_share: float | None = None
    validation_share: float | None = None
    seed: int | None = None
    questions_per_set: int | None = None
    trained_questions: int = 0
    questions_per_batch: int = 128
    max_new_tokens: int = 64
    answer_from: AnswerFromSetting = "auto"
    max_thinking_tokens: int = 512
    block_size: int = 512
    blocks_per_batch: int = 8
    quantization: Quantization = "nf4"
    compute_type: ComputeType = "auto"
    columns: Columns = Columns()  # noqa: RUF009 (frozen)
    cache: Path | None = None
    output: Path = Path("runs/compare")
    seconds_before: float = 0.0

    @property
    def adapters(self) -> dict[str, Path]:
        """The folders of the adapters that were given, by model name."""
        given = {
            "cpt": self.cpt_adapter,
            "sft_only": self.sft_only_adapter,
            "sft": self.sft_adapter,
        }
        return {name: find_adapter(folder) for name, folder in given.items() if folder is not None}

    @property
    def data_paths(self) -> DataPaths:
        """Where the questions and articles lie."""
        return DataPaths(
            weighted_folders(self.articles),
            question_files(self.records),
            weighted_folders(self.general_articles),
            question_files(self.general_records),
            self.columns,
        )

    @property
    def given_split(self) -> dict[str, int | float | None]:
        """The split settings that were given, by name; None for those that were not."""
        return {each.name: getattr(self, each.name) for each in fields(SplitSettings)}
