"""Ours and its peers: each turns a folder of articles into tokens, in a process of its own."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

_BATCH = 100  # articles


@dataclass(frozen=True)
class Tokenized:
    """What a contender did.

    Attributes:
        seconds: from the folder to the tokens, loading of the tokenizer left out.
        tokens: of all articles, without end tokens.
        articles: how many.
        characters: of all articles; None where it was not counted.
        blocks: packed blocks of training articles.
        padding_share: share of these blocks, 0 to 1, that no article fills.
        packing_seconds: what packing took of ``seconds``.
        reading_seconds: what it took to build every batch of an epoch once; not in ``seconds``.
    """

    seconds: float
    tokens: int
    articles: int
    characters: int | None = None
    blocks: int | None = None
    padding_share: float | None = None
    packing_seconds: float | None = None
    reading_seconds: float | None = None


@dataclass(frozen=True)
class Task:
    """What all contenders are given.

    Attributes:
        base: folder of the tokenizer.
        folder: folder of articles.
        scratch: empty folder to write to.
        workers: processes that tokenize.
        block_size: tokens of a block.
    """

    base: Path
    folder: Path
    scratch: Path
    workers: int
    block_size: int


def write_base(target: Path, tokenizer_json: Path) -> None:
    """Makes a folder that ``AutoTokenizer`` reads from a bare ``tokenizer.json``."""
    (target / "tokenizer.json").symlink_to(tokenizer_json.resolve())
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|return|>",
        "pad_token": "<|endoftext|>",
    }
    (target / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def animelm(task: Task) -> Tokenized:
    """The data module of continual pre-training: a mapped store, then packed blocks."""
    from animelm.data.datamodules import DomainDataModule

    module = DomainDataModule(
        str(task.base),
        task.folder,
        block_size=task.block_size,
        workers=task.workers,
        cache=task.scratch,
        validation_share=0.0,
    )
    begin = time.perf_counter()
    module.prepare_data()
    tokenized = time.perf_counter()
    loader = module.train_dataloader()
    packed = time.perf_counter()
    filled = sum(int((~batch.is_padding).sum()) for batch in loader)
    read = time.perf_counter()
    corpus = module.data.articles
    assert corpus is not None
    lengths = corpus.lengths
    if filled != lengths.sum():
        raise AssertionError(f"{filled} tokens in the blocks, {lengths.sum()} in the articles")
    blocks = len(loader) * loader.sampler.blocks_per_batch
    return Tokenized(
        packed - begin,
        int(lengths.sum()) - int((lengths > 0).sum()),
        len(lengths),
        blocks=blocks,
        padding_share=1 - filled / (blocks * task.block_size),
        packing_seconds=packed - tokenized,
        reading_seconds=read - packed,
    )


def encode_batch(task: Task) -> Tokenized:
    """A plain loop in one process; the library uses a thread for each core."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(task.base / "tokenizer.json"))
    begin = time.perf_counter()
    tokens = articles = characters = 0
    paths = sorted(task.folder.rglob("*.md"))
    for first in range(0, len(paths), _BATCH):
        texts = [_read(path) for path in paths[first : first + _BATCH]]
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        tokens += sum(len(encoding.ids) for encoding in encodings)
        articles += len(texts)
        characters += sum(map(len, texts))
    return Tokenized(time.perf_counter() - begin, tokens, articles, characters)


def datasets_map(task: Task) -> Tokenized:
    """``datasets.map`` with as many processes, as training scripts have it."""
    import os

    import datasets
    from transformers import AutoTokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else every process has a thread for each core
    tokenizer = AutoTokenizer.from_pretrained(task.base)
    begin = time.perf_counter()
    paths = [str(path) for path in sorted(task.folder.rglob("*.md"))]
    tokenized = datasets.Dataset.from_dict({"path": paths}).map(
        lambda batch: tokenizer(
            [_read(Path(path)) for path in batch["path"]],
            add_special_tokens=False,
            return_attention_mask=False,
        ),
        batched=True,
        num_proc=task.workers if task.workers > 1 else None,
        remove_columns=["path"],
        cache_file_name=str(task.scratch / "tokens.arrow"),
    )
    seconds = time.perf_counter() - begin
    column = tokenized.data.column("input_ids")
    return Tokenized(seconds, sum(len(chunk.flatten()) for chunk in column.chunks), len(paths))


def _read(path: Path) -> str:
    """The text of an article without its front matter, as animelm reads it."""
    from animelm.data.sources.markdown import read_article

    return read_article(path)


CONTENDERS = {
    "animelm": animelm,
    "tokenizers.encode_batch": encode_batch,
    "datasets.map": datasets_map,
}
