"""Embeddings that stay in the machine's memory while the rest of the model is on a GPU.

A step looks up a row a token, and only these rows travel: of gpt-oss-20B's table of 1.08 GiB, 11
MiB for a block of 2,048 tokens.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from animelm.errors import UserError
from animelm.model.architecture import CausalLM


class HostEmbedding(nn.Module):
    """A frozen table of embeddings.

    Attributes:
        table: [vocabulary, width] on the CPU. No parameter, so that nothing moves it.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.table = embedding.weight.detach()

    def forward(self, input: Tensor) -> Tensor:
        """[*, width], where ``input`` [*] int64 is."""
        return F.embedding(input.to(self.table.device), self.table).to(input.device)


def keep_embeddings_on_cpu(model: CausalLM) -> None:
    """Takes the embeddings out of what moves to a GPU with the model.

    Args:
        model: on the CPU, frozen.

    Raises:
        UserError: the head has the same matrix, and needs it where the products are.
    """
    embedding = model.model.embed_tokens
    if model.config.tie_word_embeddings:
        raise UserError(
            f"{model.name_or_path}: its head has the embeddings' matrix (tie_word_embeddings), "
            "which must be where the products are; use --model.memory.embeddings_on_cpu=false"
        )
    model.model.embed_tokens = HostEmbedding(embedding)
