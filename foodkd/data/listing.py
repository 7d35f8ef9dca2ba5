"""What a dataset module hands over: which photos there are, where they lie, and which of them a split takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from foodkd.data.sampling import held_out
from foodkd.errors import FoodkdError

Box = tuple[int, int, int, int]
"""left, upper, right, lower in pixels of the upright photo; right and lower excluded."""

SPLITS = ("train", "validation", "test", "all")


class DataWarning(UserWarning):
    """Something about a dataset that its user should know and that stops nothing."""


@dataclass(frozen=True)
class Listing:
    """Photos that are packed together, in a fixed order.

    Attributes:
        name: of the dataset and its part, for file names: "food101-train".
        classes: K class names; a label is a position in them.
        ids: N names, unique, such as "apple_pie/1011328".
        labels: int64 (N,).
        paths: N files.
        boxes: N crops, None for the whole photo; empty when nothing is cropped.
    """

    name: str
    classes: tuple[str, ...]
    ids: list[str]
    labels: np.ndarray
    paths: list[Path]
    boxes: list[Box | None] = field(default_factory=list)

    def __len__(self) -> int:
        """N, the number of photos."""
        return len(self.ids)

    def box(self, row: int) -> Box | None:
        """The crop of one photo, or None for all of it."""
        return self.boxes[row] if self.boxes else None

    def take(self, rows: np.ndarray, name: str | None = None) -> Listing:
        """The listing of some rows."""
        return Listing(
            name=name or self.name,
            classes=self.classes,
            ids=[self.ids[i] for i in rows],
            labels=self.labels[rows],
            paths=[self.paths[i] for i in rows],
            boxes=[self.boxes[i] for i in rows] if self.boxes else [],
        )


@dataclass(frozen=True)
class Part:
    """A listing and the rows of it that a split takes, in rising order."""

    listing: Listing
    rows: np.ndarray


def split_training(
    listing: Listing, rows: np.ndarray, split: str, *, holdout: float, seed: int, groups: Sequence[str] | None = None
) -> Part:
    """Training rows -> those of "train" or "validation" (a held-out share per class), or all of them for "all"."""
    if split == "all":
        return Part(listing, rows)
    names = [(groups or listing.ids)[i] for i in rows]
    held = held_out(listing.labels[rows], names, holdout, seed=seed, purpose="validation")
    return Part(listing, rows[held if split == "validation" else ~held])


def without_absent(listing: Listing, source: str) -> Listing:
    """Drop photos whose file is not there, with one warning; a class list stays as it is.

    Raises:
        FoodkdError: none is there.
    """
    there = np.array([path.is_file() for path in listing.paths], dtype=bool)
    if there.all():
        return listing
    absent = [listing.ids[i] for i in np.flatnonzero(~there)]
    if not there.any():
        raise FoodkdError(
            f"None of the {len(absent)} photos that {source} names is there (the first: {listing.paths[0]}); "
            "unpack the photos of this split too."
        )
    warnings.warn(
        f"{len(absent)} of {len(listing)} photos that {source} names are absent and left out, such as {absent[0]}.",
        DataWarning,
        stacklevel=3,
    )
    return listing.take(np.flatnonzero(there))
