"""A small base of which hidden ≠ intermediate width, and adapters on it whose update is large."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_base import write_tiny_base

from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import (
    LoraSettings,
    add_adapter,
    save_adapter,
    stack_adapter,
)
from animelm.model.lora.targets import DEFAULT_TARGETS

LORA = LoraSettings(rank=2, alpha=4, dropout=0.0)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="session")
def make_adapter(tiny_base: str) -> Callable[..., Path]:
    """Writes a random adapter, on the base or stacked on an adapter."""

    def make(
        folder: Path, targets: tuple[str, ...] = DEFAULT_TARGETS, below: Path | None = None
    ) -> Path:
        settings = LoraSettings(rank=2, alpha=4, dropout=0.0, target_modules=targets)
        base = load_base(tiny_base, "nf4")
        model = stack_adapter(base, below, settings) if below else add_adapter(base, settings)
        torch.manual_seed(3 if below else 1)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and ".lora_" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        save_adapter(model, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def adapter(make_adapter: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="session")
def stacked(
    make_adapter: Callable[..., Path], adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An adapter on some of the targets, stacked on the other one."""
    return make_adapter(tmp_path_factory.mktemp("stacked"), ("q_proj", "down_proj"), adapter)


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four questions for a check."""
    path = tmp_path_factory.mktemp("questions") / "questions.csv"
    lines = [f"作品{number}の主人公は?,主人公{number}です。" for number in range(4)]
    path.write_text("\n".join(["質問,出力", *lines]), encoding="utf-8")
    return path
