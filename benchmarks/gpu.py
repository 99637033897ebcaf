"""The 20B's shape on a GPU: engines of the experts, speed, memory, idle time, and stock beside it.

    python benchmarks/gpu.py            on a machine with an NVIDIA GPU; at most 8 minutes
    python benchmarks/gpu.py --toy      the same steps with a toy model on a CPU, to test the script

Nothing is read or fetched: the weights are random, built on the GPU in the form in which a released
checkpoint is trained. Layers that the GPU's memory cannot hold are left out, and so is what time
does not suffice for; both are said. Blocks hold one document each. In order:

1. Parity: one layer's experts by each engine in bf16, against the loop in float32 on the GPU.
2. Training with LoRA on attention and experts: tokens per second and peak memory by engine, for one
   and for eight blocks.
3. Idle share of the engine that ``auto`` chooses: the part of a step in which no kernel runs.
4. Answering, greedily, one question alone and 32 together: tokens per second.
5. Stock transformers and PEFT: experts in bf16, adapted by ``target_parameters``.

Each row is printed when it has been measured; the last line is JSON with all of them. The exit
status is 1 if an engine that serves does not compute as the loop, or if something fails.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, get_args

import torch
from gpu_parts.machine import Machine, Skipped, measured_or_why
from gpu_parts.model import (
    DTYPE,
    checkpoint_activations,
    layers_that_fit,
    random_model,
    real_config,
    toy_config,
    why_not_fused,
)
from gpu_parts.parity import TOLERANCE, Parity
from gpu_parts.profiling import measure_idle
from gpu_parts.training import TrainingStep, measure_speed, our_step, stock_step
from peft import PeftModel
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import GptOssConfig

from animelm.errors import UserError
from animelm.evaluate.decoding.greedy import generate_greedily
from animelm.model.lora.adapters import LoraSettings
from animelm.model.moe.engines import EngineName, choose_engine
from animelm.model.moe.experts import use_expert_engine
from animelm.model.moe.grouped.projection import GroupedEngine
from animelm.model.quantization.linear4bit import Quantization

ENGINES: tuple[EngineName, ...] = ("loop", "grouped_mm", "triton")
LORA = LoraSettings(rank=16, alpha=32, dropout=0.05)
BLOCKS = (1, 8)
_QUESTIONS, _QUESTION_TOKENS, _ANSWER_TOKENS = (1, 32), 64, 32
_SMALLEST_CAPABILITY = 8


class Benchmark:
    """What is measured, in order.

    Args:
        options: of the command line.
        machine: the device.
        config: the model's sizes.
        block: tokens of a block.
    """

    def __init__(
        self, options: argparse.Namespace, machine: Machine, config: GptOssConfig, block: int
    ) -> None:
        self.options, self.machine, self.config, self.block = options, machine, config, block
        self.parity: dict[str, dict[str, Any]] = {}
        self.unavailable: dict[str, str] = {}
        widths = (config.hidden_size, config.intermediate_size)
        self._engines: dict[str, GroupedEngine | None] = {}
        for name in ENGINES:
            try:
                choice = choose_engine(
                    name, machine.device, DTYPE, widths, options.experts_at_once or None
                )
            except UserError as error:
                self.unavailable[name] = str(error)
            else:
                self._engines[name] = choice.engine
        auto = choose_engine(
            "auto", machine.device, DTYPE, widths, options.experts_at_once or None
        ).engine
        self.auto = auto.products.name if auto else "loop"

    def check_parity(self, one_layer: GptOssConfig) -> None:
        """Fills ``parity``."""
        storage, device = self.options.quantization, self.machine.device
        layer = Parity(one_layer, storage, device, tokens=self.block)
        for name, engine in self._engines.items():
            self.parity[name] = measured_or_why(
                self.machine, lambda engine=engine: {"error": round(layer.error(engine), 5)}
            )
            print(f"parity of {name}: {self.parity[name]}", flush=True)

    @property
    def wrong(self) -> list[str]:
        """Engines that do not compute as the loop does."""
        return [
            name
            for name, found in self.parity.items()
            if not found.get("error", float("inf")) <= TOLERANCE
        ]

    def measure(self) -> dict[str, Any]:
        """Training, idle share and answers of our model."""
        model = random_model(self.config, self.options.quantization, self.machine.device, LORA)
        checkpoint_activations(model, LORA)
        step = our_step(model)
        unfused = why_not_fused(model, self.machine.device)
        rows = list(self._training(model, step))
        idle = {
            f"{blocks}x{self.block}": measured_or_why(
                self.machine, lambda blocks=blocks: self._idle(model, step, rows, blocks)
            )
            for blocks in BLOCKS
        }
        answers = measured_or_why(self.machine, lambda: self._answers(model))
        return {
            "why_not_fused": unfused,
            "training": rows,
            "idle": idle,
            "answering_tokens_per_second": answers,
        }

    def _training(self, model: PeftModel, step: TrainingStep) -> Iterator[dict[str, Any]]:
        # What is fastest comes first, in case that time runs out.
        for name in sorted(self._engines, key=lambda name: (name != self.auto, name == "loop")):
            for blocks in BLOCKS:
                use_expert_engine(model, self._engines[name])
                batch = self._batch(blocks)
                found = measured_or_why(
                    self.machine, lambda batch=batch: measure_speed(step, self.machine, batch)
                )
                yield self._row(name, blocks, found)

    def _row(self, engine: str, blocks: int, found: dict[str, Any]) -> dict[str, Any]:
        row = {"engine": engine, "blocks": blocks, "block_tokens": self.block} | found
        print(row, flush=True)
        return row

    def _idle(
        self, model: PeftModel, step: TrainingStep, rows: list[dict[str, Any]], blocks: int
    ) -> dict[str, Any]:
        if not self.machine.is_gpu:
            raise Skipped("a CPU has no kernels to wait for")
        [row] = [row for row in rows if (row["engine"], row["blocks"]) == (self.auto, blocks)]
        if "step_seconds" not in row:
            raise Skipped("the step itself could not be measured")
        use_expert_engine(model, self._engines[self.auto])
        return measure_idle(step, self.machine, self._batch(blocks), row["step_seconds"])

    def _answers(self, model: PeftModel) -> dict[str, Any]:
        use_expert_engine(model, self._engines[self.auto])
        model.eval()
        found = {}
        for questions in _QUESTIONS:
            prompts = self._tokens(questions, _QUESTION_TOKENS).tolist()
            self.machine.require(2)
            for _ in range(2):  # the first time also compiles kernels
                seconds = self.machine.seconds(
                    lambda prompts=prompts: generate_greedily(model, prompts, (), _ANSWER_TOKENS)
                )
            found[str(questions)] = round(questions * _ANSWER_TOKENS / seconds, 1)
        return found

    def measure_stock(self) -> list[dict[str, Any]]:
        """Training by stock transformers and PEFT, on as many layers."""
        held: list[TrainingStep] = []

        def build() -> dict[str, Any]:
            self.machine.require(60 if self.machine.is_gpu else 1)
            held.append(stock_step(self.config, self.machine, LORA.rank))
            return {}

        reason = measured_or_why(self.machine, build)
        rows = []
        for blocks in BLOCKS:
            found = reason
            if held:
                batch = self._batch(blocks)
                found = measured_or_why(
                    self.machine, lambda batch=batch: measure_speed(held[0], self.machine, batch)
                )
            rows.append(self._row("stock", blocks, found))
        return rows

    def _batch(self, blocks: int) -> torch.Tensor:
        return self._tokens(blocks, self.block)

    def _tokens(self, rows: int, length: int) -> torch.Tensor:
        return torch.randint(self.config.vocab_size, (rows, length), device=self.machine.device)


def show(console: Console, found: dict[str, Any]) -> None:
    """Prints what was measured."""
    console.print(f"{found['device']}; {found['model']}", markup=False)
    table = Table("engine", "blocks", "error", "tokens a second", "peak GiB", "why not")
    for row in found["training"]:
        error = found["parity"].get(row["engine"], {}).get("error", "")
        speed, peak = row.get("tokens_per_second"), row.get("peak_gib")
        shown = [f"{speed:,.0f}" if speed else "", "" if peak is None else f"{peak:.1f}"]
        blocks = f"{row['blocks']} x {row['block_tokens']:,}"
        reason = row.get("skipped") or row.get("failed") or ""
        table.add_row(row["engine"], blocks, str(error), *shown, Text(reason))
    for name, reason in found["unavailable"].items():
        table.add_row(name, "", "", "", "", Text(reason))
    console.print(table)
    for name in ("why_not_fused", "idle", "answering_tokens_per_second"):
        console.print(f"{name}: {found[name]}", markup=False)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--toy", action="store_true", help="a toy model, on a CPU")
    parser.add_argument("--layers", type=int, help="fewer layers than the 20B's 24")
    parser.add_argument("--seconds", type=float, default=450, help="time for all (450)")
    parser.add_argument("--quantization", choices=get_args(Quantization), default="mxfp4")
    parser.add_argument(
        "--experts-at-once", type=int, default=0, help="as model.compute.experts_at_once"
    )
    parser.add_argument("--without-stock", action="store_true", help="leave step 5 out")
    options = parser.parse_args(arguments)
    if options.layers is not None and not 1 <= options.layers <= real_config().num_hidden_layers:
        parser.error("--layers: expected 1 to 24")
    if options.toy:
        return options
    if not torch.cuda.is_available():
        parser.error("no NVIDIA GPU is available; --toy runs a toy model on a CPU")
    if torch.cuda.get_device_capability()[0] < _SMALLEST_CAPABILITY:
        parser.error("this GPU emulates bf16; expected compute capability 8.0 or above")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    options = read_options(arguments)
    device = torch.device("cpu" if options.toy else "cuda")
    machine = Machine(device, options.seconds)
    if options.toy:
        config, one_layer, block = toy_config(), toy_config(), 64
    else:
        layers = options.layers or layers_that_fit(
            machine.free_bytes, options.quantization, LORA.rank
        )
        config, one_layer, block = real_config(layers), real_config(1), 2048
    benchmark = Benchmark(options, machine, config, block)
    benchmark.check_parity(one_layer)
    found = {
        "device": machine.name,
        "torch": torch.__version__,
        "model": f"gpt-oss, {config.num_hidden_layers} layers of {config.num_local_experts} "
        f"experts, {config.hidden_size} wide, {options.quantization}, LoRA rank {LORA.rank}",
        "toy": options.toy,
        "layers": config.num_hidden_layers,
        "layers_of_20b": real_config().num_hidden_layers,
        "auto": benchmark.auto,
        "unavailable": benchmark.unavailable,
        "parity": benchmark.parity,
        **benchmark.measure(),
    }
    if not options.without_stock:
        found["training"] += benchmark.measure_stock()
    found["seconds_left"] = round(machine.seconds_left(), 1)
    console = Console(width=140)
    show(console, found)
    print(json.dumps(found))
    return 1 if benchmark.wrong or _failed(found) else 0


def _failed(found: Any) -> bool:
    """Whether something in a tree of results has failed."""
    if isinstance(found, dict):
        return "failed" in found or any(map(_failed, found.values()))
    return isinstance(found, list) and any(map(_failed, found))


if __name__ == "__main__":
    sys.exit(main())
