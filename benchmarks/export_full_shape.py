"""In how much memory and time is an adapter of the full 20B exported?

    python benchmarks/export_full_shape.py --scratch /disk/with/60/GB

A checkpoint of the full shape with random weights is written in the released format (13 GB), and a
random adapter of rank 16 on attention and all experts (0.7 GB). `export` then runs without its
check, in a process for each format, whose output is removed again: the disk needs 13 GB, and 42 GB
for merged weights. Peak memory is that of the process. The last line is JSON.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from full_shape_parts.checkpoints import write_checkpoint
from peft import LoraConfig
from rich.console import Console
from safetensors.torch import save_file

from animelm.model.architecture import empty_model
from animelm.model.checkpoint.load import load_config
from animelm.model.lora.files import WEIGHTS_FILE
from animelm.model.lora.fused_layout import fuse_experts, fused_targets
from animelm.model.lora.targets import DEFAULT_TARGETS, resolve_targets, target_pattern

ROOT = Path(__file__).parent.parent
BASE = "unsloth/gpt-oss-20b"
console = Console(width=100)


def write_adapter(base: Path, folder: Path, rank: int) -> None:
    """A random adapter on every target, without loading a weight of the base."""
    config = load_config(str(base))
    model = empty_model(config, "none")
    pattern = target_pattern(model, resolve_targets(model, DEFAULT_TARGETS))
    weights = {}
    for path, layer in model.named_modules():
        if re.fullmatch(pattern, path):
            name = f"base_model.model.{path}.lora_"
            weights[f"{name}A.weight"] = torch.randn(rank, layer.in_features) * 0.01
            weights[f"{name}B.weight"] = torch.randn(layer.out_features, rank) * 0.01
    modules, parameters = fused_targets(weights, config.num_hidden_layers)
    LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=modules, target_parameters=parameters,
        task_type="CAUSAL_LM", base_model_name_or_path=str(base),
    ).save_pretrained(str(folder))  # fmt: skip
    save_file(fuse_experts(weights), folder / WEIGHTS_FILE)


def measure(kind: str, base: Path, adapter: Path, output: Path) -> dict[str, float]:
    """Exports in a process of its own."""
    command = [
        *(sys.executable, "-m", "animelm", "export", f"--adapter={adapter}", f"--to={kind}"),
        *(f"--base={base}", f"--output={output}", "--check=false"),
    ]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"export --to {kind} failed: {os.waitstatus_to_exitcode(status)}")
    size = sum(file.stat().st_size for file in output.iterdir())
    return {
        "seconds": time.perf_counter() - begin,
        "peak_rss_gib": usage.ru_maxrss / 2**20,
        "written_gib": size / 2**30,
    }


def main() -> None:
    """Writes base and adapter, and exports each format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", nargs="+", default=["peft", "merged"])
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--base", type=Path, help="a checkpoint folder instead of random weights")
    parser.add_argument("--scratch", type=Path, help="parent of the temporary folder")
    tokenizer = ROOT.parent / "shared" / "data" / "tokenizers" / "gpt-oss" / "tokenizer.json"
    parser.add_argument("--tokenizer", type=Path, default=tokenizer)
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        base, adapter = options.base or Path(scratch) / "base", Path(scratch) / "adapter"
        if options.base is None:
            base.mkdir()
            write_checkpoint(BASE, base, options.tokenizer)
        adapter.mkdir()
        write_adapter(base, adapter, options.rank)
        for kind in options.to:
            output = Path(scratch) / kind
            figures[kind] = measure(kind, base, adapter, output)
            shutil.rmtree(output)
            console.print(kind, figures[kind])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
