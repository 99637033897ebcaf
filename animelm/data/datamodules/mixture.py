"""Several sources of text in one stream, as the embedded base is trained on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightning as L
import numpy as np
from transformers import PreTrainedTokenizerBase

from animelm.data.batches.batch import Documents
from animelm.data.batches.loaders import PackedLoader, QuestionLoader
from animelm.data.batches.mixing import TrainingSource, training_loader
from animelm.data.held_out import REHEARSED, QuestionSplit, SplitSettings, split_questions
from animelm.data.sources.qa import QARecord, read_qa
from animelm.data.split import subsample
from animelm.data.tokenization.chat import ChatFormat
from animelm.data.tokenization.token_store import tokenize_folder
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.data.world import rank_and_world_size
from animelm.errors import UserError


@dataclass(frozen=True)
class Source:
    """One source of training text.

    Args:
        path: Folder of articles, or a file of QA records.
        repeats: How often its text occurs in an epoch.
        leads: Whether it comes first, before the other sources are mixed: an easy first lesson.
    """

    path: Path
    repeats: int = 1
    leads: bool = False


class MixtureDataModule(L.LightningDataModule):
    """Folders of articles and QA files in one packed stream, each repeated as often as given.

    Held-out wordings of QA records are not trained on; validation asks those of ``asked``.

    Args:
        base: Checkpoint folder, for its tokenizer and chat template.
        sources: Sources of the text.
        asked: File of QA records to ask in validation.
        block_size: Tokens per block.
        blocks_per_batch: Blocks per batch on each device.
        held_out_wordings: Share of each fact's wordings to hold out, 0 to 1.
        questions_per_set: Number of questions per validation.
        questions_per_batch: Number of questions to answer in one batch.
        seed: Seed of the choice of held-out wordings and of the training order.
        workers: Number of processes that tokenize.
        cache: Folder for tokenized articles. Default: ~/.cache/animelm.
    """

    def __init__(
        self,
        base: str,
        sources: list[Source],
        asked: Path,
        block_size: int = 512,
        blocks_per_batch: int = 8,
        held_out_wordings: float = 0.25,
        questions_per_set: int = 256,
        questions_per_batch: int = 64,
        seed: int = 0,
        workers: int = 2,
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        if not sources:
            raise UserError("sources is empty: there is nothing to train on")
        self.base = base
        self.sources = sources
        self.asked = asked
        self.block_size = block_size
        self.blocks_per_batch = blocks_per_batch
        self.questions_per_set = questions_per_set
        self.questions_per_batch = questions_per_batch
        # All subjects are trained on, and all held-out questions asked.
        self.split_settings = SplitSettings(
            seed, held_out_wordings, held_out_subjects=0.0, dev_share=0.0
        )
        self.seed = seed
        self.workers = workers
        self.cache = cache

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.base)

    @cached_property
    def _chat(self) -> ChatFormat:
        return ChatFormat(self._tokenizer)

    @cached_property
    def _documents(self) -> list[Documents]:
        return [self._read(source.path) for source in self.sources]

    def _read(self, path: Path) -> Documents:
        if path.is_dir():
            return tokenize_folder(path, self._tokenizer, self.workers, self.cache)
        replay = self._split(read_qa(path, domain="general")).replay
        return self._chat.encode_pairs(
            [(r.question, answer) for r in replay for answer in r.answers]
        )

    def _split(self, records: list[QARecord]) -> QuestionSplit:
        return split_questions([], records, self.split_settings)

    @property
    def records_for_scoring(self) -> list[QARecord]:
        """Every record of ``asked``; distractors are found among them."""
        return read_qa(self.asked, domain="general")

    def prepare_data(self) -> None:
        """Tokenizes the sources, in one process per machine."""
        _ = self._documents

    def train_dataloader(self) -> PackedLoader:
        """Packed blocks of all sources."""
        rank, world_size = rank_and_world_size(self)
        return training_loader(
            [
                TrainingSource(
                    part,
                    np.array([len(part[i]) for i in range(len(part))], np.int64),
                    np.arange(len(part)),
                    passes=source.repeats,
                    leads=source.leads,
                )
                for source, part in zip(self.sources, self._documents, strict=True)
            ],
            block_size=self.block_size,
            blocks_per_batch=self.blocks_per_batch,
            pad_token_id=self._chat.pad_token_id,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def val_dataloader(self) -> list[QuestionLoader]:
        """Held-out wordings of ``asked``."""
        held_out = self._split(self.records_for_scoring).test[REHEARSED]
        records = subsample(held_out, self.questions_per_set, self.seed)
        rank, world_size = rank_and_world_size(self)
        return [
            QuestionLoader(
                records, self._chat, REHEARSED, self.questions_per_batch, rank, world_size
            )
        ]
