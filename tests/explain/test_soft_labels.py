"""Soft labels: the formulas against torch's, and the order of what is most striking."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foodkd.distill import divergence
from foodkd.explain.soft_labels import (
    entropy,
    helped_and_hurt,
    jensen_shannon,
    leading,
    most_different,
    soft_labels,
    softened_divergence,
)

seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.5, 10.0)


def logits_of(seed: int, count: int = 2, classes: int = 7) -> np.ndarray:
    return (6 * np.random.default_rng(seed).standard_normal((count, classes))).astype(np.float32)


@given(seeds, temperatures)
def test_softening_is_the_one_of_the_training(seed: int, tau: float) -> None:
    teacher, student = logits_of(seed)
    shares = soft_labels(teacher, tau)
    torch_shares = torch.softmax(torch.from_numpy(teacher).double() / tau, 0).numpy()
    np.testing.assert_allclose(shares, torch_shares, rtol=1e-10, atol=1e-12)
    both = [torch.from_numpy(row)[None] for row in (teacher, student)]
    assert softened_divergence(teacher, student, tau) == pytest.approx(
        float(divergence(*both, tau)), rel=1e-4, abs=1e-4
    )
    assert softened_divergence(teacher, teacher, tau) == 0


@given(seeds)
def test_heat_opens_the_answer_and_keeps_its_order(seed: int) -> None:
    logits = logits_of(seed, 1)[0]
    open_by = [entropy(soft_labels(logits, tau)) for tau in (0.5, 1.0, 2.0, 5.0, 10.0)]
    assert open_by == sorted(open_by) and open_by[0] >= 0 and open_by[-1] <= np.log2(7) + 1e-9
    np.testing.assert_array_equal(np.argsort(soft_labels(logits, 10.0)), np.argsort(soft_labels(logits, 1.0)))


def test_entropy_and_divergence_at_their_ends() -> None:
    sure, other, even = np.array([1.0, 0, 0, 0]), np.array([0, 0, 1.0, 0]), np.full(4, 0.25)
    assert (entropy(sure), entropy(even)) == (0, 2)
    assert jensen_shannon(sure, sure) == 0 and jensen_shannon(sure, other) == 1
    assert (
        jensen_shannon(sure, even) == pytest.approx(jensen_shannon(even, sure)) and 0 < jensen_shannon(sure, even) < 1
    )


def test_two_first_answers_come_before_two_shades_of_one() -> None:
    first = np.array([[0.9, 0.1, 0.0], [1.0, 0.0, 0.0], [0.6, 0.4, 0.0]])
    second = np.array([[0.1, 0.9, 0.0], [0.4, 0.3, 0.3], [0.4, 0.6, 0.0]])
    assert most_different(first, second) == [0, 2, 1]


def test_the_classes_worth_showing_are_those_of_either() -> None:
    teacher, student = np.array([0.5, 0.3, 0.1, 0.06, 0.04]), np.array([0.1, 0.1, 0.05, 0.05, 0.7])
    assert leading(teacher, student, 3) == [0, 1, 4]
    assert leading(teacher, student, 9) == [0, 1, 2, 3, 4]


def test_help_and_harm_are_found_by_the_right_dish() -> None:
    taught = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    alone = np.array([[0.2, 0.8], [0.1, 0.9], [0.5, 0.5]])
    assert helped_and_hurt(taught, alone, [0, 1, 0]) == (0, 1)
    assert helped_and_hurt(taught, alone, [1, 1, 0]) == (2, 0)
