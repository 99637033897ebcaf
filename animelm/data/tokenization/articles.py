"""Tokenized articles of several folders, split into training and held-out articles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset
from transformers import PreTrainedTokenizerBase

from animelm.corpus.cleaning.text_key import text_key
from animelm.data.batches.batch import Document, Documents
from animelm.data.batches.loaders import PackedLoader
from animelm.data.batches.packing import pack_selected
from animelm.data.batches.sampler import BlockSampler
from animelm.data.held_out import SplitSettings
from animelm.data.sources.folder_files import WeightedFolder
from animelm.data.split import split_articles
from animelm.data.tokenization.token_store import TokenStore, tokenize_folder
from animelm.data.tokenization.tokenizer import document_end_token_id

Indices = NDArray[np.int64]


class ArticleCorpus:
    """The tokenized articles of one or more folders, numbered consecutively.

    Args:
        folders: folders of articles, see ``open_articles``.
        tokenizer: a fast tokenizer.
        split: which share of each folder's articles is held out; a share of None is 0.
        workers: number of processes that tokenize.
        cache: folder of the tokenized articles; None for ``default_cache()``.

    Attributes:
        documents: the tokenized articles.
        titles: title of each.
        lengths: number of tokens of each, int64 ``[N]``.
        pad_token_id: token that fills the rest of a block.
        train: for each folder, the indices of its training articles.
        weights: for each folder, how often each of them is shown.
        validation: for each folder, the indices of its held-out articles.

    Raises:
        UserError: as for ``tokenize_folder``.
    """

    def __init__(
        self,
        folders: Sequence[WeightedFolder],
        tokenizer: PreTrainedTokenizerBase,
        split: SplitSettings,
        workers: int = 1,
        cache: Path | None = None,
    ) -> None:
        stores = [tokenize_folder(folder.path, tokenizer, workers, cache) for folder in folders]
        self.documents: Documents = ConcatDataset[Document](stores)
        self.titles: list[str] = [title for store in stores for title in store.titles]
        self.lengths: Indices = np.concatenate([store.lengths for store in stores])
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = document_end_token_id(tokenizer) if pad is None else int(pad)
        self.weights = [folder.weight for folder in folders]
        self.train: list[Indices] = []
        self.validation: list[Indices] = []
        first = 0
        for store in stores:
            kept, held_out = _split(store, split.validation_share or 0.0, split.seed)
            self.train.append(kept + first)
            self.validation.append(held_out + first)
            first += len(store)

    @property
    def held_out_titles(self) -> set[str]:
        """The titles of the held-out articles, as ``text_key`` gives them."""
        return set(map(text_key, self.validation_titles))

    @property
    def validation_titles(self) -> list[str]:
        """The titles of the held-out articles, each once, in their order."""
        return list(dict.fromkeys(self.titles[i] for i in np.concatenate(self.validation)))

    def held_out_blocks(
        self,
        name: str,
        block_size: int,
        blocks_per_batch: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> PackedLoader:
        """Packed blocks of the held-out articles, in a fixed order, for the perplexity.

        Args:
            name: name of the set, written into the batches.
            block_size: tokens per block.
            blocks_per_batch: blocks per batch.
            rank: this process, from 0.
            world_size: number of processes.
        """
        sampler = BlockSampler(
            pack_selected(self.lengths, np.concatenate(self.validation), block_size),
            block_size=block_size,
            blocks_per_batch=blocks_per_batch,
            rank=rank,
            world_size=world_size,
            shuffle=False,
        )
        return PackedLoader(self.documents, sampler, self.pad_token_id, name)


def _split(store: TokenStore, share: float, seed: int) -> tuple[Indices, Indices]:
    """The indices of the training and of the held-out articles within the store.

    Articles with one title, such as revisions of one article, are held out together, also where it
    is spelled differently. Articles without text are not chosen from.
    """
    with_text = [store.titles[i] for i in np.flatnonzero(store.lengths)]
    _, held_out = split_articles(list(dict.fromkeys(with_text)), share, seed)
    keys = set(map(text_key, held_out))
    is_held_out = np.array([text_key(title) in keys for title in store.titles], dtype=bool)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
