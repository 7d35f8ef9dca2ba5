"""One network of each family, built once for all tests; and a way to make a network's geometry visible."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foodkd.nets import TappedClassifier, build_network

CLASSES = 5


@dataclass(frozen=True)
class Case:
    """A network and what is known of it from its paper and torchvision's source, not from this project's code."""

    name: str
    size: int
    channels: tuple[int, ...]
    steps: tuple[int, ...] = (4, 8, 16, 32)
    options: dict[str, Any] = field(default_factory=dict)
    additive: bool = True

    @property
    def id(self) -> str:
        return self.name + "".join(f"-{key}-{value}" for key, value in self.options.items())


CASES = (
    Case("resnet18", 64, (64, 128, 256, 512)),
    Case("densenet121", 64, (256, 512, 1024, 1024)),
    Case("inception_v3", 128, (192, 288, 768, 2048)),
    Case("inception_v3", 96, (192, 288, 768, 2048), (4, 8, 16, 16), {"output_stride": 16}),
    Case("mobilenet_v2", 64, (24, 32, 96, 1280)),
    Case("mobilenet_v2", 64, (24, 32, 96, 1280), (4, 8, 16, 16), {"output_stride": 16}),
    Case("mobilenet_v3_small", 64, (16, 24, 48, 576), additive=False),
    Case("shufflenet_v2_x1_0", 64, (24, 116, 232, 1024)),
    Case("efficientnet_b0", 64, (24, 40, 112, 1280)),
    Case("regnet_y_400mf", 64, (48, 104, 208, 440)),
    Case("convnext_tiny", 64, (96, 192, 384, 768), additive=False),
    Case("timm:resnet18", 64, (64, 128, 256, 512)),
    Case("timm:mobilenetv3_small_100", 64, (16, 24, 48, 576), additive=False),
)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.id)
def family(request: pytest.FixtureRequest) -> tuple[Case, TappedClassifier]:
    """A case and its network in eval, random weights with lively statistics. Shared: never change it."""
    case: Case = request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = build_network(case.name, CLASSES, **case.options).eval()
        _liven(network)
    return case, network


def _liven(network: nn.Module) -> None:
    """Batch norms that shift and scale, so that an untrained network is not nearly constant."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.05)
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.normal_(module.bias, 0.1, 0.2)


@pytest.fixture
def photos(family: tuple[Case, TappedClassifier]) -> Tensor:
    return noise(family[0].size)


def noise(size: int, count: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def hook_count(network: nn.Module) -> int:
    """Every hook of every kind on every module."""
    kinds = [key for key in vars(nn.Module()) if key.endswith("_hooks")]
    assert len(kinds) >= 6  # forward, forward_pre, backward, backward_pre, state_dict, ...
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


def snapshot(network: nn.Module) -> tuple[dict[str, Tensor], list[bool], int]:
    """A network's state, the mode of every module, and its number of hooks."""
    state = {key: value.clone() for key, value in network.state_dict().items()}
    return state, [module.training for module in network.modules()], hook_count(network)


def same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def calls(network: nn.Module, kinds: tuple[type, ...], run: Any) -> Counter[str]:
    """How often each module of some kinds runs while `run()` does."""
    counted: Counter[str] = Counter()
    handles = [
        module.register_forward_hook(lambda *_, name=name: counted.update([name]))
        for name, module in network.named_modules()
        if isinstance(module, kinds)
    ]
    run()
    for handle in handles:
        handle.remove()
    return counted


def pinpoint(network: TappedClassifier) -> TappedClassifier:
    """A copy that keeps every stride, padding and dilation and looks at one place only.

    Of each odd kernel just the middle tap is left, of each even kernel equal taps: what a cell sees lies around its
    true centre.
    """
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(_middle(module.weight, generator))
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    return network.eval()


def _middle(weight: Tensor, generator: torch.Generator) -> Tensor:
    """(O, I, h, w) with the same amount per (output, input) on the middle tap, or on all taps of an even kernel."""
    amounts = torch.randn(weight.shape[:2], generator=generator) / weight.shape[1] ** 0.5
    height, width = weight.shape[2:]
    if height % 2 == 0:
        return amounts[:, :, None, None].expand_as(weight) / (height * width)
    taps = torch.zeros_like(weight)
    taps[:, :, height // 2, width // 2] = amounts
    return taps
