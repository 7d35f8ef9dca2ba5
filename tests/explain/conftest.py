"""Small pairs and pictures for the tests of `explain`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foodkd.data import Preprocessing
from foodkd.explain import Explanation
from foodkd.nets import AuxiliaryClassifiers, NetworkSettings, Pair, TappedClassifier

CLASSES = ("apple_pie", "miso_soup", "pizza", "spring_rolls", "tiramisu")


def settle(network: TappedClassifier, size: int, *, seed: int = 0) -> TappedClassifier:
    """Give batch norm plausible statistics, so that random weights answer differently in different places."""
    images = torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(seed))
    network.train()
    with torch.no_grad():
        for _ in range(12):
            network(images)
    return network.eval()


@pytest.fixture(scope="session")
def seeded_pair() -> Pair:
    """ResNet-18 at 96 px and MobileNetV2 at 64 px, random weights, five classes; one stage classifier is missing."""
    torch.manual_seed(3)
    pair = Pair.build(
        NetworkSettings(backbone="resnet18", size=96, output_stride=16),
        NetworkSettings(backbone="mobilenet_v2", size=64, output_stride=16),
        CLASSES,
        Preprocessing(resolution=48),
    )
    for name, stages in (("teacher", (1, 2, 3)), ("student", (0, 1, 2, 3))):
        network = settle(pair.networks[name], pair.sizes[name])
        channels = [stage.channels for stage in network.geometry(pair.sizes[name])]
        pair.auxiliary[name] = AuxiliaryClassifiers(channels, stages, 16, len(CLASSES)).eval()
    pair.temperatures = {"teacher": 1.0, "student": 1.7}
    return pair


@pytest.fixture
def small() -> np.ndarray:
    """A picture of 48 x 48: noise over a gradient, with a bright corner."""
    rng = np.random.default_rng(5)
    picture = np.linspace(20, 160, 48)[:, None, None] + rng.integers(0, 60, (48, 48, 3))
    picture[4:16, 30:44] = (250, 220, 90)
    return picture.astype(np.uint8)


@pytest.fixture
def teacher(seeded_pair: Pair, small: np.ndarray) -> Explanation:
    return Explanation.of(seeded_pair, "teacher", small)


@pytest.fixture
def student(seeded_pair: Pair, small: np.ndarray) -> Explanation:
    return Explanation.of(seeded_pair, "student", small)
