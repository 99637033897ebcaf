"""Measures how far the routers have moved from the base model's choices, on fixed texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from animelm.errors import UserError
from animelm.reading import read_json
from animelm.train.callbacks.router.layers import RouterLayers
from animelm.train.callbacks.without_adapters import without_adapters

DEFAULT_PROBE = {
    "anime": (
        "この作品は、同名の漫画を原作とするテレビアニメである。監督と脚本家は原作者と話し合いを重ね、"
        "主人公の少女が仲間とともに成長していく姿を丁寧に描いた。作画と声優の演技が高く評価され、"
        "最終回の放送後には続編と劇場版の制作が発表された。主題歌は第一話の放送日に発売された。"
    ),
    "general": (
        "この川は北部の山地に源を発し、盆地を抜けて海に注ぐ。流域では古くから稲作が営まれ、"
        "洪水を防ぐために堤防が築かれてきた。首都は河口に近い平野にあり、公用語と通貨は法律で"
        "定められている。水は水素と酸素からなる化合物で、一気圧のもとでは百度で沸騰する。"
    ),
}
_LONGEST = 512  # tokens, because the probe runs at every logging step


def read_probe(probe: dict[str, str] | Path | None) -> dict[str, str]:
    """The named probe texts: as given, from a JSON object in a file, or the two default texts.

    Raises:
        UserError: the file is missing, not UTF-8, or not a JSON object of texts.
    """
    if probe is None:
        return DEFAULT_PROBE
    if isinstance(probe, dict):
        return probe
    texts = read_json(probe)
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise UserError(f'{probe}: expected a JSON object of texts, such as {{"anime": "…"}}')
    return texts


class RouterProbe:
    """Runs the texts through the decoder and compares the experts chosen.

    Legend: N layers with a router, T tokens of a text, k experts chosen per token.

    Args:
        texts: by name. Control tokens written in them are encoded as plain text.
        tokenizer: the model's.

    Raises:
        UserError: a text gives no tokens.
    """

    def __init__(self, texts: dict[str, str], tokenizer: PreTrainedTokenizerBase) -> None:
        self.input_ids: dict[str, Tensor] = {}
        for name, text in texts.items():
            ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            if not ids:
                raise UserError(f"router probe {name!r}: the text gives no tokens")
            self.input_ids[name] = torch.tensor(ids[:_LONGEST])

    def choices(self, module: nn.Module, routers: RouterLayers) -> dict[str, Tensor]:
        """The experts chosen now, [N, T, k] int64 on the model's device, by name of text.

        Runs in evaluation mode without gradients. Every submodule's mode and all random states are
        restored.
        """
        device = next(routers.decoder.parameters()).device
        with _undisturbed(module), _indices_of(routers) as indices:
            chosen = {}
            for name, ids in self.input_ids.items():
                indices.clear()
                routers.decoder(input_ids=ids[None].to(device), use_cache=False)
                chosen[name] = torch.stack(indices)
        return chosen

    def base_choices(self, module: nn.Module, routers: RouterLayers) -> dict[str, Tensor]:
        """As :meth:`choices`, with the adapters disabled, if the model has any."""
        with without_adapters(module):
            return self.choices(module, routers)


def changed_share(before: Tensor, after: Tensor) -> Tensor:
    """Mean over layers and tokens of 1 - |A ∩ B| / k, for the chosen sets A and B ([N, T, k]).

    Returns:
        [], float32, on the device of the choices.
    """
    kept = (before[..., :, None] == after[..., None, :]).any(-1)
    return (~kept).float().mean()


@contextmanager
def _indices_of(routers: RouterLayers) -> Iterator[list[Tensor]]:
    indices: list[Tensor] = []
    handles = [
        router.register_forward_hook(lambda _module, _args, output: indices.append(output[2]))
        for router in routers.routers
    ]
    try:
        yield indices
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    try:
        with isolate_rng(), torch.no_grad():
            module.eval()
            yield
    finally:
        for part, training in modes:
            part.training = training
