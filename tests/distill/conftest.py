"""Two toy networks that train in milliseconds: four stages, batch norm, global average pooling, one linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foodkd.distill import DistillSettings, JointDistiller
from foodkd.nets import TappedClassifier
from foodkd.nets.families import Family

CLASSES = 4
SIZE = 32
TAPS = tuple(f"stage{i}" for i in range(4))


class Toy(nn.Module):
    """A convolution of stride 2, batch norm and ReLU per stage; steps 2, 4, 8, 8 px."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        before = 3
        for index in range(4):
            channels = width * (1 + index)
            stride = 2 if index < 3 else 1
            convolution = nn.Conv2d(before, channels, kernel, stride, kernel // 2)
            setattr(self, f"stage{index}", nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU()))
            before = channels
        self.fc = nn.Linear(before, CLASSES)


def chain(network: Any) -> dict[str, Any]:
    return {name: getattr(network, name) for name in TAPS}


def pool(_network: Any, features: Tensor) -> Tensor:
    return features.mean((2, 3))


def toy(width: int = 6, kernel: int = 3, *, dropout: float = 0.0, seed: int = 0) -> TappedClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TappedClassifier(Toy(width, kernel), Family(chain, pool, "fc"), TAPS, dropout=dropout)


Distiller = Callable[..., JointDistiller]


@pytest.fixture
def distiller() -> Distiller:
    """`distiller(kd=1, iam=0, ...)`: toy teacher and student; what is not named is switched off, without ramps."""

    def make(*, precision: tuple[str, str] = ("float32", "float32"), dropout: float = 0.0, **settings: Any) -> Any:
        off = {"kd": 0, "mld": 0, "iam": 0, "kd_ramp": 0, "mld_ramp": 0, "iam_ramp": 0, "mld_width": 8}
        chosen = DistillSettings(**off | settings)
        teacher, student = toy(8, 3, dropout=dropout, seed=1), toy(4, 5, dropout=dropout, seed=2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return JointDistiller(teacher, student, chosen, sizes=(SIZE, SIZE), precision=precision)  # type: ignore[arg-type]

    return make


@pytest.fixture
def images() -> Tensor:
    return torch.randn(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(8) % CLASSES


@pytest.fixture
def mixed() -> Tensor:
    """Labels of 8 photos, the first four of them mixed."""
    targets = torch.nn.functional.one_hot(torch.arange(8) % CLASSES, CLASSES).float()
    targets[:4] = 0.7 * targets[:4] + 0.3 * targets[:4].roll(1, 1)
    return targets
