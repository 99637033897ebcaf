import pytest
import torch
from tiny_run import LAYERS, adapted_model, tiny_model

from animelm.train.callbacks.router.layers import RouterLayers


def test_routers_are_found_through_the_adapter_in_the_order_of_the_layers():
    model = adapted_model()
    found = RouterLayers.find(model)
    decoder = model.get_base_model().model
    assert found.decoder is decoder
    assert found.layers == tuple(range(LAYERS))
    assert found.routers == tuple(layer.mlp.router for layer in decoder.layers)


def test_layers_are_ordered_by_number_and_may_be_sparse():
    layers = torch.nn.ModuleDict()
    for number in ("10", "2"):
        mlp = torch.nn.ModuleDict({"router": torch.nn.Identity()})
        layers[number] = torch.nn.ModuleDict({"mlp": mlp})
    decoder = torch.nn.ModuleDict({"layers": layers})
    assert RouterLayers.find(decoder).layers == (2, 10)
    assert RouterLayers.find(decoder).decoder is decoder


def test_a_dense_model_has_none():
    assert RouterLayers.find(torch.nn.Linear(2, 2)) is None


def test_two_decoders_are_refused():
    with pytest.raises(ValueError, match=r"more than one decoder: 0\.model\., 1\.model\."):
        RouterLayers.find(torch.nn.ModuleList([tiny_model(), tiny_model()]))
