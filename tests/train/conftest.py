"""A tiny base, and packed batches of random documents for it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent))

from resumable_loader import ResumableLoader
from tiny_base import write_tiny_base

from animelm.data.batches.batch import IGNORED, PackedBatch
from animelm.train.module import AdaptedLM
from animelm.train.settings import ComputeSettings

_VOCABULARY = 400


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="session")
def batches() -> Callable[..., list[PackedBatch]]:
    """``batches(count, blocks=2)``: blocks of 48 tokens with three documents and some padding."""
    return _batches


def _batches(count: int, blocks: int = 2) -> list[PackedBatch]:
    random = torch.Generator().manual_seed(0)
    lengths = (20, 12, 10, 6)  # the last is padding
    position_ids = torch.cat([torch.arange(length) for length in lengths])
    made = []
    for _ in range(count):
        input_ids = torch.randint(10, _VOCABULARY, (blocks, 48), generator=random)
        targets = input_ids.roll(-1, dims=1)
        targets[:, [19, 31, 41]] = IGNORED
        is_padding = torch.zeros_like(input_ids, dtype=torch.bool)
        is_padding[:, 42:] = True
        targets[is_padding] = IGNORED
        made.append(PackedBatch(input_ids, position_ids.repeat(blocks, 1), targets, is_padding))
    return made


@pytest.fixture
def fit(tiny_base: str, tmp_path: Path) -> Callable[..., AdaptedLM]:
    """``fit(batches, callbacks=…, trainer={…}, ckpt_path=…, **settings)``: trained in fp32."""

    def run(
        data: list[PackedBatch] | ResumableLoader,
        *,
        callbacks: Any = (),
        trainer: dict[str, Any] | None = None,
        ckpt_path: Path | None = None,
        **settings: Any,
    ) -> AdaptedLM:
        L.seed_everything(0)
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_epochs": 1,
            "default_root_dir": tmp_path,
        }
        made = L.Trainer(callbacks=list(callbacks), **{**quiet, **(trainer or {})})
        model = AdaptedLM(tiny_base, **{"compute": ComputeSettings("float32"), **settings})
        # Without a batch size a batch is handed on as it is. A bare list would seem to be loaders.
        loader = data if isinstance(data, ResumableLoader) else DataLoader(data, batch_size=None)
        made.fit(model, loader, ckpt_path=ckpt_path)
        return model

    return run
