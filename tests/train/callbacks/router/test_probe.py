import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import (
    CHOSEN,
    CONTROL,
    LAYERS,
    PROBE,
    TinyModule,
    adapted_model,
    tiny_model,
    tiny_tokenizer,
)

from animelm.errors import UserError
from animelm.train.callbacks.router.layers import RouterLayers
from animelm.train.callbacks.router.probe import (
    DEFAULT_PROBE,
    RouterProbe,
    changed_share,
    read_probe,
)


@st.composite
def two_choices(draw):
    k = draw(st.integers(1, 4))
    chosen = st.lists(st.integers(0, 7), min_size=k, max_size=k, unique=True)
    rows = draw(st.lists(st.tuples(chosen, chosen), min_size=1, max_size=6))
    return rows, k


@given(two_choices())
def test_changed_share_is_the_part_of_each_set_that_is_new_whatever_the_order(case):
    rows, k = case
    before = torch.tensor([[row[0] for row in rows]])
    after = torch.tensor([[row[1] for row in rows]])
    expected = sum(1 - len(set(a) & set(b)) / k for a, b in rows) / len(rows)
    assert float(changed_share(before, after)) == pytest.approx(expected)
    assert float(changed_share(before, before.flip(-1))) == pytest.approx(0)


def test_choices_are_those_of_the_router_and_base_choices_those_without_the_adapter():
    module = TinyModule(adapted_model())
    probe, routers = RouterProbe(PROBE, module.tokenizer), RouterLayers.find(module)
    base = probe.base_choices(module, routers)
    assert base["anime"].shape == (LAYERS, len(PROBE["anime"]), CHOSEN)

    bare = TinyModule(tiny_model())
    expected = probe.choices(bare, RouterLayers.find(bare))
    now = probe.choices(module, routers)
    for name in PROBE:
        assert base[name].equal(expected[name])
    assert changed_share(base["anime"], now["anime"]) > 0


def test_a_module_in_training_is_probed_without_dropout():
    module = TinyModule(adapted_model(lora_dropout=0.5))
    probe, routers = RouterProbe(PROBE, module.tokenizer), RouterLayers.find(module)
    in_evaluation = probe.choices(module.eval(), routers)
    in_training = probe.choices(module.train(), routers)
    assert all(in_training[name].equal(in_evaluation[name]) for name in PROBE)


def test_probing_restores_modes_gradients_and_random_states():
    module = TinyModule(adapted_model(lora_dropout=0.5))
    model = module.model
    model.add_adapter("second", model.peft_config["default"])
    model.base_model.set_adapter(["default", "second"])
    for name, weight in model.named_parameters():
        weight.requires_grad_("second" in name)  # the first adapter stays frozen
    module.train()
    frozen_part = model.get_submodule("base_model.model.model.norm").eval()

    def state():
        return (
            {name: weight.requires_grad for name, weight in model.named_parameters()},
            {name: part.training for name, part in module.named_modules()},
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),
            random.getstate(),
        )

    before = state()
    routers = RouterLayers.find(module)
    # Draws random numbers in the forward, as a careless model may.
    handle = routers.decoder.register_forward_hook(lambda *_: (torch.rand(1), None)[1])
    probe = RouterProbe(PROBE, module.tokenizer)
    probe.base_choices(module, routers)
    probe.choices(module, routers)
    handle.remove()
    assert state() == before
    assert not frozen_part.training
    assert not any(router._forward_hooks for router in routers.routers)


def test_a_control_token_in_a_probe_is_plain_text():
    tokenizer = tiny_tokenizer()
    ids = RouterProbe({"odd": CONTROL}, tokenizer).input_ids["odd"].tolist()
    assert tokenizer.convert_tokens_to_ids(CONTROL) not in ids
    assert len(ids) == len(CONTROL)


def test_a_text_without_tokens_is_refused():
    with pytest.raises(UserError, match="'empty'"):
        RouterProbe({"empty": ""}, tiny_tokenizer())


def test_the_default_texts_are_named_anime_and_general():
    assert read_probe(None) is DEFAULT_PROBE
    assert set(DEFAULT_PROBE) == {"anime", "general"}


def test_texts_are_read_from_a_json_file(tmp_path):
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(PROBE), encoding="utf-8")
    assert read_probe(path) == PROBE


@pytest.mark.parametrize("content", [b"\xff", b"{", b'["a"]', b'{"anime": 1}', None])
def test_a_bad_probe_file_is_named(tmp_path, content):
    path = tmp_path / "probe.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"probe\.json"):
        read_probe(path)
