"""The maps of one network: what they add up to, how few passes they take, and what they leave behind."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foodkd.errors import FoodkdError
from foodkd.explain import METHOD_TITLES, METHODS, Explanation, Explanations, faithfulness, formulas, needs_class
from foodkd.nets import Pair, TappedClassifier, build_network

BOTH = ("teacher", "student")


@pytest.fixture(scope="module")
def curved() -> TappedClassifier:
    """A network whose head is no linear layer on a mean: its logits are not the sum of places."""
    torch.manual_seed(0)
    return build_network("mobilenet_v3_small", 4).eval()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Counts forward passes of tapped networks and backward passes."""
    counts = {"forward": 0, "backward": 0}

    def count(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return called

    monkeypatch.setattr(TappedClassifier, "forward", count("forward", TappedClassifier.forward))
    monkeypatch.setattr(torch.autograd, "grad", count("backward", torch.autograd.grad))
    return counts


# --- identities


@pytest.mark.parametrize("name", BOTH)
def test_mean_of_iam_plus_bias_is_the_logit(seeded_pair: Pair, small: np.ndarray, name: str) -> None:
    explanation = Explanation.of(seeded_pair, name, small)
    for label, logit in enumerate(explanation.logits):
        iam = explanation.iam(label)
        assert iam.additive and iam.method == "cam" and iam.kind == "iam"
        assert iam.class_name == seeded_pair.classes[label]
        np.testing.assert_allclose(iam.values.mean() + iam.bias, logit, atol=1e-4)
        assert sum(iam.share(y, x) for y, x in np.ndindex(iam.grid)) == pytest.approx(logit - iam.bias, abs=1e-4)


@pytest.fixture(scope="module")
def moved_pair(seeded_pair: Pair) -> Pair:
    """The same networks with one vector added to every row of W and one number to every bias: the same answers."""
    networks = copy.deepcopy(seeded_pair.networks)
    for network in networks.values():
        with torch.no_grad():
            network.head_weight.add_(torch.linspace(0, 1, network.head_weight.shape[1]))
            network.head_bias.add_(3.0)
    return replace(seeded_pair, networks=networks)


@pytest.mark.parametrize("name", BOTH)
def test_what_changes_no_answer_changes_no_map(
    seeded_pair: Pair, moved_pair: Pair, small: np.ndarray, name: str
) -> None:
    one, other = (Explanation.of(pair, name, small) for pair in (seeded_pair, moved_pair))
    with torch.no_grad():
        raw = [pair.networks[name](pair.tensor(name, small)).logits for pair in (seeded_pair, moved_pair)]
    assert (raw[0] - raw[1]).abs().max() > 1  # what the networks add up is not the same
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    close(one.probabilities, other.probabilities)
    close(one.logits, other.logits)
    close(one.class_maps(), other.class_maps())
    close(one.iam(2).bias, other.iam(2).bias)
    close(one.evidence(1, 1).shares, other.evidence(1, 1).shares)
    for method in ("gradcam", "layercam", "hirescam"):
        close(one.layer(1, method, 2).values, other.layer(1, method, 2).values)
    curves = [faithfulness(p, small, e.iam(2), steps=4) for p, e in ((seeded_pair, one), (moved_pair, other))]
    close(curves[0].deletion.logits, curves[1].deletion.logits)


@pytest.mark.parametrize("name", BOTH)
def test_grad_cam_of_last_stage_is_relu_of_scaled_cam(seeded_pair: Pair, small: np.ndarray, name: str) -> None:
    explanation = Explanation.of(seeded_pair, name, small)
    for label in range(3):
        cam = explanation.iam(label).values
        expected = np.maximum(cam, 0) / cam.size
        np.testing.assert_allclose(explanation.layer(-1, "gradcam", label).values, expected, atol=1e-6)


def test_the_pass_answers_as_the_network_does(seeded_pair: Pair, small: np.ndarray, student: Explanation) -> None:
    with torch.no_grad():
        logits = seeded_pair.networks["student"](seeded_pair.tensor("student", small)).logits[0]
    np.testing.assert_allclose(student.logits, (logits - logits.mean()).numpy(), atol=1e-5)
    np.testing.assert_allclose(student.probabilities, torch.softmax(logits / 1.7, 0).numpy(), atol=1e-6)
    best = student.top(2)
    assert best[0][0] == int(logits.argmax()) and best[0][1] > best[1][1]
    assert len(student.top(50)) == 5 and student.seconds > 0


def test_layer_cam_and_grad_cam_follow_their_definitions() -> None:
    rng = np.random.default_rng(0)
    features, gradient = rng.normal(size=(2, 6, 3, 4)).astype(np.float32)
    layer, grad = np.zeros((3, 4)), np.zeros((3, 4))
    for y, x in np.ndindex(3, 4):
        for k in range(6):
            layer[y, x] += max(gradient[k, y, x], 0) * features[k, y, x]
            grad[y, x] += gradient[k].mean() * features[k, y, x]
    pair = torch.from_numpy(features), torch.from_numpy(gradient)
    np.testing.assert_allclose(formulas.layer_cam(*pair), np.maximum(layer, 0), atol=1e-5)
    np.testing.assert_allclose(formulas.grad_cam(*pair), np.maximum(grad, 0), atol=1e-5)
    np.testing.assert_allclose(formulas.gradient_evidence(*pair), 12 * grad, atol=1e-4)
    np.testing.assert_allclose(formulas.mean_activation(pair[0]), features.mean(0), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 8, 9), (200, 4, 3)])
def test_eigen_cam_is_the_first_principal_component(shape: tuple[int, int, int]) -> None:
    features = np.random.default_rng(1).gamma(2.0, size=shape).astype(np.float32)
    cells = features.reshape(shape[0], -1).T
    cells = cells - cells.mean(0)
    expected = (cells @ np.linalg.svd(cells, full_matrices=False)[2][0]).reshape(shape[1:])
    found = formulas.eigen_cam(torch.from_numpy(features)).numpy()
    sign = np.sign((found * expected).sum())
    np.testing.assert_allclose(found, sign * expected, atol=1e-3)
    assert np.corrcoef(found.ravel(), features.mean(0).ravel())[0, 1] >= 0


# --- one pass, one backward


def test_one_pass_and_one_backward_per_class_serve_everything(
    seeded_pair: Pair, small: np.ndarray, counted: dict[str, int]
) -> None:
    explanation = Explanation.of(seeded_pair, "student", small)
    for label in (0, 3):
        explanation.iam(label)
        for stage in range(4):
            for method in ("mean", "eigencam", "gradcam", "layercam"):
                explanation.layer(stage, method, label)
    explanation.stage_answers()
    explanation.evidence(1, 2)
    explanation.top(3)
    assert counted == {"forward": 1, "backward": 2}
    assert explanation.passes == 1


def test_iams_of_all_classes_need_no_backward(seeded_pair: Pair, small: np.ndarray, counted: dict[str, int]) -> None:
    explanation = Explanation.of(seeded_pair, "teacher", small)
    maps = explanation.class_maps()
    assert maps.shape[0] == 5 and np.array_equal(maps[2], explanation.iam(2).values)
    assert counted == {"forward": 1, "backward": 0}


def test_forgetting_keeps_the_answer_and_runs_again_only_where_needed(student: Explanation) -> None:
    known = student.layer(1, "gradcam", 0).values
    student.forget()
    student.iam(4), student.layer(2, "layercam", 0), student.logits
    assert student.passes == 1
    student.layer(1, "gradcam", 1)
    assert student.passes == 2
    assert np.array_equal(student.layer(1, "gradcam", 0).values, known)


def test_what_is_remembered_is_bounded(seeded_pair: Pair, small: np.ndarray) -> None:
    network = seeded_pair.networks["student"]
    explanation = Explanation(network, seeded_pair.tensor("student", small), limit=3)
    for label in range(5):
        explanation.layer(0, "gradcam", label)
    assert len(explanation._kept) == 3


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_inside_no_grad_and_inference_mode(
    seeded_pair: Pair, small: np.ndarray, student: Explanation, mode: Callable[[], Any]
) -> None:
    with mode():
        inside = Explanation.of(seeded_pair, "student", small).layer(2, "layercam", 1)
    np.testing.assert_allclose(inside.values, student.layer(2, "layercam", 1).values, atol=1e-6)


# --- nothing left behind


def _hooks(network: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


@pytest.mark.parametrize("needs", [False, True])
def test_nothing_is_left_on_the_network(seeded_pair: Pair, small: np.ndarray, needs: bool) -> None:
    network = seeded_pair.networks["student"]
    weights = list(network.parameters())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    hooks = _hooks(network)
    try:
        for weight in weights:
            weight.requires_grad_(needs)
            weight.grad = torch.full_like(weight, 0.25)
        explanation = Explanation.of(seeded_pair, "student", small)
        explanation.iam(0), explanation.evidence(0, 0), explanation.stage_answers()
        for method in ("mean", "gradcam", "layercam", "eigencam", "gradcam++"):
            explanation.layer(1, method, 2)
        assert _hooks(network) == hooks
        assert all(weight.requires_grad is needs for weight in weights)
        assert all(weight.grad is not None and bool((weight.grad == 0.25).all()) for weight in weights)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert not any(module.training for module in network.modules())
    finally:
        for weight in weights:
            weight.requires_grad_(False)
            weight.grad = None


def test_maps_can_not_be_changed_by_those_who_ask(student: Explanation) -> None:
    for one in (student.iam(0), student.layer(0, "mean"), student.evidence(0, 0).similarity):
        with pytest.raises(ValueError, match="read-only"):
            one.values[0, 0] = 1
    for array in (student.logits, student.class_maps()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# --- heads that are not additive


def test_other_heads_get_the_gradient_form_and_say_so(curved: TappedClassifier) -> None:
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    explanation = Explanation(curved, image)
    iam = explanation.iam(2)
    assert iam.method == "gradcam" and not iam.additive and iam.bias == 0
    np.testing.assert_allclose(
        np.maximum(iam.values, 0) / iam.values.size, explanation.layer(-1, "gradcam", 2).values, atol=1e-6
    )
    evidence = explanation.evidence(0, 1)
    assert not evidence.additive and not evidence.bias.any()
    np.testing.assert_allclose(evidence.shares[2], iam.share(0, 1), atol=1e-6)


# --- evidence of a place


@pytest.mark.parametrize("name", BOTH)
def test_shares_of_all_cells_and_the_bias_add_up_to_every_logit(
    seeded_pair: Pair, small: np.ndarray, name: str
) -> None:
    explanation = Explanation.of(seeded_pair, name, small)
    cells = list(np.ndindex(explanation.class_maps().shape[1:]))
    every = [explanation.evidence(y, x) for y, x in cells]
    total = sum(one.shares for one in every) + every[0].bias
    np.testing.assert_allclose(total, explanation.logits, atol=1e-4)
    assert every[3].cell == cells[3] and every[3].additive
    label, share = every[3].top(1)[0]
    assert share == pytest.approx(every[3].shares.max()) and label == int(every[3].shares.argmax())


def test_similarity_is_the_cosine_to_one_cell(student: Explanation) -> None:
    alike = student.evidence(1, 3).similarity
    features = student._answer()[1].numpy()
    lengths = np.sqrt((features**2).sum(0))
    expected = np.zeros(alike.grid)
    for y, x in np.ndindex(alike.grid):
        expected[y, x] = features[:, y, x] @ features[:, 1, 3] / lengths[y, x] / lengths[1, 3]
    np.testing.assert_allclose(alike.values, expected, atol=1e-5)
    assert alike.values[1, 3] == pytest.approx(1) and alike.kind == "similarity"


def test_a_click_finds_the_nearest_cell(student: Explanation) -> None:
    iam = student.iam(0)
    rows, columns = iam.positions
    for cell in np.ndindex(iam.grid):
        assert iam.cell_at(columns[cell[1]], rows[cell[0]]) == cell
    assert iam.cell_at(0, 0) == (0, 0) and iam.cell_at(1, 0) == (0, iam.grid[1] - 1)


# --- stages


def test_stage_answers_come_from_the_auxiliary_classifiers(
    seeded_pair: Pair, small: np.ndarray, teacher: Explanation, student: Explanation
) -> None:
    answers = teacher.stage_answers()
    assert answers[0] is None and len(answers) == 4
    with torch.no_grad():
        stages = seeded_pair.networks["student"](seeded_pair.tensor("student", small)).stages
        expected = seeded_pair.auxiliary["student"](stages)
    for found, logits in zip(student.stage_answers(), expected, strict=True):
        assert found is not None and found.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(found, torch.softmax(logits[0], 0).numpy(), atol=1e-5)
    bare = Explanation(seeded_pair.networks["student"], seeded_pair.tensor("student", small))
    assert bare.stage_answers() == [None] * 4


def test_maps_know_where_they_come_from(teacher: Explanation) -> None:
    for index, stage in enumerate(teacher.stages):
        one = teacher.layer(index, "mean")
        assert (one.stage, one.stage_name, one.grid) == (index, stage.name, (stage.height, stage.width))
        assert (one.start, one.step, one.size) == (stage.start, stage.step, 96) and one.class_index is None
    assert teacher.layer(-1, "mean").stage == 3
    assert teacher.iam(1).title == "teacher, IAM, miso soup"
    assert teacher.layer(1, "layercam", 0).title == "teacher, stage 2, Layer-CAM, apple pie"


# --- nothing but zeros


class _Silent(nn.Module):
    """A network that sees nothing: its features are zero everywhere."""

    def __init__(self, network: TappedClassifier) -> None:
        super().__init__()
        self.inner = network

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, images: Tensor) -> Any:
        tapped = self.inner(images)
        stages = tuple(stage * 0 for stage in tapped.stages)
        logits = self.inner.last(stages[-1].mean((2, 3)) + sum(stage.sum() * 0 for stage in stages))
        return tapped._replace(stages=stages, logits=logits)


def test_zero_features_give_zero_maps_and_no_nan(seeded_pair: Pair, small: np.ndarray) -> None:
    silent = _Silent(seeded_pair.networks["student"]).eval()
    explanation = Explanation(silent, seeded_pair.tensor("student", small))  # type: ignore[arg-type]
    maps = [explanation.iam(0), explanation.evidence(0, 0).similarity]
    maps += [explanation.layer(s, m, 0) for s in range(4) for m in ("mean", "gradcam", "layercam", "eigencam")]
    assert all(np.array_equal(one.values, np.zeros(one.grid)) for one in maps)


# --- many at once


def test_threads_share_one_explanation(seeded_pair: Pair, small: np.ndarray, teacher: Explanation) -> None:
    shared = Explanation.of(seeded_pair, "teacher", small)
    jobs = [(stage, label) for stage in range(4) for label in range(5)] * 2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: shared.layer(job[0], "gradcam", job[1]).values, jobs))
    for (stage, label), values in zip(jobs, found, strict=True):
        np.testing.assert_allclose(values, teacher.layer(stage, "gradcam", label).values, atol=1e-6)
    assert shared.passes == 1


def test_different_photos_at_once_do_not_mix(seeded_pair: Pair) -> None:
    photos = [np.random.default_rng(seed).integers(0, 255, (48, 48, 3)).astype(np.uint8) for seed in range(6)]
    alone = [Explanation.of(seeded_pair, "student", photo).layer(2, "gradcam", 1).values for photo in photos]
    kept = Explanations(seeded_pair, limit=4, graphs=2)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda photo: kept.of("student", photo).layer(2, "gradcam", 1).values, photos * 3))
    for index, values in enumerate(found):
        np.testing.assert_allclose(values, alone[index % 6], atol=1e-6)
    assert len(kept) == 4


def test_the_same_photo_asked_for_at_once_is_passed_once(
    seeded_pair: Pair, small: np.ndarray, counted: dict[str, int]
) -> None:
    kept = Explanations(seeded_pair)
    gate = threading.Barrier(5)

    def ask(_index: int) -> Explanation:
        gate.wait()
        return kept.of("teacher", small.copy())

    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(ask, range(5)))
    assert len({id(one) for one in found}) == 1 and counted["forward"] == 1
    assert kept.of("student", small) is not found[0]


def test_only_the_latest_explanations_keep_their_graph(seeded_pair: Pair) -> None:
    kept = Explanations(seeded_pair, limit=5, graphs=2)
    for level in range(7):
        kept.of("student", np.full((48, 48, 3), 30 * level, np.uint8))
    graphs = [one._graph is not None for one in kept._kept.values()]
    assert graphs == [False, False, False, True, True]
    known = kept.of("student", np.full((48, 48, 3), 90, np.uint8))
    assert known.passes == 1 and known.iam(0).values.shape == (4, 4)


# --- what can go wrong


def test_bad_input_is_named(seeded_pair: Pair, small: np.ndarray, student: Explanation) -> None:
    with pytest.raises(FoodkdError, match=r"no class 5; the student knows classes 0 to 4"):
        student.iam(5)
    with pytest.raises(FoodkdError, match=r"no class -1"):
        student.layer(0, "gradcam", -1)
    with pytest.raises(FoodkdError, match=r"no stage 4; the student has stages 0 to 3"):
        student.layer(4, "mean")
    with pytest.raises(FoodkdError, match=r"'gradcamm'; there are mean, eigencam, gradcam"):
        student.layer(0, "gradcamm", 0)
    with pytest.raises(FoodkdError, match=r"explains a class"):
        student.layer(0, "gradcam")
    with pytest.raises(FoodkdError, match=r"no cell \(4, 0\).*4 x 4"):
        student.evidence(4, 0)
    with pytest.raises(FoodkdError, match=r"no network 'pupil'; it has teacher, student"):
        Explanation.of(seeded_pair, "pupil", small)
    with pytest.raises(FoodkdError, match=r"uint8 \(R, R, 3\)"):
        Explanation.of(seeded_pair, "student", small.astype(np.float32))
    with pytest.raises(FoodkdError, match=r"One square image \(1, 3, S, S\)"):
        Explanation(seeded_pair.networks["student"], torch.zeros(2, 3, 64, 64))


def test_a_network_in_training_is_refused_and_left_alone() -> None:
    network = build_network("resnet18", 3)
    with pytest.raises(FoodkdError, match="training mode"):
        Explanation(network, torch.zeros(1, 3, 64, 64))
    assert network.training


def test_every_method_has_a_title() -> None:
    assert set(METHODS) <= set(METHOD_TITLES)
    assert [needs_class(method) for method in ("mean", "eigencam", "gradcam", "gradcam++")] == [
        False,
        False,
        True,
        True,
    ]
