"""Each term against the slow reference, and what must hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foodkd.distill import common_grid, divergence, feature_distance, instance_maps, map_distance, mutual
from foodkd.distill.losses import cross_entropy, iam_targets
from foodkd.nets import Stage
from tests.distill import reference

values = st.floats(-20, 20, width=32)
quick = settings(max_examples=40, deadline=None)


@st.composite
def logit_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 7)))
    return tuple(draw(arrays.arrays(np.float32, shape, elements=values)) for _ in range(2))  # type: ignore[return-value]


def t(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


# Cross entropy and divergence.


@given(logit_pairs(), st.floats(0, 0.9), st.integers(0, 99))
@quick
def test_cross_entropy_against_numpy(pair: tuple, smoothing: float, seed: int) -> None:
    logits, classes = pair[0], pair[0].shape[1]
    labels = np.random.default_rng(seed).integers(0, classes, len(logits))
    mixtures = np.random.default_rng(seed).dirichlet(np.ones(classes), len(logits)).astype(np.float32)
    for targets in (labels, mixtures):
        expected = reference.cross_entropy(logits, targets, smoothing)
        assert cross_entropy(t(logits), t(targets), smoothing).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(logit_pairs(), st.floats(0.5, 10))
@quick
def test_divergence_against_numpy(pair: tuple, temperature: float) -> None:
    found = divergence(t(pair[0]), t(pair[1]), temperature).item()
    assert found == pytest.approx(reference.kl(*pair, temperature), rel=1e-3, abs=1e-3)
    assert found >= -1e-4


@given(logit_pairs(), st.floats(0.5, 10), st.floats(-5, 5))
@quick
def test_divergence_ignores_a_shift_of_the_logits_and_is_zero_on_itself(
    pair: tuple, temperature: float, shift: float
) -> None:
    a, b = t(pair[0]), t(pair[1])
    torch.testing.assert_close(
        divergence(a + shift, b - shift, temperature), divergence(a, b, temperature), rtol=1e-3, atol=2e-3
    )
    assert divergence(a, a, temperature).item() == pytest.approx(0, abs=1e-4)


def test_the_gradient_keeps_its_size_when_the_temperature_grows() -> None:
    target, sizes = torch.tensor([[0.1, 0.0, -0.1]]), []
    for temperature in (2.0, 20.0):
        learner = torch.tensor([[0.0, 0.1, -0.1]], requires_grad=True)
        divergence(target, learner, temperature).backward()
        sizes.append(learner.grad.norm().item())  # type: ignore[union-attr]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@given(logit_pairs(), st.floats(0.5, 10))
@quick
def test_learning_from_the_mean_of_both_answers_is_learning_from_the_other_at_half_the_weight(
    pair: tuple, temperature: float
) -> None:
    other, learner = t(pair[0]), t(pair[1]).requires_grad_()
    softened = [torch.log_softmax(z.detach() / temperature, 1) for z in (other, learner)]
    mean = temperature * (torch.logaddexp(*softened) - np.log(2))  # logits whose softened answer is the mean
    gradients = [torch.autograd.grad(divergence(z, learner, temperature), learner)[0] for z in (mean, other)]
    torch.testing.assert_close(gradients[0], gradients[1] / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("reverse", [0.0, 0.3])
@pytest.mark.parametrize("term", ["divergence", "features", "maps"])
def test_a_network_moves_only_where_it_learns(term: str, reverse: float) -> None:
    terms = {
        "divergence": lambda target, learner: divergence(target[:, :, 0], learner[:, :, 0], 2.0),
        "features": feature_distance,
        "maps": map_distance,
    }
    teacher, student = (torch.randn(3, 4, 9, requires_grad=True) for _ in range(2))
    mutual(terms[term], teacher, student, reverse).backward()
    assert student.grad is not None and student.grad.abs().sum() > 0
    if not reverse:
        assert teacher.grad is None
        return
    twin = teacher.detach().clone().requires_grad_()
    terms[term](student.detach(), twin).backward()
    torch.testing.assert_close(teacher.grad, reverse * twin.grad)  # type: ignore[operator]


# Maps.


@st.composite
def map_inputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    batch, channels, side, classes = (draw(st.integers(*r)) for r in ((1, 3), (1, 5), (1, 4), (2, 6)))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    features = random.normal(0, 3, (batch, channels, side, side)).astype(np.float32)
    return features, random.normal(0, 1, (classes, channels)).astype(np.float32), draw(st.integers(0, 999))


@given(map_inputs())
@quick
def test_instance_maps_against_numpy(inputs: tuple) -> None:
    features, weight, seed = inputs
    random = np.random.default_rng(seed)
    batch, classes = len(features), len(weight)
    forms = (
        random.integers(0, classes, batch),
        random.integers(0, classes, (batch, 3)),
        random.dirichlet(np.ones(classes), batch).astype(np.float32),
    )
    for targets in forms:
        found = instance_maps(t(features), t(weight), t(targets)).numpy()
        np.testing.assert_allclose(found, reference.maps(features, weight, targets), rtol=1e-3, atol=1e-3)


@given(map_inputs())
@quick
def test_adding_one_vector_to_all_rows_changes_neither_maps_nor_answers(inputs: tuple) -> None:
    features, weight, seed = inputs
    torch.manual_seed(seed)
    f, w, labels = t(features), t(weight), torch.randint(len(weight), (len(features),))
    moved = w + 5 * torch.randn(w.shape[1])
    torch.testing.assert_close(instance_maps(f, moved, labels), instance_maps(f, w, labels), rtol=1e-3, atol=1e-3)
    answers = [(f.mean((2, 3)) @ rows.T).softmax(1) for rows in (w, moved)]
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-3)


def test_a_pure_mixture_is_its_label() -> None:
    features, weight = torch.randn(2, 5, 3, 3), torch.randn(4, 5)
    labels = torch.tensor([2, 0])
    mixture = torch.nn.functional.one_hot(labels, 4).float()
    torch.testing.assert_close(instance_maps(features, weight, mixture), instance_maps(features, weight, labels))


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 16), st.booleans(), st.integers(0, 999))
@quick
def test_map_distance_against_numpy(batch: int, count: int, places: int, centred: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    target, learner = random.normal(1, 2, (2, batch, count, places)).astype(np.float32)
    learner[0, 0] = 0.0 if seed % 3 == 0 else learner[0, 0]
    found = map_distance(t(target), t(learner), centred=centred).item()
    assert found == pytest.approx(reference.distance(target, learner, centred=centred), abs=2e-5)


@given(st.floats(0.05, 1e4), st.floats(0.05, 1e4), st.floats(-50, 50))
@quick
def test_scale_and_level_of_a_map_do_not_matter(first: float, second: float, level: float) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, 25), torch.randn(2, 3, 25)
    torch.testing.assert_close(map_distance(a * first + level, b * second), map_distance(a, b), rtol=0, atol=2e-3)
    torch.testing.assert_close(feature_distance(a * first, b * second), feature_distance(a, b), rtol=0, atol=1e-4)


def test_equal_maps_are_at_0_and_opposite_ones_at_2() -> None:
    a = torch.randn(2, 3, 25)
    assert map_distance(a, 3 * a + 1).item() == pytest.approx(0, abs=1e-5)
    assert map_distance(a, -a).item() == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-12, 1e-6, 9e-5])
@pytest.mark.parametrize("level", [0.0, 7.0])
@pytest.mark.parametrize("which", ["target", "learner", "both"])
def test_dead_maps_contribute_nothing(size: float, level: float, which: str) -> None:
    torch.manual_seed(0)
    flat = torch.sign(torch.randn(2, 1, 25)) * size * (level == 0) + level
    target = flat.clone() if which != "learner" else torch.randn(2, 1, 25)
    learner = (flat.clone() if which != "target" else torch.randn(2, 1, 25)).requires_grad_()
    loss = map_distance(target, learner)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(learner.grad, torch.zeros_like(learner))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1.01e-4, 1e-3])
def test_gradients_of_small_living_maps_are_bounded(size: float) -> None:
    learner = (torch.sign(torch.randn(1, 1, 26)) * size).requires_grad_()
    map_distance(torch.randn(1, 1, 26), learner).backward()
    assert learner.grad.norm() < 10 / size  # type: ignore[union-attr]


def test_a_dead_map_does_not_touch_a_living_one() -> None:
    target, learner = torch.randn(2, 1, 9), torch.randn(2, 1, 9)
    alone = map_distance(target[:1], learner[:1])
    learner[1] = 0
    torch.testing.assert_close(map_distance(target, learner), alone / 2)


def test_which_classes_maps_are_compared() -> None:
    labels, logits = torch.tensor([1, 0]), torch.tensor([[0.0, 1, 2, 3], [5, 4, 3, 2]])
    assert iam_targets("label", labels, logits, 2) is labels
    assert iam_targets("top", labels, logits, 2).tolist() == [[3, 2], [0, 1]]
    assert iam_targets("top", labels, logits, 9).shape == (2, 4)
    assert sorted(iam_targets("all", labels, logits, 1)[0].tolist()) == [0, 1, 2, 3]


# The common grid.


def stage(cells: int, start: float, step: float) -> Stage:
    return Stage("s", 1, cells, cells, start, step)


@given(st.integers(2, 20), st.floats(0, 20), st.integers(1, 32))
@quick
def test_equal_geometry_needs_no_resampling(cells: int, start: float, step: int) -> None:
    size = int(start + step * cells) + 1
    for matrix in common_grid(stage(cells, start, step), stage(cells, start, step), (size, size)):
        torch.testing.assert_close(matrix, torch.eye(cells), atol=1e-4, rtol=0)


def test_a_finer_input_of_the_same_photo_is_the_same_geometry() -> None:
    """Twice the input side, twice the step, the same half-pixel shift: the cells lie on the same places."""
    for matrix in common_grid(stage(8, 7.5, 16), stage(8, 3.5, 8), (128, 64)):
        torch.testing.assert_close(matrix, torch.eye(8), atol=1e-4, rtol=0)


@given(st.floats(0.3, 0.7), st.floats(0.3, 0.7))
@quick
def test_a_bump_at_one_place_of_the_photo_ends_at_one_common_place(y: float, x: float) -> None:
    """InceptionV3's grid (21 + 16 i of 128 px) and a finer one of another size (7.5 + 8 j)."""
    stages, sizes = (stage(6, 21, 16), stage(19, 7.5, 8)), (128, 160)
    found = []
    for one, size, matrix in zip(stages, sizes, common_grid(*stages, sizes), strict=True):
        cells = (one.start + 0.5 + one.step * torch.arange(one.height)) / size
        bump = torch.outer(*(torch.exp(-((cells - place) ** 2) / (2 * 0.12**2)) for place in (y, x)))
        common = matrix @ bump @ matrix.T
        index = torch.arange(len(common), dtype=torch.float32)
        found.append([(common.sum(1) @ index / common.sum()).item(), (common.sum(0) @ index / common.sum()).item()])
    # Half a cell off would be 0.5; naive resizing of the grids puts them further apart than that.
    np.testing.assert_allclose(found[0], found[1], atol=0.12)


def test_resampling_against_numpy() -> None:
    stages, sizes = (stage(6, 21, 16), stage(8, 0, 16)), (128, 128)
    cells = [(s.start + 0.5 + s.step * np.arange(s.height)) / z for s, z in zip(stages, sizes, strict=True)]
    low, high = max(c[0] for c in cells), min(c[-1] for c in cells)
    matrices = common_grid(*stages, sizes)
    places = np.linspace(low, high, len(matrices[0]))
    assert len(places) == 6  # InceptionV3's cells end before MobileNetV2's do on both sides
    for own, matrix in zip(cells, matrices, strict=True):
        one = np.random.default_rng(1).normal(size=(len(own), len(own)))
        found = (matrix.double() @ t(one) @ matrix.double().T).numpy()
        np.testing.assert_allclose(found, reference.resampled(one, own, places), atol=1e-5)


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0, 10), st.floats(0, 10))
@quick
def test_resampling_never_leaves_the_values_of_the_map(first: int, second: int, start: float, other: float) -> None:
    stages = stage(first, start, 64 / first), stage(second, other, 64 / second)
    for matrix in common_grid(*stages, (80, 80)):
        assert matrix.min() >= 0
        torch.testing.assert_close(matrix.sum(1), torch.ones(len(matrix)), atol=1e-4, rtol=0)
