"""Folders of articles as a LightningDataModule."""

from functools import cached_property
from pathlib import Path

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from animelm.data.batches.loaders import PackedLoader, training_loader
from animelm.data.held_out import ANIME_ARTICLES, GENERAL_ARTICLES, SplitSettings
from animelm.data.split import check_share
from animelm.data.tokenization.articles import ArticleCorpus
from animelm.data.tokenization.tokenizer import load_tokenizer
from animelm.data.world import rank_and_world_size


class MarkdownDataModule(L.LightningDataModule):
    """A folder of articles, for continual pre-training.

    Articles are tokenized once, in parallel, and cached on disk by their content and the tokenizer.
    Each ends with the end-of-document token, and all tokens count in the loss. Blocks are packed
    with several articles, which do not attend to each other. A share of the articles is held out
    for validation (anime_articles). Replay articles (general text) reduce forgetting; their
    held-out share is a second validation set (general_articles), which measures forgetting.

    Args:
        base: Checkpoint folder or Hugging Face hub name of the base model, for its tokenizer.
        folder: Folder of Markdown files (.md, UTF-8), subfolders included; YAML front matter is not
            trained on. Or a folder of Parquet files with a column text and one row per article,
            named by a column title or id; or a dataset on the Hugging Face hub, written as
            hf://datasets/owner/name.
        replay_folders: Folders of general articles to mix in, in either form.
        replay_share: Share of replay in the training tokens of an epoch, 0 to 1. 0.01 to 0.05
            already helps; 0.25 suits a change of language (arXiv 2403.08763). Every epoch draws
            different replay articles.
        block_size: Tokens per block. Longer articles are divided.
        blocks_per_batch: Blocks per batch on each device.
        validation_share: Share of the articles to hold out, 0 to 1.
        seed: Seed of the choice of held-out articles and of the training order.
        workers: Number of processes that tokenize.
        cache: Folder for tokenized articles. Default: ~/.cache/animelm.
    """

    def __init__(
        self,
        base: str,
        folder: Path,
        replay_folders: list[Path] | None = None,
        replay_share: float = 0.2,
        block_size: int = 512,
        blocks_per_batch: int = 8,
        validation_share: float = 0.05,
        seed: int = 0,
        workers: int = 2,
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        check_share("replay_share", replay_share)
        self.base = base
        self.folders = [Path(folder), *map(Path, replay_folders or [])]
        self.replay_share = replay_share if replay_folders else 0.0
        self.block_size = block_size
        self.blocks_per_batch = blocks_per_batch
        self.split_settings = SplitSettings(seed, validation_share=validation_share)
        self.seed = seed
        self.workers = workers
        self.cache = cache

    @cached_property
    def corpus(self) -> ArticleCorpus:
        """The tokenized articles; tokenizes them on first access."""
        return ArticleCorpus(
            self.folders,
            load_tokenizer(self.base),
            self.split_settings,
            self.workers,
            self.cache,
        )

    @cached_property
    def _validation_sets(self) -> dict[str, list[int]]:
        """The folders of each validation set, without sets that are empty."""
        sets = {ANIME_ARTICLES: [0], GENERAL_ARTICLES: list(range(1, len(self.folders)))}
        held_out = self.corpus.validation
        return {
            name: folders
            for name, folders in sets.items()
            if any(len(held_out[folder]) for folder in folders)
        }

    @property
    def validation_names(self) -> list[str]:
        """Names of the validation sets, in the order of the loaders."""
        return list(self._validation_sets)

    def prepare_data(self) -> None:
        """Tokenizes the articles, in one process per machine."""
        _ = self.corpus

    def setup(self, stage: str | None = None) -> None:
        """Maps the tokenized articles into memory, in every process."""
        _ = self.corpus

    def train_dataloader(self) -> PackedLoader:
        """Packed blocks of training articles and replay; a resumed run gets the next batch."""
        corpus = self.corpus
        rank, world_size = rank_and_world_size(self)
        loader = training_loader(
            corpus.documents,
            corpus.lengths,
            own=corpus.train[0],
            replayed=np.concatenate([np.empty(0, dtype=np.int64), *corpus.train[1:]]),
            replay_share=self.replay_share,
            block_size=self.block_size,
            blocks_per_batch=self.blocks_per_batch,
            pad_token_id=corpus.pad_token_id,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        rank_zero_info(f"{len(corpus.train[0]):,} articles: {loader.sampler}")
        return loader

    def val_dataloader(self) -> list[PackedLoader]:
        """Packed blocks of the held-out articles: those of the folder, then those of replay."""
        rank, world_size = rank_and_world_size(self)
        return [
            self.corpus.held_out_blocks(
                folders, name, self.block_size, self.blocks_per_batch, rank, world_size
            )
            for name, folders in self._validation_sets.items()
        ]

    def test_dataloader(self) -> list[PackedLoader]:
        """The same as for validation."""
        return self.val_dataloader()
