"""A folder of one's own: root/CLASS/photo, or root/train/CLASS/photo and root/test/CLASS/photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foodkd.data.listing import Listing, Part, split_training
from foodkd.data.sampling import held_out
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
    listing = _listing(root, "folder", _class_folders(root))
    if split == "all":
        return [Part(listing, np.arange(len(listing)))]
    test = held_out(listing.labels, listing.ids, TEST_SHARE, seed=seed, purpose="test")
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
        listing = _listing(root / part, f"folder-{part}", names, optional=part == "test")
        rows = np.arange(len(listing))
        if part == "train" and split != "all":
            _judge_training(listing, root / part)
            parts.append(split_training(listing, rows, split, holdout=holdout, seed=seed))
        else:
            parts.append(Part(listing, rows))
    return parts


def _judge_same(train: list[str], test: list[str], root: Path) -> None:
    """A class that is tested must have been trained; the other way round is a smaller test."""
    strange = sorted(set(test) - set(train))
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


def _listing(root: Path, name: str, classes: list[str], *, optional: bool = False) -> Listing:
    """All photos below the class folders, also in folders within them; an empty class is an error unless optional."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        found = _photos(root / class_name)
        if not found and not optional:
            kinds = ", ".join(sorted(SUFFIXES))
            raise FoodkdError(f"The class folder {root / class_name} holds no photo ({kinds}); add some or remove it.")
        paths += found
        labels += [label] * len(found)
    ids = [path.relative_to(root).as_posix() for path in paths]
    return Listing(name=name, classes=tuple(classes), ids=ids, labels=np.array(labels, dtype=np.int64), paths=paths)


def _photos(folder_of_class: Path) -> list[Path]:
    """Photo files below a folder, sorted by their path; hidden files (such as macOS's ._name.jpg) are left alone."""
    files = sorted(path for path in folder_of_class.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path for path in files if not path.name.startswith(".") and path.is_file()]
