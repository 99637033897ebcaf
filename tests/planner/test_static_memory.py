from pathlib import Path

import torch
from tiny_gpt_oss import tiny_gpt_oss

from animelm.model.lora.adapters import LoraSettings
from animelm.planner.static_memory import measure_model


def test_another_base_in_the_same_folder_is_measured_anew(tmp_path: Path) -> None:
    parameters = []
    for layers in (1, 2):
        config = tiny_gpt_oss()
        config.num_hidden_layers = layers
        config.layer_types = config.layer_types[:1] * layers
        config.save_pretrained(tmp_path)
        size = measure_model(str(tmp_path), "none", LoraSettings(), torch.float32)
        parameters.append(size.parameters)
    assert parameters[0] < parameters[1]
