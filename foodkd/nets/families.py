"""How each family of backbones runs: its blocks from the image to the last features, its pooling, its last layer.

A family only *reads* a network, so one description serves the original, its copies and its compiled form, and nothing
has to be hooked. A new family is one entry in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foodkd.errors import FoodkdError

Block = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """One family of torchvision networks.

    Attributes:
        chain: the blocks in order, by name, from the image (B, 3, S, S) to the last features (B, C, H, W).
        pool: the last features to the input (B, C) of the last linear layer, dropout left out.
        last: dotted name of the last linear layer.
        options: further arguments of torchvision's constructor.
    """

    chain: Callable[[Any], dict[str, Block]]
    pool: Callable[[Any, Tensor], Tensor]
    last: str
    options: tuple[tuple[str, Any], ...] = ()

    def stages(self, network: nn.Module, images: Tensor, taps: Sequence[str]) -> list[Tensor]:
        """Run the chain once; returns the output of each block named in `taps`, (B, C_l, H_l, W_l)."""
        tapped = []
        for name, block in self.chain(network).items():
            images = block(images)
            if name in taps:
                tapped.append(images)
        return tapped


# Functions with names, no lambdas: a whole network can then be pickled.


def _named(network: Any, names: str) -> dict[str, Block]:
    return {name: getattr(network, name) for name in names.split()}


def _resnet(network: Any) -> dict[str, Block]:
    return _named(network, "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4")


def _shufflenet(network: Any) -> dict[str, Block]:
    return _named(network, "conv1 maxpool stage2 stage3 stage4 conv5")


def _features(network: Any) -> dict[str, Block]:
    return {f"features.{name}": block for name, block in network.features.named_children()}


def _averaged(network: Any, features: Tensor) -> Tensor:
    return network.avgpool(features).flatten(1)


def _mean(_network: Any, features: Tensor) -> Tensor:
    return features.mean((2, 3))


def _before_dropout(network: Any, features: Tensor) -> Tensor:
    """Everything of the classifier that comes before its dropout and its last linear layer."""
    hidden = features.mean((2, 3))
    for layer in list(network.classifier)[:-1]:
        hidden = hidden if isinstance(layer, nn.Dropout) else layer(hidden)
    return hidden


def _convnext_pool(network: Any, features: Tensor) -> Tensor:
    norm, flatten = list(network.classifier)[:2]
    return flatten(norm(network.avgpool(features)))


def _densenet(network: Any) -> dict[str, Block]:
    # The functional ReLU after norm5 belongs to the features: what is pooled is what the map must be taken from.
    return {**_features(network), "relu": F.relu}


_INCEPTION = (
    "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 maxpool1 Conv2d_3b_1x1 Conv2d_4a_3x3 maxpool2 Mixed_5b Mixed_5c "
    "Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e Mixed_7a Mixed_7b Mixed_7c"
)


def _inception(network: Any) -> dict[str, Block]:
    return {"transform_input": network._transform_input, **_named(network, _INCEPTION)}


def _regnet(network: Any) -> dict[str, Block]:
    return {"stem": network.stem, **{name: block for name, block in network.trunk_output.named_children()}}


FAMILIES: dict[str, Family] = {
    "resnet": Family(_resnet, _averaged, "fc"),
    "densenet": Family(_densenet, _mean, "classifier"),
    "inception_v3": Family(_inception, _averaged, "fc", (("aux_logits", False), ("init_weights", True))),
    "mobilenet_v2": Family(_features, _before_dropout, "classifier.1"),
    "mobilenet_v3": Family(_features, _before_dropout, "classifier.3"),
    "shufflenet_v2": Family(_shufflenet, _mean, "fc"),
    "efficientnet": Family(_features, _before_dropout, "classifier.1"),
    "regnet": Family(_regnet, _averaged, "fc"),
    "convnext": Family(_features, _convnext_pool, "classifier.2"),
}


@dataclass(frozen=True)
class Timm:
    """A timm network: its own `forward_intermediates` gives every stage in one pass."""

    last: str

    def stages(self, network: nn.Module, images: Tensor, taps: Sequence[str]) -> list[Tensor]:
        """Run the network once; `taps` name its intermediate features by index, the last is what its head pools."""
        indices = [int(tap.removeprefix("stage")) for tap in taps]
        last, between = cast(Any, network).forward_intermediates(images, indices=indices, output_fmt="NCHW")
        return [*between[:-1], last]

    def pool(self, network: nn.Module, features: Tensor) -> Tensor:
        """The last features (B, C, H, W) to the input (B, C) of the last linear layer."""
        return cast(Any, network).forward_head(features, pre_logits=True)


def torchvision_family(name: str) -> Family | None:
    """The family of a torchvision network by its name, or None."""
    name = name.removeprefix("wide_").replace("resnext", "resnet")
    matches = [prefix for prefix in FAMILIES if name.startswith(prefix)]
    return FAMILIES[max(matches, key=len)] if matches else None


def timm_family(network: nn.Module, name: str) -> Timm:
    """Describe a timm network, or say in one sentence why it can't be tapped."""
    last = network.get_classifier() if hasattr(network, "get_classifier") else None  # type: ignore[operator]
    if not isinstance(last, nn.Linear) or not hasattr(network, "forward_intermediates"):
        raise FoodkdError(f"timm:{name} has no single linear classifier over tappable stages; try timm:resnet18.")
    path = next(path for path, module in network.named_modules() if module is last)
    with torch.device("meta"):
        images = torch.empty(2, 3, 224, 224)
    with torch.no_grad():
        state = {key: value.to("meta") for key, value in network.state_dict().items()}
        features = torch.func.functional_call(_Features(network), {f"network.{k}": v for k, v in state.items()}, images)
    if features.ndim != 4 or features.shape[1] != cast(Any, network).num_features:
        raise FoodkdError(
            f"timm:{name} ends in features of shape {tuple(features.shape)}; a convolutional network with "
            "(B, C, H, W) features is needed, for example timm:resnet18 or timm:mobilenetv3_small_100."
        )
    return Timm(path)


class _Features(nn.Module):
    """A timm network's last features, as a module for `functional_call`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return cast(Any, self.network).forward_features(images)
