"""AdamW with 8-bit states that takes many small tensors in one step.

bitsandbytes steps on one tensor after the other, and waits for the GPU after each. The adapters of
a 20B's experts are 3,072 tensors. Here tensors lie side by side in one flat tensor while they are
stepped: two concatenations, bitsandbytes' own kernel and one copy back, however many they are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import bitsandbytes as bnb
import torch
from torch import Tensor
from torch.nn import Parameter

# bitsandbytes scales 8-bit states in blocks of so many values.
_BLOCK = 256
_Members = tuple[Parameter, ...]
_State = dict[str, Any]


class JoinedAdamW8bit(bnb.optim.AdamW8bit):
    """bitsandbytes' AdamW with 8-bit states, in few operations, with the same results to the bit.

    Joined are tensors of the same type, device and number of steps; those with states in 8 bits
    only if they have whole blocks, so that no block of a joint tensor holds values of two.

    The states of a parameter are views of those of the joint tensor. They are saved and loaded
    parameter by parameter, as bitsandbytes does.

    Attributes:
        most_values: length up to which a flat tensor is joined; it exists during a step, with its
            gradient.
    """

    most_values = 2**22

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._joint: dict[_Members, _State] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._joint = {}  # the states have been replaced

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        stepped: dict[_Members, _State] = {}
        for number, group in enumerate(self.param_groups):
            for members in self._joinable(number, group):
                if len(members) == 1:
                    self.update_step(group, members[0], number, 0)
                else:
                    stepped[members] = self._step_together(number, group, members)
        # What was joined otherwise before is out of date.
        self._joint = stepped
        return loss

    def _joinable(self, number: int, group: dict[str, Any]) -> Iterator[_Members]:
        """The parameters of a group that have a gradient, in sets that can be joined."""
        alike: dict[tuple[Any, ...], list[Parameter]] = defaultdict(list)
        for place, parameter in enumerate(group["params"]):
            if parameter.grad is None:
                continue
            if not self.state[parameter]:
                self.init_state(group, parameter, number, place)
            kept, step = self.state[parameter]["state1"].dtype, self.state[parameter]["step"]
            alone = kept == torch.uint8 and parameter.numel() % _BLOCK
            kinds = (parameter.dtype, parameter.grad.dtype, kept)
            alike[*kinds, parameter.device, step, place if alone else None].append(parameter)
        for parameters in alike.values():
            yield from self._of_length(parameters)

    def _of_length(self, parameters: list[Parameter]) -> Iterator[_Members]:
        """Divides parameters into sets of at most ``most_values`` values, or of one parameter."""
        members: list[Parameter] = []
        values = 0
        for parameter in parameters:
            if members and values + parameter.numel() > self.most_values:
                yield tuple(members)
                members, values = [], 0
            members.append(parameter)
            values += parameter.numel()
        yield tuple(members)

    def _step_together(self, number: int, group: dict[str, Any], members: _Members) -> _State:
        """Steps on all of them; returns their joint state."""
        state = self._joint.get(members) or self._join_states(members)
        flat = Parameter(_joined([parameter.detach() for parameter in members]), False)
        flat.grad = _joined([parameter.grad for parameter in members])  # type: ignore[misc]
        self.state[flat] = state
        try:
            self.update_step(group, flat, number, 0)
        finally:
            del self.state[flat]
        torch._foreach_copy_(list(members), _parts(flat.detach(), members))
        for parameter in members:
            self.state[parameter]["step"] = state["step"]
        return state

    def _join_states(self, members: _Members) -> _State:
        """One state of all members; each member's own becomes views of it."""
        states = [self.state[parameter] for parameter in members]
        joint = dict(states[0])  # the code books and the number of steps are common to all
        for name in ("state1", "state2"):
            joint[name] = _joined([state[name] for state in states])
            for state, part in zip(states, _parts(joint[name], members), strict=True):
                state[name] = part
        for name in ("absmax1", "absmax2"):
            if name in joint:
                blocks = [len(state[name]) for state in states]
                joint[name] = _joined([state[name] for state in states])
                for state, part in zip(states, joint[name].split(blocks), strict=True):
                    state[name] = part
        return joint


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _parts(flat: Tensor, members: _Members) -> list[Tensor]:
    """Views of ``flat``, shaped as the members are."""
    parts = flat.split([parameter.numel() for parameter in members])
    return [part.view(parameter.shape) for part, parameter in zip(parts, members, strict=True)]
