"""Our one-pass maps against pytorch-grad-cam on the bare network, and its further methods on a private copy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from foodkd.explain import Explanation
from foodkd.explain.library import LIBRARY_METHODS, private_copy
from foodkd.nets import Pair, TappedClassifier, build_network

SIZE = 64
BACKBONES = ("resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "mobilenet_v3_small")


@pytest.fixture(scope="module", params=BACKBONES)
def network(request: pytest.FixtureRequest) -> TappedClassifier:
    torch.manual_seed(11)
    network = build_network(request.param, 6)
    images = torch.randn(8, 3, SIZE, SIZE)
    with torch.no_grad():
        for _ in range(12):
            network(images)
    return network.eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def _reference(method: str, bare: nn.Module, tap: str, image: torch.Tensor, label: int) -> np.ndarray:
    """The library as its users run it: the plain torchvision network and one of its own layers. (S, S) in 0..1.

    What is explained is the class's lead over the average class, the logit that doesn't depend on how W is written.
    """
    import pytorch_grad_cam

    engine = getattr(pytorch_grad_cam, method)(bare, [bare.get_submodule(tap)])
    return engine(image, [lambda logits: logits[label] - logits.mean()])[0]


def _cosine(values: np.ndarray, reference: np.ndarray) -> float:
    """After the library's own ReLU and scaling."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    ours = scale_cam_image(np.maximum(values, 0)[None], reference.shape)[0]
    return float((ours * reference).sum() / (np.linalg.norm(ours) * np.linalg.norm(reference)))


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(("method", "theirs"), [("gradcam", "GradCAM"), ("layercam", "LayerCAM")])
def test_gradient_maps_match_the_library(
    network: TappedClassifier, image: torch.Tensor, method: str, theirs: str, stage: int
) -> None:
    explanation = Explanation(network, image)
    bare = copy.deepcopy(network.network)
    compared = 0
    for label in range(6):
        ours = explanation.layer(stage, method, label)
        reference = _reference(theirs, bare, ours.stage_name, image, label)
        if ours.values.max() > 0:
            assert _cosine(ours.values, reference) > 0.999
            compared += 1
        else:
            assert not reference.any()  # no positive evidence for that class, for them as for us
    assert compared >= 1


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_eigen_cam_matches_the_library_up_to_its_arbitrary_sign(
    network: TappedClassifier, image: torch.Tensor, stage: int
) -> None:
    ours = Explanation(network, image).layer(stage, "eigencam")
    reference = _reference("EigenCAM", copy.deepcopy(network.network), ours.stage_name, image, 0)
    assert np.prod(ours.grid) > 1  # a single cell has no principal component
    assert max(_cosine(ours.values, reference), _cosine(-ours.values, reference)) > 0.999


@pytest.mark.parametrize("method", [name for name in LIBRARY_METHODS if name != "scorecam"])
def test_further_methods_equal_the_library_on_the_bare_network(
    seeded_pair: Pair, small: np.ndarray, method: str
) -> None:
    tapped, image = seeded_pair.networks["teacher"], seeded_pair.tensor("teacher", small)
    explanation = Explanation(tapped, image)
    maps = [explanation.layer(stage, method, label) for stage, label in ((1, 1), (3, 4))]
    assert any(ours.values.max() > 0 for ours in maps)
    bare = copy.deepcopy(tapped.network).requires_grad_(True)
    for ours, label in zip(maps, (1, 4), strict=True):
        reference = _reference(LIBRARY_METHODS[method], bare, ours.stage_name, image, label)
        assert np.isfinite(ours.values).all() and ours.values.min() >= 0
        assert _cosine(ours.values, reference) > 0.999 if ours.values.any() else not reference.any()
    assert explanation.passes == 0


def test_score_cam_runs_on_a_narrow_stage(
    seeded_pair: Pair, small: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    ours = Explanation.of(seeded_pair, "student", small).layer(0, "scorecam", 1)
    assert ours.values.max() > 0 and np.isfinite(ours.values).all()


def test_further_methods_are_remembered(seeded_pair: Pair, small: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = Explanation.of(seeded_pair, "student", small)
    first = explanation.layer(3, "gradcam++", 0).values
    monkeypatch.setattr(TappedClassifier, "forward", None)  # a second pass would fail
    assert np.array_equal(explanation.layer(3, "gradcam++", 0).values, first)


def test_the_private_copy_shares_weights_but_no_structure(seeded_pair: Pair) -> None:
    network = seeded_pair.networks["student"]
    copied = private_copy(network)
    for ours, theirs in zip(network.parameters(), copied.parameters(), strict=True):
        assert ours is not theirs and ours.data_ptr() == theirs.data_ptr()
    own = {id(module) for module in network.modules()}
    assert not any(id(module) in own for module in copied.modules())
    copied.train()
    assert not network.training
