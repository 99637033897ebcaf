"""Pre-training of a base: all weights of a randomly initialized model are trained."""

from pathlib import Path
from typing import cast

from torch import Tensor, initial_seed
from transformers import GptOssForCausalLM
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssTopKRouter, load_balancing_loss_func

from animelm.model.checkpoint.load import initial_model, save_base

_BALANCE_WEIGHT = 0.01


class Pretraining:
    """A base that is trained from random weights, with its load-balancing loss.

    Args:
        base: folder with config.json. The weights are drawn from torch's seed.

    Raises:
        UserError: as ``initial_model``.

    Attributes:
        model: the base, in fp32.
    """

    def __init__(self, base: str) -> None:
        self.model = initial_model(base, seed=initial_seed() % 2**31)
        self._balancer = (
            LoadBalancer(self.model, _BALANCE_WEIGHT)
            if isinstance(self.model, GptOssForCausalLM)
            else None
        )

    def start_batch(self) -> None:
        """Must be called before each forward pass in training."""
        if self._balancer:
            self._balancer.reset()

    def balance_loss(self) -> Tensor | float:
        """The weighted auxiliary loss of the batch, a scalar; 0 for a model without experts."""
        return self._balancer.loss() if self._balancer else 0.0

    def save(self, folder: Path) -> None:
        """Writes the base so that stock transformers can read it."""
        save_base(self.model, folder)


class LoadBalancer:
    """Collects router logits through forward hooks, for the auxiliary loss of Switch Transformers.

    The loss (arXiv 2101.03961, equations 4 to 6, as transformers computes it) is the number of
    chosen experts when every expert gets the same share of the tokens, and grows with the
    imbalance. Adapters do not need it, because they follow the base's own routing.

    Args:
        model: its routers are observed from now on.
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

    def reset(self) -> None:
        """Drops the logits of earlier passes, including those recomputed in a backward pass."""
        self._logits = ()

    def loss(self) -> Tensor:
        """The weighted auxiliary loss of the forward pass since ``reset``, a scalar."""
        # Typed by transformers as a tuple of one layer, and as 0 for a model without layers.
        logits = cast(tuple[Tensor], self._logits)
        loss = load_balancing_loss_func(logits, self._experts, self._chosen)
        return self.weight * cast(Tensor, loss)
