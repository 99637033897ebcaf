from pathlib import Path

import torch

from animelm.evaluate.decoding.last_position import last_position_alone
from animelm.model.checkpoint.load import load_base


@torch.no_grad()
def test_the_last_positions_logits_stay_and_the_last_layer_does_less(checkpoint: Path) -> None:
    model = load_base(str(checkpoint), "none").eval()
    ids = torch.randint(2, 97, (3, 9))
    seen: list[int] = []
    model.model.layers[-1].mlp.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape[1])
    )
    expected = model(ids, logits_to_keep=1).logits
    with last_position_alone(model):
        found = model(ids, logits_to_keep=1).logits
    model(ids, logits_to_keep=1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert seen == [9, 1, 9]
