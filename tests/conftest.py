"""Shared by all parts: one small random pair, and its checkpoint on disk."""

from __future__ import annotations

import os
from pathlib import Path

# Two test processes with two threads each would wait for one another; read by OpenMP when torch is imported. The
# process that starts them must not set it: they inherit what it has.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # whoever waits sleeps instead of keeping a processor busy

import numpy as np
import pytest
import torch

from foodkd.data import Preprocessing, open_photos
from foodkd.nets import AuxiliaryClassifiers, NetworkSettings, Pair
from foodkd.nets.strides import recalibrate


def _auxiliary(pair: Pair, name: str) -> AuxiliaryClassifiers:
    channels = [stage.channels for stage in pair.networks[name].geometry(pair.sizes[name])]
    return AuxiliaryClassifiers(channels, (1, 2), 16, len(pair.classes)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_pair() -> Pair:
    """ResNet-18 and MobileNetV2 (cells 16 px apart) on 64 px, random weights; the generated dataset's four classes.

    Shared by the whole session: never change it, make a copy.
    """
    photos = open_photos("generated", None, "train", resolution=64, limit=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        pair = Pair.build(
            NetworkSettings(backbone="resnet18", size=64),
            NetworkSettings(backbone="mobilenet_v2", size=64, output_stride=16),
            photos.classes,
            Preprocessing(resolution=64),
        )
        pair.auxiliary = {name: _auxiliary(pair, name) for name in pair.networks}
    small = photos.read(np.arange(len(photos)))
    for name, network in pair.networks.items():
        # Random weights answer every photo alike until batch norm knows what it sees.
        recalibrate(network, iter([pair.tensor(name, small)]))
    pair.temperatures = {"teacher": 1.25, "student": 1.5}
    pair.info = {"name": "tiny", "metrics": {"note": "random weights: nothing was trained or measured"}}
    return pair


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pair's saved folder. Shared by the whole session: never change it, make a copy."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    copy = Pair(
        tiny_pair.classes,
        tiny_pair.preprocessing,
        tiny_pair.networks,
        tiny_pair.settings,
        tiny_pair.auxiliary,
        tiny_pair.temperatures,
        tiny_pair.info,
    )
    return copy.save(folder)
