"""The real shapes: load in 4 bits, take one optimizer step of the CPT config, answer a question.

    python benchmarks/full_shape.py                          both models
    python benchmarks/full_shape.py --models gpt-oss-20b     one of them

For each model, a checkpoint of the full shape with random weights is written in the format of its
release (13 and 15 GB, in a temporary folder that is removed). A separate process then runs `fit`
with the experiment's config and `hardware/cpu.yaml` for one step, on Japanese text with the gpt-oss
tokenizer. Peak memory is that of the process, and is compared with the estimate of `plan`. The last
line is JSON; ``gemm_share`` is the time of the step's matrix products alone over the step's time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from full_shape_parts.checkpoints import write_checkpoint
from measuring.texts import write_articles
from rich.console import Console

ROOT = Path(__file__).parent.parent
MODELS = {
    "gpt-oss-20b": "unsloth/gpt-oss-20b",
    "llm-jp-3-7.2b": "llm-jp/llm-jp-3-7.2b-instruct3",
}
console = Console(width=120)


def measure(model: str, options: argparse.Namespace) -> dict[str, object]:
    """Writes the checkpoint, runs the step in a separate process, and reads its figures."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder, articles = Path(scratch) / "checkpoint", Path(scratch) / "articles"
        folder.mkdir()
        write_checkpoint(MODELS[model], folder, options.tokenizer)
        write_articles(options.text, articles, documents=200)
        output = Path(scratch) / "figures.json"
        run = [
            *(f"--config={model}/cpt.yaml", "--config=hardware/cpu.yaml"),
            f"--model.base={folder}",
            *(f"--data.folder={articles}", f"--data.cache={Path(scratch) / 'cache'}"),
            *(f"--data.block_size={options.tokens}", "--data.workers=1"),
            *("--trainer.max_steps=1", "--trainer.accumulate_grad_batches=1"),
            *("--trainer.logger=false", "--trainer.limit_val_batches=0"),
            f"--trainer.default_root_dir={Path(scratch) / 'run'}",
            "--trainer.enable_checkpointing=false",
            '--trainer.callbacks=[{"class_path": "full_shape_parts.watch.FullShapeWatch", '
            f'"init_args": {{"output": "{output}"}}}}]',
            *options.fit,
        ]
        path = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path}
        animelm = [sys.executable, "-m", "animelm"]
        planned = subprocess.run(
            [*animelm, "plan", *run, "--format=json"],
            check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        )  # fmt: skip
        subprocess.run([*animelm, "fit", *run], check=True, cwd=ROOT, env=environment)
        found = json.loads(output.read_text(encoding="utf-8"))
        return found | _estimate_over_measured(json.loads(planned.stdout)["peak_bytes"], found)


def _estimate_over_measured(planned: dict[str, int], found: dict[str, float]) -> dict[str, float]:
    """The peaks that ``plan`` estimates, over the measured ones."""
    return {
        "planned_over_load_peak": planned["loading"] / 2**30 / found["load_peak_rss_gib"],
        "planned_over_peak": planned["training"] / 2**30 / found["step_peak_rss_gib"],
    }


def main() -> None:
    """Measures the chosen models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = ROOT.parent / "shared" / "data"
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tokens", type=int, default=1152, help="tokens of the block (1,152)")
    parser.add_argument(
        "--tokenizer", type=Path, default=data / "tokenizers" / "gpt-oss" / "tokenizer.json"
    )
    parser.add_argument(
        "--text",
        type=Path,
        default=data / "qa" / "jsquad-v1.3-valid.json",
        help="Japanese text: a file in SQuAD's format",
    )
    parser.add_argument("--scratch", type=Path, help="parent of the temporary folder")
    parser.add_argument("--fit", nargs="*", default=[], help="further options of fit")
    options = parser.parse_args()
    for file in (options.tokenizer, options.text):  # before a checkpoint of 13 GiB is written
        if not file.is_file():
            parser.error(f"{file} does not exist; name another with --tokenizer or --text")
    figures = {}
    for model in options.models:
        console.rule(model)
        figures[model] = measure(model, options)
        for name, value in figures[model].items():
            console.print(f"  {name}: {value}", markup=False)
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
