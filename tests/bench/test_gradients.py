"""The gradients of the terms, taken alone, are those of the training's loss taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gradients
from foodkd.distill.terms import StillObjective, term_weights
from foodkd.nets import Pair

DATA = {"dataset": "generated", "resolution": 64, "holdout": 0.3, "options": {}}


@pytest.fixture
def pair(tiny_checkpoint: Path) -> Pair:
    own = Pair.load(tiny_checkpoint)
    own.info = {**own.info, "recipe": {"data": DATA, "augment": {}, "distill": {"reverse": 0.5}}}
    return own


def test_the_parts_of_the_gradient_add_up_to_that_of_the_loss(pair: Pair) -> None:
    distiller = StillObjective(pair).distiller.requires_grad_(True)
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    terms = distiller([pair.tensor(name, small) for name in gradients.BOTH], torch.tensor([0, 1, 3]), 1.0)
    parts = {name: weight * terms[name] for name, weight in term_weights(distiller.settings).items()}
    for name in gradients.BOTH:
        into = gradients._backbone(distiller, name)
        apart = gradients._gradients(parts, into)
        whole = gradients._gradients({"loss": terms["loss"]}, into)["loss"]
        error = torch.stack(list(apart.values())).sum(0) - whole
        assert float(error.norm()) < 1e-4 * float(whole.norm())  # single elements may be all rounding
        other = {"teacher": "student", "student": "teacher"}[name]
        assert f"ce_{name}" in apart and f"ce_{other}" not in apart  # the other network's labels reach nothing here


def test_every_term_is_compared_with_the_networks_own_labels(pair: Pair) -> None:
    found = gradients.measured(pair, None, batches=2, size=4)
    for name in gradients.BOTH:
        assert set(found[name]) == {f"ce_{name}", "kd", "mld/1", "mld/2", "iam"}
        assert found[name][f"ce_{name}"]["cosine"] == pytest.approx([1, 1])
        assert all(-1 <= c <= 1 + 1e-9 for line in found[name].values() for c in line["cosine"])
        assert all(norm > 0 for line in found[name].values() for norm in line["norm"])
    table = gradients.markdown(found)
    assert "| student | iam |" in table and "| student | ce_student |" not in table
