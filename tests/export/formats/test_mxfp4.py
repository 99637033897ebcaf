import json
from pathlib import Path

import pytest
import torch
from tiny_gpt_oss import tiny_gpt_oss
from transformers import LlamaConfig

from animelm.errors import UserError
from animelm.export.composed import compose_adapter
from animelm.export.formats.mxfp4 import require_mxfp4, write_mxfp4
from animelm.export.stock_weights import merged_tensors
from animelm.model.checkpoint.load import load_base


def test_the_files_are_read_as_a_released_base_is(
    tiny_base: str, adapter: Path, tmp_path: Path
) -> None:
    composed = compose_adapter(adapter)
    write_mxfp4(tiny_base, "nf4", composed, tmp_path, 2**30, "search")
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["quantization_config"]["quant_method"] == "mxfp4"
    kept = load_base(str(tmp_path), "mxfp4").get_submodule("model.layers.1.mlp.experts")
    for each in merged_tensors(tiny_base, "nf4", composed):
        if each.name == "model.layers.1.mlp.experts.gate_up_proj":
            for expert, matrix in enumerate(each.matrices):
                layer = kept.gate_up_projs[expert]
                pair = torch.stack([layer.dequantize(torch.float32).flatten(), matrix().flatten()])
                assert torch.corrcoef(pair)[0, 1] > 0.98


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LlamaConfig(), "base has no experts"),
        (tiny_gpt_oss(intermediate_size=48), r"multiples of 32; base has \(64, 48\)"),
    ],
)
def test_a_base_that_cannot_be_packed_is_refused(config, message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_mxfp4(config, "base")
