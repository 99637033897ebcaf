"""Loading must not need much more memory than what is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM

WIDTH, EXPERTS, LAYERS = 1024, 16, 6
MIB = 2**20
# What one process adds to its memory while it loads, at the peak and in the end, in MiB.
MEASURE = """
import sys
import torch
from animelm.model.checkpoint.load import load_base

def mebibytes(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

before = mebibytes("VmRSS")
model = load_base(sys.argv[1], sys.argv[2], torch.bfloat16)
storages = [parameter.untyped_storage() for parameter in model.parameters()]
held = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
print(mebibytes("VmHWM") - before, held / 2**20)
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 MB of random bytes in the released layout."""
    folder = tmp_path_factory.mktemp("large")
    config = GptOssConfig(
        vocab_size=128, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_local_experts=EXPERTS,
    )  # fmt: skip
    with torch.device("meta"):
        model = GptOssForCausalLM(config)
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith(("gate_up_proj", "down_proj")):
            experts, inputs, outputs = tensor.shape
            shape = (experts, outputs, inputs // 32)
            state[f"{name}_blocks"] = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8)
            state[f"{name}_scales"] = torch.randint(100, 120, shape, dtype=torch.uint8)
        else:
            state[name] = torch.zeros(tensor.shape, dtype=torch.bfloat16)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    config.architectures = ["GptOssForCausalLM"]
    config.save_pretrained(folder)
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("quantization", ["mxfp4", "nf4", "nf4-double"])
def test_the_peak_is_the_packed_model_and_one_layer(released: Path, quantization: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(released), quantization],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak, held = map(float, done.stdout.split())
    assert held > 150  # or a mapped file, as large as the model, would go unnoticed
    layer = EXPERTS * 3 * WIDTH**2 * 17 / 32 / MIB
    slack = 64  # libraries that are imported late, threads, the allocator's own
    assert peak < held + layer + slack
