"""`open_photos`: the one door to every dataset, and `Photos`, what comes through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foodkd.data.folder import folder
from foodkd.data.food101 import food101
from foodkd.data.generated import generated
from foodkd.data.listing import SPLITS, Part
from foodkd.data.packing import ArrayStore, JoinedStore, Opened, Store, cache_folder, open_store
from foodkd.data.sampling import limited, stream
from foodkd.data.uecfood256 import uecfood256
from foodkd.errors import FoodkdError

ON_DISK: dict[str, Callable[..., list[Part]]] = {"food101": food101, "uecfood256": uecfood256, "folder": folder}
"""Datasets that lie in a folder: (root, split, *, holdout, seed, **options) -> parts."""

DATASETS = (*ON_DISK, "generated")


class Photos:
    """A split of a dataset: reduced photos with their labels.

    Attributes:
        classes: K names; a label is a position in them.
        ids: N names such as "apple_pie/1011328".
        labels: int64 (N,).
        resolution: R, side of the reduced photos.
    """

    def __init__(
        self,
        store: Store,
        rows: np.ndarray,
        *,
        classes: tuple[str, ...],
        ids: list[str],
        labels: np.ndarray,
        resolution: int,
    ) -> None:
        """Row `rows[i]` of the store is photo i."""
        self._store, self._rows = store, rows
        self.classes, self.ids, self.labels, self.resolution = classes, ids, labels, resolution

    def __len__(self) -> int:
        """N, the number of photos."""
        return len(self.ids)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Photos uint8 (B, R, R, 3), in the order asked for."""
        return self._store.read(self._rows[np.asarray(indices, dtype=np.int64)])

    def subset(self, indices: Sequence[int] | np.ndarray) -> Photos:
        """Some of the photos, in the order given; the class list stays whole."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Photos(
            self._store,
            self._rows[chosen],
            classes=self.classes,
            ids=[self.ids[i] for i in chosen],
            labels=self.labels[chosen],
            resolution=self.resolution,
        )


def open_photos(
    dataset: str,
    root: Path | str | None,
    split: str,
    *,
    resolution: int = 64,
    holdout: float = 0.02,
    seed: int = 0,
    cache: Path | None = None,
    pack: bool | None = None,
    limit: int | None = None,
    **options: Any,
) -> Photos:
    """Open a split of a dataset.

    Args:
        dataset: "food101", "uecfood256", "folder" or "generated".
        root: the dataset's folder; None for "generated".
        split: "train", "validation", "test" or "all". "train" and "validation" part the training photos.
        resolution: side in pixels to which each photo's centre square is reduced.
        holdout: share of each class's training photos that make "validation", 0 to below 1.
        seed: of the seeded splits, the limit and the generated pictures.
        cache: where packs are kept; ROOT/.foodkd by default, or the user's cache if the root cannot be written.
        pack: keep the reduced photos in one file; by default up to 96 px.
        limit: at most this many photos of each class; a smaller limit takes some of a larger one's.
        options: of the dataset: food101 and uecfood256 `download` (fetch or unzip what is missing), uecfood256
            `crops` ("boxes" or "whole"), generated `classes` and `per_class`.

    Raises:
        FoodkdError: unknown name, missing data, nothing in the split.
    """
    _judge(dataset, split, resolution)
    if dataset in ("folder", "generated"):
        options.pop("download", None)  # the command line offers it for all; here there is nothing to fetch
    try:
        if dataset == "generated":
            photos = _generated(split, resolution, seed, options)
            return photos if limit is None else photos.subset(limited(photos.labels, photos.ids, limit, seed=seed))
        parts = ON_DISK[dataset](_judged_root(dataset, root), split, holdout=holdout, seed=seed, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise FoodkdError(f"The dataset {dataset} has no option {str(error).split()[-1]}.") from error
        raise
    parts = parts if limit is None else _limited(parts, limit, seed)
    if not sum(len(part.rows) for part in parts):
        raise FoodkdError(f"The split {split!r} of {root} holds no photo; check its layout and the held-out share.")
    where = cache or cache_folder(Path(str(root)))
    opened = [
        open_store(part, resolution=resolution, cache=where, pack=pack, limited=limit is not None)
        for part in parts
        if len(part.rows)
    ]
    photos = _joined(opened, resolution)
    _judge_opened(photos, parts, f"The split {split!r} of {root}", every=dataset == "folder" and split == "train")
    return photos


def _judge_opened(photos: Photos, parts: list[Part], what: str, *, every: bool) -> None:
    """Broken photos are left out: something must remain, and where it is trained on, something of every class."""
    if not len(photos):
        raise FoodkdError(f"{what} holds no photo that can be read; put others there.")
    if every:
        wanted = np.unique(np.concatenate([part.listing.labels[part.rows] for part in parts]))
        lost = np.setdiff1d(wanted, photos.labels)
        if len(lost):
            name = photos.classes[int(lost[0])]
            raise FoodkdError(f"{what} has no photo of the class {name!r} that can be read; add some or remove it.")


def channel_statistics(
    photos: Photos, sample: int = 4096, *, seed: int = 0
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel, values in 0..1, over all pixels of a seeded sample of photos."""
    count = len(photos)
    chosen = np.sort(stream("statistics", seed).choice(count, min(sample, count), replace=False))
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for block in np.array_split(chosen, max(1, len(chosen) // 256)):
        values = photos.read(block).reshape(-1, 3).astype(np.float64) / 255
        total, squares, pixels = total + values.sum(0), squares + (values**2).sum(0), pixels + len(values)
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def _judge(dataset: str, split: str, resolution: int) -> None:
    """Refuse unknown names before anything is read."""
    if dataset not in DATASETS:
        raise FoodkdError(f"There is no dataset {dataset!r}; choose one of {', '.join(DATASETS)}.")
    if split not in SPLITS:
        raise FoodkdError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if not 8 <= resolution <= 1024:
        raise FoodkdError(f"The resolution must be 8 to 1024 pixels, not {resolution}.")


def _judged_root(dataset: str, root: Path | str | None) -> Path:
    """The root as a path; without one there is nothing to open."""
    if root is None:
        raise FoodkdError(f"The dataset {dataset} lies in a folder; give it with --data ROOT.")
    return Path(root)


def _generated(split: str, resolution: int, seed: int, options: dict[str, Any]) -> Photos:
    """Generated pictures, kept in memory."""
    classes, ids, labels, pictures = generated(split, resolution=resolution, seed=seed, **options)
    rows = np.arange(len(ids))
    return Photos(ArrayStore(pictures), rows, classes=classes, ids=ids, labels=labels, resolution=resolution)


def _limited(parts: list[Part], limit: int, seed: int) -> list[Part]:
    """At most `limit` photos of each class, over all parts together."""
    labels = np.concatenate([part.listing.labels[part.rows] for part in parts])
    kept = np.zeros(len(labels), dtype=bool)
    kept[limited(labels, [part.listing.ids[i] for part in parts for i in part.rows], limit, seed=seed)] = True
    ends = np.cumsum([len(part.rows) for part in parts])[:-1]
    return [Part(part.listing, part.rows[mine]) for part, mine in zip(parts, np.split(kept, ends), strict=True)]


def _joined(opened: list[Opened], resolution: int) -> Photos:
    """Lay the stores one behind the other."""
    starts = np.cumsum([0, *(len(one.listing) for one in opened[:-1])])
    stores = tuple(one.store for one in opened)
    return Photos(
        stores[0] if len(stores) == 1 else JoinedStore(stores, starts, resolution),
        np.concatenate([one.rows + start for one, start in zip(opened, starts, strict=True)]),
        classes=opened[0].listing.classes,
        ids=[one.listing.ids[i] for one in opened for i in one.rows],
        labels=np.concatenate([one.listing.labels[one.rows] for one in opened]),
        resolution=resolution,
    )
