"""A folder of one's own: root/CLASS/photo, or root/train/CLASS/photo and root/test/CLASS/photo."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np

from foodkd.data.listing import Listing, Part, split_training
from foodkd.data.sampling import set_apart
from foodkd.errors import FoodkdError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm")
)
"""File names that count as photos, in either case; other files are left alone."""

TEST_SHARE = 0.2

_LAYOUT = "Expected: ROOT/CLASS/photo.jpg, or ROOT/train/CLASS/photo.jpg and ROOT/test/CLASS/photo.jpg"


def folder(root: Path, split: str, *, holdout: float, seed: int) -> list[Part]:
    """Parts of a split of a folder of one's own.

    With root/train and root/test these are the splits; otherwise a seeded fifth of each class is the test split.
    For training, every class needs a photo and there must be two or more.
    """
    if not root.is_dir():
        raise FoodkdError(f"There is no folder {root}. {_LAYOUT}.")
    if (root / "train").is_dir() or (root / "test").is_dir():
        return _parted(root, split, holdout, seed)
    listing = _listing(root, "", _class_folders(root))
    if split == "all":
        return [Part(listing, np.arange(len(listing)))]
    test = set_apart(listing.labels, listing.ids, TEST_SHARE, seed=seed, purpose="test")
    if split == "test":
        return [Part(listing, np.flatnonzero(test))]
    _judge_training(listing, root)
    return [split_training(listing, np.flatnonzero(~test), split, holdout=holdout, seed=seed)]


def _parted(root: Path, split: str, holdout: float, seed: int) -> list[Part]:
    """The layout with train and test folders; the class list is train's, if it is there."""
    has_train, has_test = (root / "train").is_dir(), (root / "test").is_dir()
    wanted = {"test": ["test"], "all": ["train", "test"]}.get(split, ["train"])
    missing = [part for part in wanted if not (root / part).is_dir()]
    if missing and (split != "all" or not (has_train or has_test)):
        raise FoodkdError(f"{root} has no folder {missing[0]!r}, which the split {split!r} needs. {_LAYOUT}.")
    names = _class_folders(root / "train" if has_train else root / "test")
    if has_train and has_test:
        _judge_same(names, _class_folders(root / "test"), root)
    parts = []
    for part in wanted:
        if not (root / part).is_dir():
            continue
        listing = _listing(root, part, names, optional=part == "test")
        rows = np.arange(len(listing))
        if part == "train" and split != "all":
            _judge_training(listing, root / part)
            parts.append(split_training(listing, rows, split, holdout=holdout, seed=seed))
        else:
            parts.append(Part(listing, rows))
    return parts


def _judge_same(train: list[str], test: list[str], root: Path) -> None:
    """A class that is tested must have been trained; the other way round is a smaller test."""
    known = {unicodedata.normalize("NFC", name) for name in train}  # other systems' archives may spell an accent apart
    strange = sorted(name for name in test if unicodedata.normalize("NFC", name) not in known)
    if strange:
        raise FoodkdError(
            f"{root}/test has the class {strange[0]!r}, which {root}/train lacks ({len(strange)} such); "
            "add photos of it to train or take it out of test."
        )


def _judge_training(listing: Listing, root: Path) -> None:
    """Training one class teaches nothing."""
    if len(listing.classes) < 2:
        raise FoodkdError(f"{root} holds the one class {listing.classes[0]!r}; training needs two or more.")


def _class_folders(root: Path) -> list[str]:
    """Names of the class folders, sorted; hidden ones are left alone."""
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise FoodkdError(f"{root} holds no class folder. {_LAYOUT}.")
    return names


def _listing(root: Path, part: str, classes: list[str], *, optional: bool = False) -> Listing:
    """All photos below the class folders of root/part, also in folders within them; ids are relative to the root.

    Raises:
        FoodkdError: a class has no photo, unless that is optional.
    """
    there = {unicodedata.normalize("NFC", entry.name): entry for entry in (root / part).iterdir()}
    paths: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        own = there.get(unicodedata.normalize("NFC", class_name), root / part / class_name)
        found = _photos(own)
        if not found and not optional:
            kinds = ", ".join(sorted(SUFFIXES))
            raise FoodkdError(f"The class folder {own} holds no photo ({kinds}); add some or remove it.")
        paths += found
        labels += [label] * len(found)
    ids = [_written(path.relative_to(root).as_posix()) for path in paths]
    names = tuple(_written(name) for name in classes)
    called = f"folder-{part}" if part else "folder"
    return Listing(name=called, classes=names, ids=ids, labels=np.array(labels, dtype=np.int64), paths=paths)


def _photos(folder_of_class: Path) -> list[Path]:
    """Photo files below a folder, sorted by their path.

    What is hidden is left alone: macOS's ._name.jpg, and copies in .ipynb_checkpoints, which could fall on the other
    side of a split.
    """
    files = sorted(path for path in folder_of_class.rglob("*") if path.suffix.lower() in SUFFIXES)
    shown = (path for path in files if not any(p.startswith(".") for p in path.relative_to(folder_of_class).parts))
    return [path for path in shown if path.is_file()]


def _written(name: str) -> str:
    """A file's name as it can be written down: bytes that are no UTF-8 (old archives of other systems) as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
