"""The terms again, slowly: plain NumPy in float64, written from docs/method.md with loops and no shortcuts."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    out = np.zeros(logits.shape)
    for b, row in enumerate(np.asarray(logits, np.float64) / temperature):
        exponentials = np.exp(row - row.max())
        out[b] = exponentials / exponentials.sum()
    return out


def as_mixtures(targets: Array, classes: int) -> Array:
    if targets.ndim == 2:
        return np.asarray(targets, np.float64)
    return np.array([[float(k == label) for k in range(classes)] for label in targets])


def cross_entropy(logits: Array, targets: Array, smoothing: float = 0.0) -> float:
    classes = logits.shape[1]
    wanted = (1 - smoothing) * as_mixtures(targets, classes) + smoothing / classes
    given = softmax(logits)
    pairs = zip(wanted, given, strict=True)
    return float(np.mean([-sum(w * np.log(p) for w, p in zip(*pair, strict=True)) for pair in pairs]))


def kl(target: Array, learner: Array, temperature: float) -> float:
    """tau^2 KL(p_tau(target) || p_tau(learner)), the mean over photos."""
    total = 0.0
    for p, q in zip(softmax(target, temperature), softmax(learner, temperature), strict=True):
        total += sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True) if a > 0)
    return temperature**2 * total / len(target)


def maps(features: Array, weight: Array, targets: Array) -> Array:
    """A (B, n, H, W); targets as `instance_maps` takes them."""
    features, weight = np.asarray(features, np.float64), np.asarray(weight, np.float64)
    batch, channels, height, width = features.shape
    mean = weight.mean(0)
    out = []
    for b in range(batch):
        if targets.dtype.kind == "f":
            rows = [sum(share * (weight[k] - mean) for k, share in enumerate(targets[b]))]
        else:
            rows = [weight[k] - mean for k in np.atleast_1d(targets[b])]
        out.append([sum(row[c] * features[b, c] for c in range(channels)) for row in rows])
    return np.array(out).reshape(batch, -1, height, width)


def resampled(one: Array, cells: Array, places: Array) -> Array:
    """A map (H, H) with cells at the fractions `cells` of the photo's side, at all `places`, axis after axis."""
    across = np.array([np.interp(places, cells, row) for row in one])
    return np.array([np.interp(places, cells, column) for column in across.T]).T


def distance(target: Array, learner: Array, *, centred: bool, floor: float = 1e-4) -> float:
    """1 - cosine, the mean over all maps (..., N); dead ones count as 0."""
    found = []
    rows = [maps.reshape(-1, maps.shape[-1]) for maps in (target, learner)]
    for a, b in zip(*rows, strict=True):
        a, b = (x - x.mean() if centred else x for x in (a, b))
        rms = [np.sqrt((x**2).mean()) for x in (a, b)]
        found.append(0.0 if min(rms) <= floor else 1 - (a @ b) / np.sqrt((a @ a) * (b @ b)))
    return float(np.mean(found))


def both_ways(term, teacher: Array, student: Array, reverse: float) -> float:  # type: ignore[no-untyped-def]
    return term(teacher, student) + reverse * term(student, teacher)
