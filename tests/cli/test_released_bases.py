"""The published bases on the command line, without their weights and without a network."""

import json
import re
from collections import Counter


def test_the_20b_is_inspected_from_its_name(call) -> None:
    layers = ["--config=gpt-oss-20b/cpt.yaml", "--config=hardware/gpu-24gb.yaml"]
    called = call("inspect", *layers, "--model.compute.dtype=bfloat16", "--format=json")
    assert called.status == 0, called.err
    model = json.loads(called.out)
    kinds = Counter(
        (re.sub(r"\d+", "*", row["name"]), row["type"], row["in"], row["out"], row["bits"])
        for row in model["modules"]
    )
    experts = "model.layers.*.mlp.experts."
    assert kinds[experts + "gate_up_projs.*", "LinearMXFP4", 2880, 5760, 4] == 24 * 32
    assert kinds[experts + "down_projs.*", "LinearMXFP4", 2880, 2880, 4] == 24 * 32
    assert model["parameters"] == 20_914_757_184
    per_target = model["trainable_parameters_per_target"]
    assert per_target["gate_proj+up_proj"] == 24 * 32 * 16 * (2880 + 5760)
    assert model["trainable_parameters"] == sum(per_target.values()) == 184_909_824
