"""One network's optimiser: its schedule, its groups, its clipping, its average."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from torch import nn

from foodkd.distill import DistillSettings, JointDistiller
from foodkd.nets import build_network
from foodkd.train.learner import LAST, Learner, averaged, rate_factor
from foodkd.train.recipe import LearningSettings, TrainSettings


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_schedules_begin_peak_and_end_where_they_say(schedule: str) -> None:
    settings = TrainSettings(schedule=schedule, warmup=0.2)  # type: ignore[arg-type]
    assert rate_factor(settings, 0.0) == pytest.approx(1.0 if schedule == "cosine" else 1 / 25)
    assert rate_factor(settings, 0.0 if schedule == "cosine" else 0.2) == pytest.approx(1.0)
    assert rate_factor(settings, 1.0) == pytest.approx(1.0 if schedule == "constant" else LAST)


@trying(deadline=None, max_examples=40)
@given(warmup=st.floats(0, 0.99), schedule=st.sampled_from(["one-cycle", "cosine", "constant"]))
def test_schedules_are_continuous_and_rise_then_fall(warmup: float, schedule: str) -> None:
    settings = TrainSettings(schedule=schedule, warmup=warmup)  # type: ignore[arg-type]
    warm = 0.0 if schedule == "cosine" else warmup
    for progress in np.linspace(0, 1, 41):
        value = rate_factor(settings, progress)
        assert LAST * 0.999 <= value <= 1 + 1e-9
    ends = [(0.0, warm), (warm, 1.0)]
    for (start, end), rising in zip(ends, (True, False), strict=True):
        values = [rate_factor(settings, p) for p in np.linspace(start, end, 21)[:-1]]
        assert all((b - a) * (1 if rising else -1) >= -1e-9 for a, b in pairwise(values))
    if warm > 1e-6:
        assert rate_factor(settings, warm * (1 - 1e-9)) == pytest.approx(rate_factor(settings, warm), abs=1e-6)


@pytest.fixture(scope="module")
def distiller() -> JointDistiller:
    networks = [build_network("shufflenet_v2_x0_5", 3, output_stride=16) for _ in range(2)]
    networks[1].fresh = ("fc.weight", "fc.bias")  # as if starting weights had filled the rest
    return JointDistiller(*networks, DistillSettings(mld_width=8), sizes=(32, 32))


def factors(learner: Learner) -> dict[int, tuple[float, float]]:
    """Of every parameter: its rate's factor and its decay."""
    groups = learner.optimizer.param_groups
    return {id(p): (group["factor"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_fresh_parts_learn_faster_and_only_weights_decay(distiller: JointDistiller) -> None:
    found = factors(Learner("student", distiller, LearningSettings(rate=0.01, fresh_factor=7, weight_decay=0.3)))
    student, auxiliary = distiller.networks["student"], distiller.auxiliary["student"]
    expected = {
        id(p): (7.0 if ".fc." in name else 1.0, 0.3 if p.ndim > 1 else 0.0) for name, p in student.named_parameters()
    }
    expected |= {id(p): (7.0, 0.3 if p.ndim > 1 else 0.0) for p in auxiliary.parameters()}
    assert found == expected
    norms = [m for m in student.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(found[id(norm.weight)][1] == found[id(norm.bias)][1] == 0 for norm in norms)


def test_without_starting_weights_nothing_is_fresher_than_the_rest(distiller: JointDistiller) -> None:
    found = factors(Learner("teacher", distiller, LearningSettings()))
    assert {factor for factor, _ in found.values()} == {1.0}


def test_a_frozen_teachers_auxiliary_classifiers_learn_like_the_students() -> None:
    networks = [build_network("shufflenet_v2_x0_5", 3, output_stride=16) for _ in range(2)]
    networks[0].requires_grad_(False)
    distiller = JointDistiller(*networks, DistillSettings(mode="one-way", mld_width=8), sizes=(32, 32))
    learner = Learner("student", distiller, LearningSettings(weight_decay=0.3))
    found = factors(learner)
    for mine, hers in zip(*(distiller.auxiliary[n].parameters() for n in ("student", "teacher")), strict=True):
        assert found[id(mine)] == found[id(hers)]
    assert not {id(p) for p in networks[0].parameters()} & set(found)
    assert {id(p) for p in learner.parameters} == set(found)


def test_the_rate_is_the_peak_times_both_factors(distiller: JointDistiller) -> None:
    learner = Learner("student", distiller, LearningSettings(rate=0.01, fresh_factor=7))
    learner.set_rate(0.5)
    assert {round(group["lr"], 6) for group in learner.optimizer.param_groups} == {0.005, 0.035}


@pytest.mark.parametrize("clip", [0.5, 1e6, 0])
def test_clipping_bounds_the_networks_own_gradient_only(clip: float, distiller: JointDistiller) -> None:
    learners = [Learner(name, distiller, LearningSettings(clip=clip)) for name in ("teacher", "student")]
    seen: list[float] = []

    def norm(learner: Learner) -> float:
        return math.sqrt(sum(float((p.grad**2).sum()) for p in learner.parameters if p.grad is not None))

    for learner in learners:
        for parameter in learner.parameters:
            parameter.grad = torch.full_like(parameter, 0.01)
    before = [norm(learner) for learner in learners]
    learners[1].optimizer.register_step_pre_hook(lambda *_: seen.append(norm(learners[1])))
    assert learners[1].step() == pytest.approx(before[1], rel=1e-4)
    assert seen[0] == pytest.approx(min(before[1], clip or math.inf), rel=1e-4)
    assert norm(learners[0]) == before[0] and norm(learners[1]) == 0  # the other's untouched, its own forgotten


@trying(deadline=None, max_examples=40)
@given(decay=st.floats(0, 0.999), seed=st.integers(0, 99))
def test_the_average_is_that_of_a_slow_plain_loop(decay: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(15, 4))
    average, counts = torch.zeros(4, dtype=torch.float64), torch.zeros((), dtype=torch.int64)
    expected = np.zeros(4)
    for updates, value in enumerate(values):
        averaged(decay, [average, counts], [torch.tensor(value), torch.tensor(updates)], updates)
        keep = min(decay, (1 + updates) / (10 + updates))
        expected = keep * expected + (1 - keep) * value
    assert np.allclose(average.numpy(), expected, atol=1e-12)
    assert counts == 14  # whole numbers are copied


def test_the_average_of_what_stands_still_does_not_move() -> None:
    still = torch.randn(1000)
    average = still.clone()
    for updates in range(50):
        averaged(0.9, [average], [still], updates)
    assert torch.equal(average, still)
