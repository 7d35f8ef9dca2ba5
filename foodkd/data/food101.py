"""Food-101 through torchvision's own class: 101 dishes, 750 training and 250 test photos each.

L. Bossard, M. Guillaumin, L. Van Gool, "Food-101 - Mining Discriminative Components with Random Forests", ECCV 2014.
ROOT holds food-101/images/CLASS/ID.jpg and food-101/meta/{train,test}.json; photos of any size will do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foodkd.data.listing import Listing, Part, split_training, without_absent
from foodkd.errors import FoodkdError


def food101(root: Path, split: str, *, holdout: float, seed: int, download: bool = False) -> list[Part]:
    """Parts of a split: "train" and "validation" share the official training photos, "test" is the official one."""
    base = root.parent if root.name == "food-101" and (root / "meta").is_dir() else root
    parts = []
    if split != "test":
        listing = _listing(base, "train", download)
        parts.append(split_training(listing, np.arange(len(listing)), split, holdout=holdout, seed=seed))
    if split in ("test", "all"):
        listing = _listing(base, "test", download)
        parts.append(Part(listing, np.arange(len(listing))))
    return parts


def _listing(root: Path, official: str, download: bool) -> Listing:
    """One official split, as far as its photos are there."""
    dataset = _dataset(root, official, download)
    # torchvision keeps the file list private and offers no other way to it than decoding every photo.
    paths = [Path(path) for path in dataset._image_files]
    listing = Listing(
        name=f"food101-{official}",
        classes=tuple(dataset.classes),
        ids=[f"{path.parent.name}/{path.stem}" for path in paths],
        labels=np.array(dataset._labels, dtype=np.int64),
        paths=paths,
    )
    return without_absent(listing, f"meta/{official}.json")


def _dataset(root: Path, official: str, download: bool):  # type: ignore[no-untyped-def]  # torchvision is imported late
    """torchvision's Food101, its errors turned into one sentence."""
    from torchvision.datasets import Food101

    try:
        return Food101(str(root), split=official, download=download)
    except Exception as error:  # no network, a broken archive, a foreign meta file: anything of urllib, tarfile, json
        reason = " ".join(str(error).split())[:150]
        if download:
            raise FoodkdError(
                f"Food-101 could not be downloaded to {root} ({reason}); check the network and the room on the disk."
            ) from error
        raise FoodkdError(
            f"Food-101 was not found under {root} ({reason}). Expected: food-101/images/CLASS/ID.jpg and "
            f"food-101/meta/{official}.json; unpack it there, or have `train` fetch it with --download (5 GB, "
            "from the authors' server)."
        ) from error
