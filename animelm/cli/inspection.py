"""inspect: the model of a config, from its configuration alone."""

import argparse
import json
from typing import NoReturn

from animelm.cli.configs import find_configs
from animelm.cli.trainer import TrainerCLI
from animelm.errors import UserError
from animelm.model.checkpoint import load_config
from animelm.model.inspection import inspect_base
from animelm.model.precision import choose_compute_dtype
from animelm.report.inspection import print_inspection
from animelm.train.module import AdaptedLM


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}\n`{self.prog} --help` lists the options")


def run(command: str, arguments: list[str]) -> None:
    """Prints modules and trainable parameters, as a table or as JSON."""
    parser = _Parser(
        prog="python -m animelm inspect",
        description="Prints the model's modules (name, type, in, out, bias, bits) and the "
        "trainable parameters of each LoRA target. Weights are not loaded.",
        epilog="Every option of `fit` is understood as well, such as "
        "--model.target_modules=[q_proj,gate_proj].",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="a table to read, or JSON"
    )
    parser.add_argument(
        "--config",
        action="append",
        help="the config whose model is described, such as cpt.yaml; more are layered on it",
        required=True,
    )
    options, rest = parser.parse_known_args(arguments)
    layers = [f"--config={name}" for name in options.config]
    model: AdaptedLM = TrainerCLI(find_configs([*layers, *rest]), False).model
    config = load_config(model.base)
    dtype = choose_compute_dtype(
        model.compute_type, hidden=config.hidden_size, intermediate=config.intermediate_size
    )
    lora = None if model.whole else model.lora
    inspection = inspect_base(model.base, model.quantization, lora, dtype)
    if options.format == "json":
        print(json.dumps(inspection.to_json(), ensure_ascii=False, indent=1))
    else:
        print_inspection(inspection)
