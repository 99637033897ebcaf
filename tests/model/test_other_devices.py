"""What a GPU would run of a training step, looked at without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import GptOssForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.layouts import write_mxfp4

SCRIPT = Path(__file__).with_name("on_another_device.py")
RUNS = ["torch.float32 keep", "torch.float32 recompute", "torch.bfloat16 keep",
        "torch.bfloat16 recompute"]  # fmt: skip


@pytest.fixture(scope="module")
def bases(stock_model: GptOssForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gpt-oss as it is released, and a dense model."""
    folder = tmp_path_factory.mktemp("bases")
    (folder / "gpt-oss").mkdir()
    write_mxfp4(stock_model, folder / "gpt-oss")
    config = LlamaConfig(
        vocab_size=97, hidden_size=64, intermediate_size=176, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "llama")
    return folder


@pytest.mark.parametrize(
    ("base", "quantization"),
    [("gpt-oss", "nf4"), ("gpt-oss", "nf4-double"), ("gpt-oss", "mxfp4"), ("llama", "nf4")],
)
def test_a_training_step_stays_on_the_models_device(
    bases: Path, project_root: Path, base: str, quantization: str
) -> None:
    # A process of its own: the pretended device would be there for every later test.
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(bases / base), quantization],
        env={**os.environ, "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.splitlines() == RUNS
