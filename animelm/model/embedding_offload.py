"""Embeddings that stay in CPU memory while the rest of the model is on a GPU.

Only the rows that a batch needs are copied to the GPU: of gpt-oss-20B's table of 1.08 GiB, 11 MiB
for a block of 2,048 tokens.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.model.architecture import CausalLM


class CpuEmbedding(nn.Module):
    """A frozen embedding on the CPU.

    Attributes:
        table: [vocabulary, width]. It is not a parameter, so that it is not moved with the model.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.table = embedding.weight.detach()

    def forward(self, input: Tensor) -> Tensor:
        """``input`` [*] int64 -> [*, width] on the device of ``input``."""
        return F.embedding(input.to(self.table.device), self.table).to(input.device)


def keep_embeddings_on_cpu(model: CausalLM) -> None:
    """Keeps the embeddings on the CPU when the model is moved to a GPU.

    Args:
        model: The frozen model, still on the CPU.

    Raises:
        UserError: the head shares their matrix, and needs it on the GPU.
    """
    embedding = model.model.embed_tokens
    if model.config.tie_word_embeddings:
        raise UserError(
            f"{model.name_or_path}: the head shares the embeddings' matrix (tie_word_embeddings), "
            "and needs it on the GPU; use --model.memory.embeddings_on_cpu=false"
        )
    model.model.embed_tokens = CpuEmbedding(embedding)
