"""Several sources of text in one stream: what the embedded base is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightning as L
import numpy as np
from torch.utils.data import ConcatDataset

from animelm.data.batch import Document
from animelm.data.loaders import PackedLoader, QuestionLoader
from animelm.data.packing import pack_selected
from animelm.data.prompts import ChatFormat
from animelm.data.qa import read_qa
from animelm.data.sampler import BlockSampler
from animelm.data.split import split_qa, subsample
from animelm.data.token_store import tokenise_folder
from animelm.data.tokens import load_tokenizer
from animelm.data.world import rank_and_world_size
from animelm.errors import UserError


@dataclass(frozen=True)
class Source:
    """One source of training text.

    Args:
        path: Folder of Markdown files, or a file of QA records.
        repeats: How often its text comes in one epoch.
    """

    path: Path
    repeats: int = 1


class MixtureDataModule(L.LightningDataModule):
    """Markdown folders and QA files in one packed stream, each as often as wanted.

    Of the QA records only the wordings that are not held out are trained. Validation asks held-out
    wordings of ``asked``.

    Args:
        base: Checkpoint folder, for its tokenizer and chat template.
        sources: Where the text comes from.
        asked: File of QA records to ask in validation.
        block_size: Tokens of a block.
        blocks_per_batch: Blocks of a batch on each device.
        held_out_wordings: Share of each fact's wordings, 0 to 1, that are never trained.
        questions_per_set: Questions that a validation asks.
        questions_per_batch: Questions that are answered together.
        seed: Decides which wordings are held out, and the order of training.
        workers: Processes that tokenise.
        cache: Folder for tokenised articles. Default: ~/.cache/animelm.
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
        self.held_out_wordings = held_out_wordings
        self.questions_per_set = questions_per_set
        self.questions_per_batch = questions_per_batch
        self.seed = seed
        self.workers = workers
        self.cache = cache

    @cached_property
    def _tokenizer(self):
        return load_tokenizer(self.base)

    @cached_property
    def _chat(self) -> ChatFormat:
        return ChatFormat(self._tokenizer)

    @cached_property
    def _documents(self) -> list[Sequence[Document]]:
        return [self._read(source.path) for source in self.sources]

    def _read(self, path: Path) -> Sequence[Document]:
        if path.is_dir():
            return tokenise_folder(path, self._tokenizer, self.workers, self.cache)
        split = split_qa(read_qa(path, domain="general"), self.held_out_wordings, 0.0, self.seed)
        return self._chat.encode_pairs(
            [(r.question, answer) for r in split.train for answer in r.answers]
        )

    @property
    def records_for_scoring(self):
        """Every record of ``asked``: rival answers are found among them."""
        return read_qa(self.asked, domain="general")

    def prepare_data(self) -> None:
        """Tokenises, on one process of each machine."""
        _ = self._documents

    def train_dataloader(self) -> PackedLoader:
        """Packed blocks of all sources."""
        parts, repeats = self._documents, [source.repeats for source in self.sources]
        lengths = np.array([len(document) for part in parts for document in part], dtype=np.int64)
        first = np.cumsum([0, *(len(part) for part in parts)])
        chosen = np.concatenate(
            [np.tile(np.arange(first[i], first[i + 1]), repeat) for i, repeat in enumerate(repeats)]
        )
        rank, world_size = rank_and_world_size(self)
        order = np.random.default_rng(self.seed).permutation(chosen)
        sampler = BlockSampler(
            pack_selected(lengths, order, self.block_size),
            block_size=self.block_size,
            blocks_per_batch=self.blocks_per_batch,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        return PackedLoader(ConcatDataset(parts), sampler, self._chat.pad_token_id)

    def val_dataloader(self) -> list[QuestionLoader]:
        """Held-out wordings of ``asked``."""
        split = split_qa(self.records_for_scoring, self.held_out_wordings, 0.0, self.seed)
        records = subsample(split.unseen_wording, self.questions_per_set, self.seed)
        rank, world_size = rank_and_world_size(self)
        return [
            QuestionLoader(
                records, self._chat, "general", self.questions_per_batch, rank, world_size
            )
        ]
