"""Bytes of the activations of one training batch, by formula; nothing is computed.

What the layers keep for the backward pass is the model's own arithmetic (``kept_activations``); the
working memory of the backward pass and of the loss is estimated here.

Legend: T tokens of the batch, L tokens of a document, C hidden width, F intermediate width, H
attention heads, N rows of all experts, n rows of one expert.
"""

from dataclasses import dataclass

from animelm.model.architecture import Config
from animelm.model.attention.tiled import TILE_ROWS, padded
from animelm.model.kept_activations import (
    AdapterShape,
    BatchShape,
    KeptByExpertLayer,
    KeptByLayer,
    kept_by_layer,
    layers_that_keep,
)
from animelm.model.loss import positions_per_chunk

# Rows of the busiest expert as a multiple of the mean.
_BUSIEST = 2


@dataclass(frozen=True)
class Activations:
    """Bytes of one batch's activations.

    Attributes:
        kept: kept by all layers between forward and backward pass.
        layer: working memory of one layer in the backward pass, without its dequantized weights.
        dequantized: the weights of one layer, or expert, that are dequantized at the same time.
        loss: the logits of a chunk, the selected hidden states and their gradient.
    """

    kept: int
    layer: int
    dequantized: int
    loss: int


def activations(
    config: Config, adapters: AdapterShape, shape: BatchShape, quantized: bool
) -> Activations:
    """The activations of a model with this ``config``.

    Args:
        config: the model's sizes.
        adapters: the adapters that are trained on it.
        shape: the batch.
        quantized: whether the linear layers are held in 4 bits.
    """
    layer = kept_by_layer(config, adapters, shape)
    depth = config.num_hidden_layers
    if shape.checkpointing:
        keeping = layers_that_keep(config, adapters, shape)
        kept = depth * layer.checkpointed() + keeping * layer.worth_keeping()
    else:
        # Nothing is trained before the first layer, so its first norm keeps nothing.
        kept = depth * (layer.attention() + layer.mlp()) - layer.norm() + layer.all_masks()
    if isinstance(layer, KeptByExpertLayer):
        working, dequantized = _expert_layer(layer), _expert_weights(layer)
    else:
        working, dequantized = _dense_layer(layer), _largest_projection(layer)
    return Activations(
        kept + layer.norm(),  # the last norm, before the head
        working,
        dequantized if quantized else 0,
        _loss(config, shape),
    )


def _loss(config: Config, shape: BatchShape) -> int:
    """``model.loss``: logits of a chunk; selected hidden states and their gradient."""
    size = shape.dtype.itemsize
    chunk = min(shape.tokens, positions_per_chunk(config.vocab_size, size, shape.device))
    return (chunk * config.vocab_size + 2 * shape.tokens * config.hidden_size) * size


def _attention_gradients(layer: KeptByLayer) -> int:
    """Of query, key, value and output, and three of them in the order of the blocks again."""
    return 7 * layer.states(layer.query_width)


def _expert_layer(layer: KeptByExpertLayer) -> int:
    """The larger of attention's working memory, recomputed where checkpointed, and the experts'."""
    attention = _attention_gradients(layer)
    if layer.tiled:
        attention += 3 * _tile_scores(layer)  # probabilities, gradient before and after softmax
    if layer.shape.checkpointing:
        attention += layer.attention()
    return max(attention, _experts(layer) + layer.states(layer.width))


def _experts(layer: KeptByExpertLayer) -> int:
    """What the backward pass over the experts makes, without the gradient of the tokens' sums.

    In the loop that is the gradient of all rows, and for one expert's n rows five tensors [n, C],
    counting masks, and thirteen [n, F]. In grouped products, on a GPU, it is the most of three
    moments, each with the rows and the gradient of their sums: gate and up are computed again (and
    the update is added); the gated unit's gradient is computed; the update's gradient is added.
    """
    if layer.shape.device != "cpu":
        width, intermediate = layer.width, layer.intermediate
        moments = (
            3 * width + 4 * intermediate,
            2 * width + 6 * intermediate,
            4 * width + 2 * intermediate,
        )
        return layer.states(max(moments), layer.rows)
    busiest = min(layer.shape.tokens, _BUSIEST * layer.rows // layer.experts)
    one = layer.states(5 * layer.width + 13 * layer.intermediate, busiest)
    return layer.states(layer.width, layer.rows) + one


def _tile_scores(layer: KeptByLayer) -> int:
    """The scores of all heads for the last rows of a document, which see all of its keys."""
    document = layer.shape.document
    rows = layer.config.num_attention_heads * padded(min(TILE_ROWS, document))
    return layer.states(padded(document + 1), rows)


def _expert_weights(layer: KeptByExpertLayer) -> int:
    """Gate and up, then down; all three at the same time where gate and up are recomputed.

    On a GPU these are of all experts, or gate and up of a part of them at a time.
    """
    one = layer.states(layer.intermediate, layer.width)
    if layer.shape.device == "cpu":
        return (3 if layer.shape.checkpointing else 2) * one
    part = layer.shape.experts_at_once
    return 2 * part * one if 0 < part < layer.experts else 3 * layer.experts * one


def _dense_layer(layer: KeptByLayer) -> int:
    """Gradients of gate, up and their product, and one input with its dropout mask applied."""
    gradients = max(_attention_gradients(layer), 4 * layer.states(layer.intermediate))
    if layer.shape.checkpointing:
        gradients += layer.attention() + layer.mlp()
    return gradients


def _largest_projection(layer: KeptByLayer) -> int:
    """A dense layer dequantizes one projection at a time."""
    return layer.states(max(layer.intermediate, layer.query_width), layer.width)
