"""inspect: describes the model of a config; no weights are loaded."""

import argparse

from animelm.cli.configs import find_configs
from animelm.cli.parsing import config_parser
from animelm.cli.trainer import TrainerCLI
from animelm.model.checkpoint.load import load_config
from animelm.model.inspection import inspect_base
from animelm.model.precision import choose_compute_dtype
from animelm.report.inspection import print_inspection
from animelm.terminal import say_json
from animelm.train.module import AdaptedLM


def make_parser(command: str) -> argparse.ArgumentParser:
    """The parser of the options that ``fit`` does not have."""
    return config_parser(
        command,
        "Prints the model's modules (name, type, input and output width, bias, bits per weight) "
        "and the trainable parameters of each LoRA target. Weights are not loaded.",
        "config of the model, such as cpt.yaml; a second one overrides the first",
    )


def run(command: str, arguments: list[str]) -> None:
    """Prints modules and trainable parameters, as a table or as JSON."""
    parser = make_parser(command)
    options, rest = parser.parse_known_args(arguments)
    configs = [f"--config={name}" for name in options.config]
    model: AdaptedLM = TrainerCLI(find_configs([*configs, *rest]), False).model
    settings = model.settings
    config = load_config(settings.base)
    dtype = choose_compute_dtype(
        settings.compute.dtype, hidden=config.hidden_size, intermediate=config.intermediate_size
    )
    lora = None if settings.from_scratch else settings.lora
    inspection = inspect_base(settings.base, settings.quantization, lora, dtype)
    if options.format == "json":
        say_json(inspection.to_json(), indent=1)
    else:
        print_inspection(inspection)
