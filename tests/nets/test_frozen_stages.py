"""A frozen stage stays bit for bit as it started, whatever is trained above it; and it costs no gradient."""

from __future__ import annotations

import copy

import pytest
import torch

from foodkd.errors import FoodkdError
from foodkd.nets import build_network
from foodkd.nets.strides import recalibrate


def _changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {key for key in before if not torch.equal(before[key], after[key])}


@pytest.mark.parametrize("stages", [1, 2])
def test_training_leaves_frozen_stages_alone_and_moves_the_rest(stages: int) -> None:
    torch.manual_seed(0)
    network = build_network("mobilenet_v2", 3, output_stride=16)
    network.freeze(stages)
    network.train()
    cut = int(network.taps[stages - 1].rpartition(".")[2])
    before = copy.deepcopy(network.network.state_dict())
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    images = torch.rand(4, 3, 64, 64)
    for _ in range(2):
        torch.nn.functional.cross_entropy(network(images).logits, torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    recalibrate(network, iter([images]))
    changed = _changed(before, network.network.state_dict())
    early = {key for key in before if key.startswith("features.") and int(key.split(".")[1]) <= cut}
    assert not changed & early
    norms = {key for key in before if key.endswith("running_mean")} - early
    weights = {key for key, _ in network.network.named_parameters()} - early
    assert norms <= changed and {key for key in weights if key.endswith("weight")} <= changed
    assert all(p.grad is None for key, p in network.network.named_parameters() if key in early)


def test_frozen_stages_stay_in_eval_in_copies_too() -> None:
    network = build_network("resnet18", 3)
    network.freeze(1)
    for one in (network, copy.deepcopy(network)):
        one.train()
        assert not one.network.bn1.training and one.network.layer2[0].bn1.training  # type: ignore[union-attr,index]
        assert {id(module) for module in one.frozen} <= {id(module) for module in one.network.modules()}


def test_nothing_frozen_changes_nothing() -> None:
    network = build_network("resnet18", 3)
    network.freeze(0)
    assert network.frozen == [] and all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(("name", "stages", "most"), [("resnet18", 5, "0 to 4"), ("timm:resnet18", 1, "0 to 0")])
def test_what_cannot_be_frozen_is_refused_with_what_can(name: str, stages: int, most: str) -> None:
    with pytest.raises(FoodkdError, match=f"frozen_stages = {stages}: this network allows {most}"):
        build_network(name, 3).freeze(stages)
