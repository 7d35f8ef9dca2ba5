"""Where the cells of a feature map lie in the image, and what a forward pass costs.

Resizing two networks' grids naively onto each other can put them a dozen pixels apart: InceptionV3's valid convolutions
start 21 px inside the image, MobileNetV2's padded ones at 0. The exact place follows from the kernel, stride, padding
and dilation of every convolution and pooling on the way (Araujo, Norris, Sim, "Computing receptive fields of
convolutional neural networks", Distill 2019), so it is followed through one pass on the meta device: no weights are
touched, no hook is set, and any network that is made of PyTorch's own functions works, timm's included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from foodkd.errors import FoodkdError


@dataclass(frozen=True)
class Stage:
    """One tapped stage of a network at one input size.

    Cell i of either axis has its centre at `start + step * i`, in pixels of the network's input (0 = centre of the
    first pixel).
    """

    name: str
    channels: int
    height: int
    width: int
    start: float
    step: float


@dataclass(frozen=True)
class Trace:
    """What one pass showed: a stage per tapped tensor, and the multiply-adds of one image."""

    stages: tuple[Stage, ...]
    multiply_adds: int


# The arguments that move cells, in the order of PyTorch's own signatures.
_SIGNATURES: dict[str, tuple[str, ...]] = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "pad": ("input", "pad"),
    "linear": ("input", "weight"),
}


# These neither move cells nor cost multiply-adds, but are slow on the meta device: they are passed over.
_IDLE = frozenset(
    ("batch_norm", "layer_norm", "group_norm", "relu", "relu6", "hardtanh", "silu", "gelu", "hardswish", "hardsigmoid")
)


def _first(value: Any) -> int:
    """The vertical component of a size: the networks here treat both axes alike."""
    return int(value[0] if isinstance(value, Sequence) else value)


class _Follow(TorchFunctionMode):
    """Follows (start, step) from the image through every function, and counts multiply-adds."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.places: dict[int, tuple[float, float]] = {id(image): (0.0, 1.0)}
        self.alive: list[Tensor] = [image]  # ids are only unique among living tensors
        self.multiply_adds = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _IDLE:
            return kwargs["input"] if "input" in kwargs else args[0]
        result = func(*args, **kwargs)
        for output in _tensors([result]):
            self._place(getattr(func, "__name__", ""), output, args, kwargs)
        return result

    def _place(self, name: str, output: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        name = {"_max_pool2d": "max_pool2d", "max_pool2d_with_indices": "max_pool2d"}.get(name, name)
        given = dict(zip(_SIGNATURES.get(name, ()), args, strict=False)) | kwargs
        if name in ("conv2d", "linear"):
            self.multiply_adds += output.shape[1:].numel() * given["weight"].shape[1:].numel()
        place = self._moved(name, given) if name in _SIGNATURES else self._inherited(output, args, kwargs)
        if place is not None:
            self.places[id(output)] = place
            self.alive.append(output)

    def _moved(self, name: str, given: dict[str, Any]) -> tuple[float, float] | None:
        place = self.places.get(id(given.get("input")))
        if place is None or name == "linear":
            return place
        start, step = place
        if name == "pad":
            return start - given["pad"][0] * step, step
        kernel = given["weight"].shape[-1] if name == "conv2d" else _first(given["kernel_size"])
        stride = given.get("stride") or (1 if name == "conv2d" else kernel)
        reach = (kernel - 1) * _first(given.get("dilation") or 1)
        padding = given.get("padding") or 0
        before = {"same": reach // 2, "valid": 0}[padding] if isinstance(padding, str) else _first(padding)
        return start + (reach / 2 - before) * step, step * _first(stride)

    def _inherited(self, output: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[float, float] | None:
        """Pointwise functions, additions, concatenations, permutations: the place of the first argument so sized."""
        for tensor in _tensors([*args, *kwargs.values()]):
            if id(tensor) in self.places and _same_grid(tensor.shape, output.shape):
                return self.places[id(tensor)]
        return None


def _same_grid(given: torch.Size, output: torch.Size) -> bool:
    """Channels first (also split into groups, as in a channel shuffle), channels last, or one permuted to the other."""
    if min(len(given), len(output)) < 4:
        return False
    return given[-2:] == output[-2:] or given[1:3] == output[1:3] or sorted(given) == sorted(output)


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def trace(network: nn.Module, run: Callable[..., Sequence[Tensor]], names: Sequence[str], size: int) -> Trace:
    """Follow one image of side `size` through a network, without computing or changing anything.

    Args:
        network: any module; its parameters and modes stay as they are.
        run: `run(network, images)` returns the tapped tensors, each (B, C, H, W).
        names: a name per tapped tensor.
        size: side of the square image in pixels.

    Returns:
        The stages in the order given, and the multiply-adds of `run` for one image.

    Raises:
        FoodkdError: the images are too small for the network, or it moves cells in a way that can't be followed.
    """
    state = {name: value.to("meta") for name, value in [*network.named_parameters(), *network.named_buffers()]}
    image = torch.empty(2, 3, size, size, device="meta")  # two: batch norm in training mode refuses a single value
    follow = _Follow(image)
    with torch.no_grad(), follow:
        try:
            tapped = list(functional_call(_Call(network, run), {f"network.{k}": v for k, v in state.items()}, (image,)))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            sentence = f"Images of {size} x {size} px don't pass this network ({reason}); use larger ones."
            raise FoodkdError(sentence) from error
    stages = []
    for name, tensor in zip(names, tapped, strict=True):
        if id(tensor) not in follow.places:
            raise FoodkdError(f"Where the cells of {name} lie in the image can't be followed; use another network.")
        start, step = follow.places[id(tensor)]
        stages.append(Stage(name, tensor.shape[1], tensor.shape[2], tensor.shape[3], start, step))
    return Trace(tuple(stages), follow.multiply_adds)


class _Call(nn.Module):
    """A function of a network as a module, for `functional_call`."""

    def __init__(self, network: nn.Module, run: Callable[..., Sequence[Tensor]]) -> None:
        super().__init__()
        self.network = network
        self.run = run

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        return self.run(self.network, images)


__all__ = ["Stage", "Trace", "trace"]
