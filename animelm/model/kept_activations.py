"""What a decoder layer keeps of a batch between forward and backward pass, in bytes, by formula.

Activation checkpointing decides by these formulas which layers keep their activations, and the
planner adds them up. Each formula names the code that it describes.

Legend: T tokens of the batch, L tokens of a document, C hidden width, F intermediate width, H
attention heads, D head dimension, E experts, K of them chosen per token, N rows of all experts (T·K
and their padding), R LoRA rank.
"""

from dataclasses import dataclass

import torch
from transformers import GptOssConfig

from animelm.model.architecture import Config
from animelm.model.attention.documents import uses_tiled_attention
from animelm.model.lora.adapters import LoraSettings
from animelm.model.lora.targets import TargetAudit
from animelm.model.moe.expert_pass import row_multiple
from animelm.model.moe.grouped.projection import update_columns

_FLOAT32, _INT64 = 4, 8


@dataclass(frozen=True)
class BatchShape:
    """The properties of a batch, and of how it is computed, that determine its activations.

    Attributes:
        tokens: T, tokens of one batch on one device.
        document: L, tokens of each document.
        dtype: the compute type.
        checkpointing: whether the backward pass recomputes activations
            (``activation_checkpointing``).
        device: "cpu" or "cuda".
        kept_bytes: memory budget for activations that are stored in spite of checkpointing.
        compiled: whether norms are compiled (``compile``).
        experts_at_once: experts whose weights are dequantized at a time on a GPU; 0: all.
        fused_layers: whether a GPU computes norms and attention in few operations where it can.
    """

    tokens: int
    document: int
    dtype: torch.dtype
    checkpointing: bool
    device: str = "cpu"
    kept_bytes: int = 0
    compiled: bool = False
    experts_at_once: int = 0
    fused_layers: bool = True

    @property
    def fused(self) -> bool:
        """Whether ``fused.layers`` computes the layers; else a GPU computes as a CPU does."""
        return self.fused_layers and self.device == "cuda" and self.dtype.itemsize == 2


@dataclass(frozen=True)
class AdapterShape:
    """Which projections have a LoRA adapter, and of what shape.

    Attributes:
        targets: names of the projections in the model, such as q_proj or gate_up_projs.
        rank: R.
        dropout: whether the adapters' inputs are dropped out.
    """

    targets: frozenset[str]
    rank: int
    dropout: bool

    @staticmethod
    def of(lora: LoraSettings, audit: TargetAudit | None) -> "AdapterShape":
        """The adapters that ``lora`` describes on the projections in ``audit``; None: on none."""
        targets = frozenset(row.resolved for row in audit.rows) if audit else frozenset()
        return AdapterShape(targets, lora.rank, lora.dropout > 0)

    def reach(self, *names: str) -> bool:
        """Whether at least one of the projections is adapted."""
        return not self.targets.isdisjoint(names)


class KeptByLayer:
    """Bytes that one decoder layer keeps: its attention, and what both architectures share."""

    def __init__(self, config: Config, adapters: AdapterShape, shape: BatchShape) -> None:
        self.config, self.adapters, self.shape = config, adapters, shape
        self.width, self.intermediate = config.hidden_size, config.intermediate_size
        head_dim = config.head_dim or self.width // config.num_attention_heads
        self.query_width = config.num_attention_heads * head_dim  # H·D
        self.key_width = (config.num_key_value_heads or config.num_attention_heads) * head_dim

    def states(self, width: int, rows: int | None = None) -> int:
        """A tensor [T or ``rows``, ``width``] in the compute type."""
        return (self.shape.tokens if rows is None else rows) * width * self.shape.dtype.itemsize

    def norm(self) -> int:
        """RMSNorm keeps its input and one factor per token.

        The input is kept in float32 unless the norm is compiled or fused.
        """
        own_type = self.shape.compiled or self.shape.fused
        kept = self.shape.dtype if own_type else torch.float32
        return self.shape.tokens * (self.width * kept.itemsize + _FLOAT32)

    def adapter(self, name: str, inputs: int, outputs: int, redrawn: bool = False) -> int:
        """What ``lora.linear`` keeps in addition to the projection's input.

        That is A·x, the dropout mask, and A and B where they are converted to the compute type.
        The mask is not kept where it is ``redrawn``.
        """
        if not self.adapters.reach(name):
            return 0
        rank = self.adapters.rank
        kept = self.states(rank)
        if self.adapters.dropout and not redrawn:
            kept += self.states(inputs)
        if self.shape.dtype != torch.float32:
            kept += self.states(rank, inputs + outputs)
        return kept

    def attention(self) -> int:
        """Kept by the first norm, the four projections and the attention function."""
        inputs = self.states(self.width) if self.adapters.reach("q_proj", "k_proj", "v_proj") else 0
        fused = self.shape.fused
        # Where attention keeps its output, it is the same tensor.
        merges = self.adapters.reach("o_proj") and not fused
        merged = self.states(self.query_width) if merges else 0
        projections = (
            self.adapter("q_proj", self.width, self.query_width, fused)
            + self.adapter("k_proj", self.width, self.key_width, fused)
            + self.adapter("v_proj", self.width, self.key_width, fused)
            + self.adapter("o_proj", self.query_width, self.width, fused)
        )
        return self.norm() + inputs + projections + self.attention_function() + merged

    def attention_function(self) -> int:
        """The flash kernel keeps query, key, value, output, and a float32 per head and token.

        A GPU's takes key and value heads as they are, a CPU's one for each query head.
        """
        logarithms = self.shape.tokens * self.config.num_attention_heads * _FLOAT32
        if self.shape.fused:
            return 2 * self.states(self.query_width + self.key_width) + logarithms
        return 4 * self.states(self.query_width) + logarithms

    def all_masks(self) -> int:
        """Masks of sliding windows, of all layers together."""
        return 0

    def mlp(self) -> int:
        """Kept by the second norm and by the MLP or the experts."""
        raise NotImplementedError

    def checkpointed(self) -> int:
        """Kept where the layer's activations are recomputed."""
        raise NotImplementedError

    def worth_keeping(self) -> int:
        """What the layer keeps in addition to that if it is one of ``layers_that_keep``."""
        raise NotImplementedError


class KeptByExpertLayer(KeptByLayer):
    """A layer of gpt-oss: attention with sinks and windows, router and experts."""

    def __init__(self, config: GptOssConfig, adapters: AdapterShape, shape: BatchShape) -> None:
        super().__init__(config, adapters, shape)
        self.chosen, self.experts = config.num_experts_per_tok, config.num_local_experts
        rows = shape.tokens * self.chosen
        multiple = row_multiple(rows, self.experts, shape.dtype, shape.device)
        self.rows = rows + self.experts * (multiple - 1) // 2
        window = config.sliding_window or shape.document
        sliding = (config.layer_types or []).count("sliding_attention")
        self.masked_layers = sliding if shape.document > window else 0
        self.tiled = uses_tiled_attention(shape.device, shape.dtype) and not shape.fused

    def attention_function(self) -> int:
        """Tiled attention keeps query, key and value."""
        if self.tiled:
            return self.states(self.query_width) + 2 * self.states(self.key_width)
        return super().attention_function()

    def all_masks(self) -> int:
        """``_SinkFlashAttention`` keeps a mask [L, L] where a document is longer than a window."""
        if self.tiled or self.shape.fused:
            return 0
        return self.masked_layers * self.states(self.shape.document, self.shape.document)

    def routing(self) -> int:
        """Indices and weights of the chosen experts; on a GPU also how rows are sorted."""
        indices = _INT64 if self.shape.device == "cpu" else 4 * _INT64
        return self.shape.tokens * self.chosen * (indices + self.shape.dtype.itemsize)

    def mlp(self) -> int:
        """``expert_pass`` keeps its input and the output of each expert's first product."""
        return self.norm() + self.states(self.width) + self.routing() + self.worth_keeping()

    def checkpointed(self) -> int:
        """Three tensors [T, C], and the routing."""
        return 3 * self.states(self.width) + self.routing()

    def worth_keeping(self) -> int:
        """Gate and up of all rows, and the adapters' A·x.

        On a GPU that of gate and up alone, with the bias's column, in whole 8.
        """
        if self.shape.device != "cpu":
            rank = self.adapters.rank if self.adapters.reach("gate_up_projs") else 0
            return self.states(2 * self.intermediate + update_columns(rank + 1), self.rows)
        adapted = len(self.adapters.targets & {"gate_up_projs", "down_projs"})
        return self.states(2 * self.intermediate + adapted * self.adapters.rank, self.rows)


class KeptByDenseLayer(KeptByLayer):
    """A layer of Llama."""

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
        """The layer's input."""
        return self.states(self.width)

    def worth_keeping(self) -> int:
        """Everything else; the first norm keeps the input in float32, whatever its type."""
        return self.attention() + self.mlp() - self.checkpointed()


def kept_by_layer(config: Config, adapters: AdapterShape, shape: BatchShape) -> KeptByLayer:
    """The formulas for a layer of the architecture of ``config``."""
    if isinstance(config, GptOssConfig):
        return KeptByExpertLayer(config, adapters, shape)
    return KeptByDenseLayer(config, adapters, shape)


def layers_that_keep(config: Config, adapters: AdapterShape, shape: BatchShape) -> int:
    """How many layers store, within ``kept_bytes``, what checkpointing would recompute."""
    affordable = shape.kept_bytes // kept_by_layer(config, adapters, shape).worth_keeping()
    return min(config.num_hidden_layers, affordable)
