"""Store the weights of a network in a few long parameters, of which its own are views.

Between the two launches of a recorded step (see ``graphs.py``), autograd passes one gradient per weight, and the
optimizer visits one weight after the other: effnet.1 has 152 and effnet.4 271, which takes 2 and 4 ms of CPU per step.
Long parameters have one gradient each. Mixed precision also casts them as a whole instead of weight by weight, which
saves a third of the operations on the device.

An elementwise optimizer gives the same result for a long parameter as for its parts; only such optimizers get long
ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

_ELEMENTWISE = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.RAdam,
    torch.optim.NAdam,
    torch.optim.Adamax,
    torch.optim.RMSprop,
    torch.optim.Adagrad,
    torch.optim.Adadelta,
)
# Layers that pass their weights directly to the operation, which mixed precision runs in 16 bits. Derived layers may
# compute with their weights first, in 32 bits.
_CAST = (nn.Conv1d, nn.Conv2d, nn.Linear)
# Align weights for convolution kernels: to multiples of 128 bytes, also in 16 bits.
_ALIGNED = 64


@dataclass(frozen=True)
class _Place:
    """Position of a weight in a long parameter."""

    name: str
    weight: nn.Parameter
    offset: int

    def view_of(self, long: torch.Tensor) -> torch.Tensor:
        return long.as_strided(self.weight.shape, self.weight.stride(), self.offset)


class FlatNetwork(nn.Module):
    """Runs a network with long parameters; results and gradients are identical to those of the network.

    Its parameters are the long ones, which get the gradients. The network keeps its weights as views, so saving,
    loading and evaluation work as usual. The optimizer gets the long parameters instead; its ``state_dict()`` remains
    that of the weights. Weights that cannot be views stay separate parameters.

    Parameters
    ----------
    network
        On its device, in its layout.
    optimizer
        Optimizer of the network's weights; see `can_be_flat`.
    mixed
        16-bit type of autocast for the network; None for 32 bits.
    unused
        Names of unused weights, which optimizers do not change.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        mixed: torch.dtype | None,
        unused: Sequence[str] = (),
    ):
        super().__init__()
        self._network = (network,)  # in a tuple, so that torch does not register it as a submodule
        self._kinds: list[torch.dtype] = []
        self._places: list[list[_Place]] = []
        self.long = nn.ParameterList()
        self.single = nn.ParameterList()  # recorded graphs give gradients only to a module's own parameters
        names = {weight: name for name, weight in network.named_parameters() if name not in unused}
        # On a GPU, these layers allocate their own memory for weights, outside of long parameters.
        moving = _names_in(network, lambda layer: isinstance(layer, nn.RNNBase))
        cast = _names_in(network, lambda layer: type(layer) in _CAST) if mixed is not None else set()
        self._before = [list(group["params"]) for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            weights = [w for w in group["params"] if w in names and _fits(w) and names[w] not in moving]
            viewed = set(weights)
            rest = [w for w in group["params"] if w not in viewed]
            self.single.extend(weight for weight in rest if weight in names)
            for is_cast in (True, False):
                chosen = {names[w]: w for w in weights if (names[w] in cast) is is_cast}
                if chosen:
                    self._add(chosen, mixed if is_cast and mixed is not None else torch.float32)
                    rest.append(self.long[-1])
                    _join_state(optimizer, self.long[-1], self._places[-1])
            group["params"] = rest
        optimizer.register_state_dict_post_hook(self._state_by_weight)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the output of the network."""
        views: dict[str, torch.Tensor] = {}
        for long, kind, places in zip(self.long, self._kinds, self._places, strict=True):
            views.update(zip((p.name for p in places), _Parts.apply(long, kind, places), strict=True))
        return functional_call(self._network[0], views, inputs)

    def _add(self, weights: dict[str, nn.Parameter], kind: torch.dtype) -> None:
        places, end = [], 0
        for name, weight in weights.items():
            places.append(_Place(name, weight, end))
            end += -(-weight.numel() // _ALIGNED) * _ALIGNED
        long = torch.zeros(end, device=places[0].weight.device)
        for place in places:
            view = place.view_of(long)
            view.copy_(place.weight.detach())
            place.weight.data = view
        self.long.append(nn.Parameter(long))
        self._kinds.append(kind)
        self._places.append(places)

    def _state_by_weight(self, optimizer: torch.optim.Optimizer, found: dict[str, Any]) -> dict[str, Any]:
        """Return the optimizer's state in terms of the original weights."""
        states = {
            place.weight: _state_of(place, optimizer.state[long], long)
            for long, places in zip(self.long, self._places, strict=True)
            if long in optimizer.state
            for place in places
        }
        numbers = {weight: n for n, weight in enumerate(w for group in self._before for w in group)}
        groups = [
            {**group, "params": [numbers[weight] for weight in weights]}
            for group, weights in zip(found["param_groups"], self._before, strict=True)
        ]
        state = {
            number: states.get(weight) or optimizer.state[weight]
            for weight, number in numbers.items()
            if weight in states or weight in optimizer.state
        }
        return {**found, "state": state, "param_groups": groups}


def can_be_flat(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimizer works elementwise."""
    return type(optimizer) in _ELEMENTWISE


class _Parts(torch.autograd.Function):
    """Split a cast long parameter into its weights; join their gradients in 32 bits."""

    @staticmethod
    def forward(ctx: Any, long: torch.Tensor, kind: torch.dtype, places: list[_Place]) -> tuple[torch.Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.places, ctx.count = places, long.numel()
        copy = long.to(kind, copy=True)
        return tuple(place.view_of(copy) for place in places)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, None, None]:
        given = [(p, g) for p, g in zip(ctx.places, gradients, strict=True) if g is not None]
        if not given:
            return None, None, None
        whole = torch.zeros(ctx.count, device=given[0][1].device)
        pairs = [(place.view_of(whole), gradient) for place, gradient in given]
        # One launch for all with the memory layout of the weight; a single mismatch makes all run separately.
        alike = [pair for pair in pairs if _order(pair[0]) == _order(pair[1])]
        if alike:
            torch._foreach_copy_([own for own, _ in alike], [gradient for _, gradient in alike])
        for own, gradient in pairs:
            if _order(own) != _order(gradient):
                own.copy_(gradient)
        return whole, None, None


def _names_in(network: nn.Module, chosen: Callable[[nn.Module], bool]) -> set[str]:
    """Return the names of the weights of some layers."""
    return {
        f"{path}.{name}" if path else name
        for path, layer in network.named_modules()
        if chosen(layer)
        for name, _ in layer.named_parameters(recurse=False)
    }


def _fits(weight: nn.Parameter) -> bool:
    """Return whether a weight can be a view: float32, contiguous, and not a scalar.

    The state of a scalar could not be distinguished from the count of steps.
    """
    sides = sorted((stride, size) for size, stride in zip(weight.shape, weight.stride(), strict=True) if size > 1)
    expected = 1
    for stride, size in sides:
        if stride != expected:
            return False
        expected *= size
    return weight.dtype == torch.float32 and weight.requires_grad and weight.numel() > 0 and weight.dim() > 0


def _order(tensor: torch.Tensor) -> list[int]:
    """Return the strides of dimensions longer than 1."""
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]


def _join_state(optimizer: torch.optim.Optimizer, long: nn.Parameter, places: list[_Place]) -> None:
    """Transfer the optimizer's state of some weights, if any, to their long parameter."""
    known = [(p, optimizer.state.pop(p.weight)) for p in places if p.weight in optimizer.state]
    if not known:
        return
    joined: dict[str, Any] = {}
    first, its_state = known[0]
    for key, value in its_state.items():
        if isinstance(value, torch.Tensor) and value.shape == first.weight.shape:
            joined[key] = torch.zeros_like(long)
            for place, state in known:
                place.view_of(joined[key]).copy_(state[key])
        else:  # the count of steps, equal for all weights
            joined[key] = value.clone() if isinstance(value, torch.Tensor) else value
    optimizer.state[long] = joined


def _state_of(place: _Place, state: dict[str, Any], long: torch.Tensor) -> dict[str, Any]:
    """Return a copy of a weight's part of the state, including counts, since optimizers change it in place."""
    return {
        key: (place.view_of(value) if value.shape == long.shape else value).clone()
        if isinstance(value, torch.Tensor)
        else value
        for key, value in state.items()
    }
