"""What all tests share: no network, no screen, the same examples every time."""

import os

# Before the libraries are imported: nothing may be fetched, nothing may open a window, and Triton's
# kernels run on the CPU.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRITON_INTERPRET"] = "1"

from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tiny_gpt_oss import tiny_gpt_oss
from transformers import GptOssConfig, GptOssForCausalLM

# A slow machine must not fail a property, and a failure must come again.
settings.register_profile("animelm", deadline=None, derandomize=True)
settings.load_profile("animelm")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real articles and questions beside the clone; the test is skipped where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not beside this clone")
    return folder


@pytest.fixture(scope="session")
def tiny_config() -> GptOssConfig:
    """A gpt-oss small enough to build in a blink."""
    return tiny_gpt_oss()


@pytest.fixture(scope="session")
def stock_model(tiny_config: GptOssConfig) -> GptOssForCausalLM:
    """Random weights large enough that every part, sinks and biases too, shows in the logits."""
    torch.manual_seed(0)
    model = GptOssForCausalLM(tiny_config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.5 if "sinks" in name else 0.2)
    return model


@pytest.fixture(scope="session")
def checkpoint(stock_model: GptOssForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model, written as stock transformers writes it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    stock_model.save_pretrained(folder)
    return folder


@pytest.fixture
def interpreted_triton() -> None:
    """Triton kernels run in its interpreter, on CPU tensors."""
    pytest.importorskip("triton", reason="Triton is not installed (the extra triton)")
