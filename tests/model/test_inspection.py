from pathlib import Path

import torch

from animelm.model.checkpoint.load import load_base
from animelm.model.inspection import describe_modules, inspect_base
from animelm.model.lora.adapters import LoraSettings, add_adapter
from animelm.model.lora.targets import audit_targets


def test_inspection_without_weights_agrees_with_the_loaded_model(checkpoint: Path) -> None:
    settings = LoraSettings(rank=4)
    inspection = inspect_base(str(checkpoint), "nf4", settings, torch.float32)
    loaded = load_base(str(checkpoint))
    assert list(inspection.modules) == describe_modules(loaded)
    assert inspection.audit == audit_targets(add_adapter(loaded, settings), settings.target_modules)


def test_modules_read_as_the_four_bit_model_does(checkpoint: Path) -> None:
    rows = {
        row["name"]: row
        for row in inspect_base(str(checkpoint), "nf4", LoraSettings(), torch.float32).to_json()[
            "modules"
        ]
    }
    assert rows["model.layers.1.mlp.experts.gate_up_projs.3"] == {
        "name": "model.layers.1.mlp.experts.gate_up_projs.3",
        "type": "Linear4bit",
        "in": 64,
        "out": 64,
        "bias": True,
        "bits": 4,
    }
    assert rows["model.layers.0.mlp.router"]["bits"] == 32
    assert rows["lm_head"] == {
        "name": "lm_head",
        "type": "Linear",
        "in": 64,
        "out": 97,
        "bias": False,
        "bits": 32,
    }
