"""Bytes of the activations of one training batch, by formula; nothing is computed.

Each formula names the code that it describes. Legend: T tokens of the batch, L tokens of a
document, C hidden width, F intermediate width, H attention heads, D head dimension, E experts, K of
them chosen per token, N = T·K rows of all experts and what fills them up, n rows of one expert, R
LoRA rank.
"""

from dataclasses import dataclass

import torch
from transformers import GptOssConfig

from animelm.model.architecture import Config
from animelm.model.attention.documents import attends_by_rows
from animelm.model.attention.tiled import ROWS, filled
from animelm.model.lora.adapters import LoraSettings, TargetAudit
from animelm.model.loss import positions_per_chunk
from animelm.model.moe.expert_pass import rows_filled_to

_FLOAT32, _INT64 = 4, 8
# Rows of the busiest expert over the mean.
_BUSIEST = 2


@dataclass(frozen=True)
class BatchShape:
    """What of a batch, and of how it is computed, decides about its activations.

    Attributes:
        tokens: T, of one batch on one device.
        document: L, tokens of each document.
        dtype: the compute type.
        checkpointing: whether layers forget their activations (``recompute``).
        device: "cpu" or "cuda".
        kept_bytes: of activations that the last layers keep in spite of checkpointing.
        compiled: whether norms are compiled (``norms``).
    """

    tokens: int
    document: int
    dtype: torch.dtype
    checkpointing: bool
    device: str = "cpu"
    kept_bytes: int = 0
    compiled: bool = False


@dataclass(frozen=True)
class Adapters:
    """Which projections are adapted, and how.

    Attributes:
        targets: their names in the model, such as q_proj or gate_up_projs.
        rank: R.
        dropout: whether their inputs are dropped out.
    """

    targets: frozenset[str]
    rank: int
    dropout: bool

    @staticmethod
    def of(lora: LoraSettings, audit: TargetAudit | None) -> "Adapters":
        """Those that ``lora`` asks for, on the projections that ``audit`` found; None: none."""
        targets = frozenset(row.resolved for row in audit.rows) if audit else frozenset()
        return Adapters(targets, lora.rank, lora.dropout > 0)

    def reach(self, *names: str) -> bool:
        """Whether one of the projections is adapted."""
        return not self.targets.isdisjoint(names)


@dataclass(frozen=True)
class Activations:
    """Bytes of one batch's activations.

    Attributes:
        kept: by all layers between forward and backward pass.
        layer: that exist while one layer runs backward, its dequantised weights not included.
        dequantised: of the weights of one layer, or expert, that are unpacked at one time.
        loss: the logits of a chunk and what goes with them.
    """

    kept: int
    layer: int
    dequantised: int
    loss: int


def activations(config: Config, adapters: Adapters, shape: BatchShape, packed: bool) -> Activations:
    """The activations of a base of this ``config``; ``packed``: its linear layers are in 4 bits."""
    layer = _layer(config, adapters, shape)
    depth = config.num_hidden_layers
    if shape.checkpointing:
        keeping = layers_that_keep(config, adapters, shape)
        kept = depth * layer.checkpointed() + keeping * layer.worth_keeping()
    else:
        # Nothing is trained before the first layer, so its first norm keeps nothing.
        kept = depth * (layer.attention() + layer.mlp()) - layer.norm() + layer.all_masks()
    return Activations(
        kept + layer.norm(),  # the last norm, before the head
        layer.backward_buffers(),
        layer.dequantised() if packed else 0,
        _loss(config, shape),
    )


def layers_that_keep(config: Config, adapters: Adapters, shape: BatchShape) -> int:
    """How many layers keep, within ``kept_bytes``, what checkpointing would have them forget."""
    affordable = shape.kept_bytes // _layer(config, adapters, shape).worth_keeping()
    return min(config.num_hidden_layers, affordable)


def _layer(config: Config, adapters: Adapters, shape: BatchShape) -> "_Layer":
    if isinstance(config, GptOssConfig):
        return _ExpertLayer(config, adapters, shape)
    return _DenseLayer(config, adapters, shape)


def _loss(config: Config, shape: BatchShape) -> int:
    """``loss._ChunkedCrossEntropy``: logits of a chunk; selected states and their gradient."""
    size = shape.dtype.itemsize
    chunk = min(shape.tokens, positions_per_chunk(config.vocab_size, size))
    return (chunk * config.vocab_size + 2 * shape.tokens * config.hidden_size) * size


class _Layer:
    """Bytes of one decoder layer: its attention, and what both kinds of models share."""

    def __init__(self, config: Config, adapters: Adapters, shape: BatchShape) -> None:
        self.config, self.adapters, self.shape = config, adapters, shape
        self.width, self.intermediate = config.hidden_size, config.intermediate_size
        head_dim = config.head_dim or self.width // config.num_attention_heads
        self.queries = config.num_attention_heads * head_dim  # H·D
        self.keys = (config.num_key_value_heads or config.num_attention_heads) * head_dim

    def states(self, width: int, rows: int | None = None) -> int:
        """A tensor [T or ``rows``, ``width``] in the compute type."""
        return (self.shape.tokens if rows is None else rows) * width * self.shape.dtype.itemsize

    def norm(self) -> int:
        """RMSNorm keeps its input, in float32 unless it is compiled, with a factor a token."""
        kept = self.shape.dtype if self.shape.compiled else torch.float32
        return self.shape.tokens * (self.width * kept.itemsize + _FLOAT32)

    def adapter(self, name: str, inputs: int, outputs: int) -> int:
        """What ``low_rank._LowRankProduct`` keeps beside the projection's input.

        That is the hidden values, the dropout mask, and A and B where they were cast.
        """
        if not self.adapters.reach(name):
            return 0
        rank = self.adapters.rank
        kept = self.states(rank)
        if self.adapters.dropout:
            kept += self.states(inputs)
        if self.shape.dtype != torch.float32:
            kept += self.states(rank, inputs + outputs)
        return kept

    def attention(self) -> int:
        """Kept by the first norm, the four projections, and ``attention.sink_attention``."""
        inputs = self.states(self.width) if self.adapters.reach("q_proj", "k_proj", "v_proj") else 0
        merged = self.states(self.queries) if self.adapters.reach("o_proj") else 0
        projections = (
            self.adapter("q_proj", self.width, self.queries)
            + self.adapter("k_proj", self.width, self.keys)
            + self.adapter("v_proj", self.width, self.keys)
            + self.adapter("o_proj", self.queries, self.width)
        )
        return self.norm() + inputs + projections + self.attended() + merged

    def attended(self) -> int:
        """The flash kernel keeps query, key, value, output, and a number a head and token."""
        logarithms = self.shape.tokens * self.config.num_attention_heads * _FLOAT32
        return 4 * self.states(self.queries) + logarithms

    def all_masks(self) -> int:
        """Masks of sliding windows, of all layers."""
        return 0

    def attention_buffers(self) -> int:
        """Gradients of query, key, value and output, and three of them scattered back to blocks."""
        return 7 * self.states(self.queries)

    def mlp(self) -> int:
        """Kept by the second norm and what follows it."""
        raise NotImplementedError

    def checkpointed(self) -> int:
        """Kept where the layer forgets its activations."""
        raise NotImplementedError

    def worth_keeping(self) -> int:
        """What a layer keeps on top of that where ``kept_bytes`` reaches it."""
        raise NotImplementedError

    def backward_buffers(self) -> int:
        """What exists while the layer runs backward and is not kept by all layers."""
        raise NotImplementedError

    def dequantised(self) -> int:
        """The largest weight, or weights, that are unpacked at one time."""
        raise NotImplementedError


class _ExpertLayer(_Layer):
    """A layer of gpt-oss: attention with sinks and windows, router and experts."""

    def __init__(self, config: GptOssConfig, adapters: Adapters, shape: BatchShape) -> None:
        super().__init__(config, adapters, shape)
        self.chosen, self.experts = config.num_experts_per_tok, config.num_local_experts
        rows = shape.tokens * self.chosen
        filled = rows_filled_to(rows, self.experts, shape.dtype, shape.device)
        self.rows = rows + self.experts * (filled - 1) // 2
        window = config.sliding_window or shape.document
        sliding = (config.layer_types or []).count("sliding_attention")
        self.masked_layers = sliding if shape.document > window else 0
        self.by_rows = attends_by_rows(shape.device, shape.dtype)

    def row_block_scores(self) -> int:
        """[H, R, N] of a row block at a document's end, which sees all of it."""
        document = self.shape.document
        rows = self.config.num_attention_heads * filled(min(ROWS, document))
        return self.states(filled(document + 1), rows)

    def attended(self) -> int:
        """``row_attention`` keeps query, key and value."""
        if self.by_rows:
            return self.states(self.queries) + 2 * self.states(self.keys)
        return super().attended()

    def all_masks(self) -> int:
        """``_SinkFlashAttention`` keeps a mask [L, L] where a document is longer than a window."""
        if self.by_rows:
            return 0
        return self.masked_layers * self.states(self.shape.document, self.shape.document)

    def attention_buffers(self) -> int:
        """By rows also a row block's shares, and their gradient before and after softmax."""
        scores = 3 * self.row_block_scores() if self.by_rows else 0
        return super().attention_buffers() + scores

    def routing(self) -> int:
        """Indices and weights of the chosen experts."""
        return self.shape.tokens * self.chosen * (_INT64 + self.shape.dtype.itemsize)

    def mlp(self) -> int:
        """``expert_pass``: its input, and what each expert's first product left."""
        return self.norm() + self.states(self.width) + self.routing() + self.worth_keeping()

    def checkpointed(self) -> int:
        """``recompute``: three tensors [T, C], and the routing."""
        return 3 * self.states(self.width) + self.routing()

    def worth_keeping(self) -> int:
        """Gate and up of all rows, and the adapters' hidden values."""
        adapted = len(self.adapters.targets & {"gate_up_projs", "down_projs"})
        return self.states(2 * self.intermediate + adapted * self.adapters.rank, self.rows)

    def backward_buffers(self) -> int:
        """The larger of attention's, computed again where it was forgotten, and the experts'.

        The experts have gradients of all rows and of their sums, and of one expert's n rows what
        ``expert_pass._backward`` makes: five tensors [n, C], counting masks, and thirteen [n, F].
        """
        attention = self.attention_buffers()
        if self.shape.checkpointing:
            attention += self.attention()
        busiest = min(self.shape.tokens, _BUSIEST * self.rows // self.experts)
        one = self.states(5 * self.width + 13 * self.intermediate, busiest)
        return max(attention, self.states(self.width, self.rows) + self.states(self.width) + one)

    def dequantised(self) -> int:
        """One expert's gate and up, then down; both at a time where gate and up are recomputed."""
        sides = 3 if self.shape.checkpointing else 2
        return self.states(sides * self.intermediate, self.width)


class _DenseLayer(_Layer):
    """A layer of Llama's kind."""

    def mlp(self) -> int:
        """The gate, its SiLU and up, and the input of each adapted projection."""
        width, intermediate = self.width, self.intermediate
        inputs = self.states(width) if self.adapters.reach("gate_proj", "up_proj") else 0
        product = self.states(intermediate) if self.adapters.reach("down_proj") else 0
        projections = (
            self.adapter("gate_proj", width, intermediate)
            + self.adapter("up_proj", width, intermediate)
            + self.adapter("down_proj", intermediate, width)
        )
        return self.norm() + inputs + projections + 3 * self.states(intermediate) + product

    def checkpointed(self) -> int:
        """A layer's input."""
        return self.states(self.width)

    def worth_keeping(self) -> int:
        """All else: the first norm keeps the input in float32, whatever its type."""
        return self.attention() + self.mlp() - self.checkpointed()

    def backward_buffers(self) -> int:
        """Gradients of gate, up and their product, and one input masked again."""
        buffers = max(self.attention_buffers(), 4 * self.states(self.intermediate))
        if self.shape.checkpointing:
            buffers += self.attention() + self.mlp()
        return buffers

    def dequantised(self) -> int:
        """One projection at a time."""
        return self.states(max(self.intermediate, self.queries), self.width)
