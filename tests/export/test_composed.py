import json
from pathlib import Path

import pytest
import torch

from animelm.errors import UserError
from animelm.export.composed import compose_adapter
from animelm.model.checkpoint.load import load_base
from animelm.model.lora.adapters import load_adapter


def test_an_adapter_that_is_not_stacked_keeps_its_rank_and_alpha(adapter: Path) -> None:
    composed = compose_adapter(adapter)
    assert (composed.rank, composed.alpha) == (2, 4)
    # Two layers; attention, and two projections of four experts.
    assert len(composed.pairs) == 2 * (4 + 2 * 4)


def test_a_stacked_adapter_and_the_one_below_become_one(tiny_base: str, stacked: Path) -> None:
    composed = compose_adapter(stacked)
    assert composed.rank == composed.alpha == 4
    model = load_adapter(load_base(tiny_base, "nf4"), stacked, trainable=False)
    for path in ("model.layers.1.self_attn.q_proj", "model.layers.0.mlp.experts.down_projs.3"):
        layer = model.get_base_model().get_submodule(path)
        expected = sum(layer.get_delta_weight(name) for name in ("stacked_on", "default"))
        torch.testing.assert_close(composed.update(path), expected)
    path = "model.layers.1.self_attn.k_proj"  # in the lower one alone
    layer = model.get_base_model().get_submodule(path)
    torch.testing.assert_close(composed.update(path), layer.get_delta_weight("stacked_on"))
    assert composed.pairs[path].a.shape[0] == 4


def test_the_scale_of_rank_stabilized_lora_becomes_part_of_b(adapter: Path, tmp_path: Path) -> None:
    for file in adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "adapter_config.json"
    values = json.loads(config.read_text(encoding="utf-8")) | {"use_rslora": True}
    config.write_text(json.dumps(values), encoding="utf-8")
    path = "model.layers.0.self_attn.q_proj"
    plain = compose_adapter(adapter).update(path)
    torch.testing.assert_close(compose_adapter(tmp_path).update(path), plain * 2**0.5)


def test_an_adapter_that_cannot_be_merged_is_refused(adapter: Path, tmp_path: Path) -> None:
    for file in adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "adapter_config.json"
    values = json.loads(config.read_text(encoding="utf-8")) | {"modules_to_save": ["lm_head"]}
    config.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"modules_to_save is \['lm_head'\]; expected an"):
        compose_adapter(tmp_path)
