"""Every choice left to chance or to a seed: streams of random numbers, held-out shares, the order of batches.

Random numbers come from NumPy's counter-based Philox, keyed by everything that names them: a run that stops and
goes on draws what an unbroken one would. (A torch CPU generator keeps only 32 bits of its seed: seeds 1 and
1 + 2**32 draw the same.) Membership of a split hangs on hashes of the photos' names alone, so it survives new library
versions and another listing order. A test split survives photos added later too (`set_apart`).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np

from foodkd.errors import FoodkdError


def stream(purpose: str, *key: int) -> np.random.Generator:
    """An independent stream of random numbers for a purpose and a key of whole numbers >= 0."""
    if any(part < 0 for part in key):
        raise FoodkdError(f"A seed, step or epoch below 0 cannot key random numbers: {key}; use 0 or more.")
    words = [zlib.crc32(purpose.encode()), *(int(part) for part in key)]
    # The length comes last because SeedSequence pads with zeros: (1,) and (1, 0) would otherwise be one stream.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*words, len(words)])))


def batch_order(count: int, batch_size: int, *, seed: int, epoch: int) -> list[np.ndarray]:
    """One epoch's batches: shuffled indices into `count` photos, each (batch_size,) int64.

    The incomplete last batch is dropped; a set smaller than one batch gives one batch of them all.
    """
    if count < 1 or batch_size < 1:
        raise FoodkdError(f"Batches of {batch_size} from {count} photos are not possible; both must be 1 or more.")
    order = stream("order", seed, epoch).permutation(count)
    if count <= batch_size:
        return [order]
    return list(order[: count - count % batch_size].reshape(-1, batch_size))


def rank(names: Sequence[str], *, seed: int, purpose: str) -> np.ndarray:
    """A fixed shuffled order of the names: indices (N,), by a hash of purpose, seed and name."""
    digests = [_digest(name, seed, purpose) for name in names]
    return np.array(sorted(range(len(names)), key=lambda i: (digests[i], i)), dtype=np.int64)


def _digest(name: str, seed: int, purpose: str) -> bytes:
    return hashlib.sha256(f"{purpose}:{seed}:{name}".encode()).digest()


def held_out(labels: np.ndarray, groups: Sequence[str], share: float, *, seed: int, purpose: str) -> np.ndarray:
    """Choose about `share` of each class to be held out: bool (N,).

    Args:
        labels: (N,) class of each item.
        groups: name of the photo behind each item; items of one photo are never parted.
        share: 0..1. With a share above 0 a class of two or more photos gives at least one and keeps at least one,
            unless photos shared between classes leave no choice.
        seed: another seed chooses others.
        purpose: keeps different splits of the same seed independent.
    """
    if not 0 <= share < 1:
        raise FoodkdError(f"The held-out share must be at least 0 and below 1, not {share}.")
    chosen: dict[str, bool] = {}
    for label in np.unique(labels):
        members = sorted({groups[int(i)] for i in np.flatnonzero(labels == label)})
        wanted = min(max(round(share * len(members)), 1), len(members) - 1) if share else 0
        wanted -= sum(chosen.get(member, False) for member in members)
        free = [member for member in members if member not in chosen]
        for place, index in enumerate(rank(free, seed=seed, purpose=purpose)):
            chosen[free[index]] = place < wanted
    return np.array([chosen[group] for group in groups], dtype=bool)


def set_apart(labels: np.ndarray, groups: Sequence[str], share: float, *, seed: int, purpose: str) -> np.ndarray:
    """Choose about `share` of each class, each item by its own name: bool (N,).

    Unlike `held_out`, whose share of a class is exact, an item's side doesn't hang on the others: when photos are added
    later, none that was trained on becomes one that is tested. A class of two or more gives at least one all the same,
    and keeps at least one (which may change sides once it has company), unless photos shared between classes leave no
    choice.

    Args:
        labels: (N,) class of each item.
        groups: name of the photo behind each item; items of one photo are never parted.
        share: of all names, above 0 and below 1.
        seed: another seed chooses others.
        purpose: keeps different splits of the same seed independent.
    """
    if not 0 < share < 1:
        raise FoodkdError(f"The share set apart must be above 0 and below 1, not {share}.")
    places = {group: int.from_bytes(_digest(group, seed, purpose)[:8]) / 2**64 for group in groups}
    chosen = {group: place < share for group, place in places.items()}
    for label in np.unique(labels):
        members = sorted({groups[int(i)] for i in np.flatnonzero(labels == label)}, key=lambda g: (places[g], g))
        if all(chosen[member] for member in members):
            chosen[members[-1]] = False
        elif len(members) > 1 and not any(chosen[member] for member in members):
            chosen[members[0]] = True
    return np.array([chosen[group] for group in groups], dtype=bool)


def limited(labels: np.ndarray, ids: Sequence[str], limit: int, *, seed: int) -> np.ndarray:
    """Indices of at most `limit` items of each class, in their old order; a smaller limit chooses from a larger's."""
    if limit < 1:
        raise FoodkdError(f"The limit of photos per class must be 1 or more, not {limit}.")
    kept = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        kept.append(members[rank([ids[int(i)] for i in members], seed=seed, purpose="limit")[:limit]])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
