"""Averaged weights are the mean of both, and nothing that was passed in changes."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.average import average
from foodkd.errors import FoodkdError
from foodkd.nets import Pair


def test_the_mean_of_both_answers_and_neither_changes(tiny_checkpoint: Path) -> None:
    pair, earlier = Pair.load(tiny_checkpoint), Pair.load(tiny_checkpoint)
    with torch.no_grad():
        earlier.networks["student"].network.classifier[1].bias.add_(2)
    before = {key: value.clone() for key, value in pair.networks["student"].state_dict().items()}
    made = average(pair, [earlier], {"student": "student"})
    small = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    one, two = (p.networks["student"](p.tensor("student", small)).logits for p in (pair, made))
    assert torch.allclose(two, one + 1, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in pair.networks["student"].state_dict().items())
    assert made.networks["teacher"] is pair.networks["teacher"]
    assert made.info["averaged"]["with"] == {"student": [pair.info["networks"]["student"]["sha256"]]}


def test_two_equal_pairs_average_to_themselves(tiny_checkpoint: Path) -> None:
    pair = Pair.load(tiny_checkpoint)
    made = average(pair, [Pair.load(tiny_checkpoint)] * 2, {"teacher": "teacher", "student": "student"})
    for name in ("teacher", "student"):
        own = pair.networks[name].state_dict()
        assert all(torch.equal(value, own[key]) for key, value in made.networks[name].state_dict().items())


def test_networks_of_other_settings_are_refused(tiny_checkpoint: Path) -> None:
    pair, other = Pair.load(tiny_checkpoint), copy.copy(Pair.load(tiny_checkpoint))
    other.settings = {**other.settings, "student": other.settings["student"].model_copy(update={"size": 96})}
    with pytest.raises(FoodkdError, match="other settings"):
        average(pair, [other], {"student": "student"})
