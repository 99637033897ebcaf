"""Keeps experts in use while a base is trained whole.

Adapters do not need it: they follow the base's own routing.
"""

from typing import cast

from torch import Tensor
from transformers import GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssTopKRouter, load_balancing_loss_func


class LoadBalance:
    """Collects router logits through forward hooks, for the auxiliary loss of Switch Transformers.

    The loss (arXiv 2101.03961, equations 4 to 6, as transformers computes it) is the number of
    chosen experts when every expert gets the same share of the tokens, and grows with the
    imbalance.

    Args:
        model: its routers are watched from now on.
        weight: factor on the auxiliary loss.
    """

    def __init__(self, model: GptOssForCausalLM, weight: float) -> None:
        self.weight = weight
        self._experts = model.config.num_local_experts
        self._chosen = model.config.num_experts_per_tok
        self._logits: tuple[Tensor, ...] = ()
        for module in model.modules():
            if isinstance(module, GptOssTopKRouter):
                module.register_forward_hook(self._collect)

    def _collect(
        self, router: GptOssTopKRouter, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        if router.training:
            self._logits += (output[0],)

    def begin(self) -> None:
        """Forgets what earlier passes left, such as logits computed again in a backward pass."""
        self._logits = ()

    def loss(self) -> Tensor:
        """The weighted auxiliary loss of the forward pass since ``begin``, a scalar."""
        # Typed by transformers as a tuple of one layer, and as 0 for a model without layers.
        logits = cast(tuple[Tensor], self._logits)
        loss = load_balancing_loss_func(logits, self._experts, self._chosen)
        return self.weight * cast(Tensor, loss)
