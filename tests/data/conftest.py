"""A tokenizer small enough to train in a blink, with gpt-oss's control tokens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow
import pyarrow.parquet
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from animelm.data.batches.batch import PackedBatch, QuestionBatch
from animelm.data.sources.qa import QARecord

CONTROL = (
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|return|>",
    "<|call|>",
    "<|endoftext|>",
)
TEMPLATE = (
    "{% for m in messages %}"
    "{% if m.role == 'assistant' %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|channel|>final<|message|>{% endif %}"
)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["主人公は誰ですか?の作品はです。"] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|return|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


@pytest.fixture(scope="session")
def base(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base folder that holds the tokenizer alone."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """Twenty articles with front matter, of different lengths."""
    folder = tmp_path / "articles"
    folder.mkdir()
    for i in range(20):
        text = f"---\ntitle: 作品{i}\nlicense: CC0\n---\n# 作品{i}\n\n" + f"主人公{i}です。" * (
            i + 1
        )
        (folder / f"work-{i:02d}.md").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def make_records() -> Callable[..., list[QARecord]]:
    """``make_records(works, wordings, domain="anime")``: one relation, both directions."""
    return _make_records


@pytest.fixture(scope="session")
def write_records() -> Callable[[Path, list[QARecord]], Path]:
    """``write_records(path, records)``: as JSON Lines."""
    return _write_records


@pytest.fixture(scope="session")
def write_parquet() -> Callable[[Path, list[dict[str, Any]]], Path]:
    """``write_parquet(path, rows)``: as a Parquet file, in row groups of three."""
    return _write_parquet


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=3)
    return path


def _make_records(works: int, wordings: int, domain: str = "anime") -> list[QARecord]:
    """Records of one relation in both directions."""
    return [
        QARecord(
            id=f"{domain}-{w}-{direction}-{n}",
            work=f"{domain}{w}",
            fact=f"{domain}{w}/protagonist",
            direction=direction,
            wording=f"protagonist/{direction}/{n:02d}",
            domain=domain,
            question=f"{direction}{n}: {domain}{w}の主人公は誰ですか?",
            answers=(f"{domain}{w}の主人公は人物{w}です。", f"人物{w}です。"),
            keys=(f"人物{w}",),
        )
        for w in range(works)
        for direction in ("forward", "reverse")
        for n in range(wordings)
    ]


def _write_records(path: Path, records: list[QARecord]) -> Path:
    lines = [json.dumps(vars(record), ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Recorder(L.LightningModule):
    """A model of one parameter that writes down what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[list[list[int]]] = []
        self.validated: list[PackedBatch | QuestionBatch] = []

    def training_step(self, batch: PackedBatch, batch_idx: int) -> Tensor:
        self.trained.append(batch.input_ids.tolist())
        loss = (self.weight * batch.input_ids.float().mean()).sum()
        self.log("loss", loss, batch_size=len(batch.input_ids))
        return loss

    def validation_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.validated.append(batch)

    def test_step(
        self, batch: PackedBatch | QuestionBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.validated.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


@pytest.fixture
def recorder() -> Callable[[], Recorder]:
    """Makes a new recorder."""
    return Recorder


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., L.Trainer]:
    """``trainer(**settings)``: a quiet Trainer on the CPU."""

    def make(**settings: Any) -> L.Trainer:
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path,
        }
        return L.Trainer(**{**quiet, **settings})

    return make
