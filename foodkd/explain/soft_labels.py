"""Soft labels: what a network's whole answer says beyond its first place, and how far two answers lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def soft_labels(logits: np.ndarray, temperature: float) -> np.ndarray:
    """p_tau(z) = softmax(z / tau), as distillation uses it: of the raw logits, without calibration.

    Args:
        logits: (..., K).
        temperature: tau > 0; 1 leaves the network's own probabilities, more spreads them out.

    Returns:
        (..., K) float64, each row adding up to 1.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def entropy(probabilities: np.ndarray) -> float:
    """Shannon's entropy in bits, 0 to log2 K: two to its power is the number of equally likely answers as open."""
    some = probabilities[probabilities > 0]
    return float(-(some * np.log2(some)).sum()) + 0.0


def softened_divergence(teacher: np.ndarray, student: np.ndarray, temperature: float) -> float:
    """tau^2 KL(p_tau(teacher) || p_tau(student)) in nats: the part of KD that moves the student; logits (K,)."""
    wanted, given = (_log_softmax(logits, temperature) for logits in (teacher, student))
    return float(temperature**2 * (np.exp(wanted) * (wanted - given)).sum())


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max()
    return np.asarray(scaled - np.log(np.exp(scaled).sum()))


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon divergence of two answers (K,) in bits (Lin, 1991): 0 the same, 1 nothing in common."""
    middle = (first + second) / 2
    return min(1.0, max(0.0, entropy(middle) - (entropy(first) + entropy(second)) / 2))


def most_different(first: np.ndarray, second: np.ndarray) -> list[int]:
    """Photos in the order of how much two networks differ: those with two first answers before the others.

    Args:
        first: one network's probabilities, (N, K).
        second: the other's, likewise.
    """
    apart = [jensen_shannon(a, b) for a, b in zip(first, second, strict=True)]
    two = first.argmax(1) != second.argmax(1)
    return sorted(range(len(apart)), key=lambda photo: (not two[photo], -apart[photo]))


def leading(teacher: np.ndarray, student: np.ndarray, count: int) -> list[int]:
    """Classes worth showing for both answers (K,): the likeliest by the larger of the two, in the teacher's order."""
    chosen = np.argsort(-np.maximum(teacher, student), kind="stable")[:count]
    return [int(index) for index in sorted(chosen, key=lambda index: -teacher[index])]


def helped_and_hurt(taught: np.ndarray, alone: np.ndarray, dishes: Sequence[int]) -> tuple[int, int]:
    """Where a teacher helped most and where it hurt most, by the probability of the right dish.

    Args:
        taught: the distilled student's probabilities, (N, K).
        alone: those of the same student trained alone.
        dishes: each photo's class.

    Returns:
        Indices of two photos: of the largest gain and of the largest loss (or the smallest gain).
    """
    rows = np.arange(len(dishes))
    gains = taught[rows, list(dishes)] - alone[rows, list(dishes)]
    return int(gains.argmax()), int(gains.argmin())


__all__ = [
    "entropy",
    "helped_and_hurt",
    "jensen_shannon",
    "leading",
    "most_different",
    "soft_labels",
    "softened_divergence",
]
