"""UECFood-256: 256 dishes, a box around each dish.

Y. Kawano, K. Yanai, "Automatic Expansion of a Food Image Dataset Leveraging Existing Categories with Domain
Adaptation", ECCV Workshops 2014. ROOT holds (or is) UECFOOD256/ as its archive unpacks: `category.txt`, folders `1` to
`256` of NUMBER.jpg, and in each a `bb_info.txt` with the lines `img x1 y1 x2 y2`.

There is no official split. Ours: about a fifth of each class is the test split, chosen by a hash of the seed and the
photo's number, never by the order of files. A photo with several dishes stands in several folders under one number;
all its copies and boxes fall on the same side.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from foodkd.data.listing import Box, Listing, Part, split_training, without_absent
from foodkd.data.sampling import set_apart
from foodkd.errors import FoodkdError

ARCHIVES = ("UECFOOD256.zip", "dataset256.zip")
"""Names under which the official archive is handed round."""

CROPS = ("boxes", "whole")
TEST_SHARE = 0.2

_LAYOUT = "Expected: UECFOOD256/category.txt and folders UECFOOD256/1 to 256 with NUMBER.jpg and bb_info.txt"


def uecfood256(
    root: Path, split: str, *, holdout: float, seed: int, crops: str = "boxes", download: bool = False
) -> list[Part]:
    """Parts of a split.

    Args:
        root: holds UECFOOD256/ or is it.
        split: "train", "validation", "test" or "all".
        holdout: share of each class's training photos that make "validation".
        seed: of both splits.
        crops: "boxes": one item per box, cropped to it; "whole": one item per photo and class, uncropped.
        download: unzip UECFOOD256.zip where it lies in the root. Fetching the 4 GB is left to the user: the authors
            ask for their terms to be read first.
    """
    if crops not in CROPS:
        raise FoodkdError(f"crops must be one of {', '.join(CROPS)}, not {crops!r}.")
    listing, photos = _listing(_base(root, download), crops)
    rows = np.arange(len(listing))
    if split == "all":
        return [Part(listing, rows)]
    test = set_apart(listing.labels, photos, TEST_SHARE, seed=seed, purpose="test")
    if split == "test":
        return [Part(listing, rows[test])]
    return [split_training(listing, rows[~test], split, holdout=holdout, seed=seed, groups=photos)]


def _base(root: Path, download: bool) -> Path:
    """The folder that holds category.txt, unzipped first if asked to."""
    found = next((path for path in (root / "UECFOOD256", root) if (path / "category.txt").is_file()), None)
    if found:
        return found
    archive = next((root / name for name in ARCHIVES if (root / name).is_file()), None)
    if archive and download:
        return _unzipped(archive)
    advice = (
        f"unzip {archive.name} there, or have `train` do it with --download"
        if archive
        else "get UECFOOD256.zip from http://foodcam.mobi/dataset256.html, and unzip it there"
    )
    raise FoodkdError(f"UECFood-256 was not found under {root}. {_LAYOUT}; {advice}.")


def _unzipped(archive: Path) -> Path:
    """Unpack beside the archive, to a temporary folder first: a killed run leaves nothing that looks whole."""
    target = archive.parent / "UECFOOD256"
    temporary = Path(tempfile.mkdtemp(prefix=".unzipping-", dir=archive.parent))
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(temporary)
        inner = next((path.parent for path in sorted(temporary.glob("**/category.txt"))), None)
        if inner is None:
            raise FoodkdError(f"{archive} holds no category.txt, so it is not the UECFood-256 archive. {_LAYOUT}.")
        inner.chmod(0o755)
        inner.rename(target)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise FoodkdError(f"{archive} cannot be unzipped ({error}); get it again or make room.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def category_names(path: Path) -> dict[int, str]:
    """Folder number -> name from a category.txt (`id<tab>name`, with a header line).

    The official list names two dishes "omelet"; names that occur twice get their number: "omelet (40)".
    """
    names: dict[int, str] = {}
    for line_number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        number, _, name = line.strip().partition("\t")
        if (line_number == 1 and not number.isdecimal()) or not line.strip():
            continue
        if not number.isdecimal() or not name.strip() or int(number) in names:
            raise FoodkdError(f"{path}, line {line_number}: {line!r} is not a new number, a tab and a name.")
        names[int(number)] = name.strip()
    counts = Counter(names.values())
    if len(names) < 2:
        raise FoodkdError(f"{path} names {len(names)} categories; it needs at least two. {_LAYOUT}.")
    return {number: f"{name} ({number})" if counts[name] > 1 else name for number, name in sorted(names.items())}


def _listing(base: Path, crops: str) -> tuple[Listing, list[str]]:
    """Every item of the archive and the number of the photo behind each."""
    names = category_names(base / "category.txt")
    ids: list[str] = []
    labels: list[int] = []
    boxes: list[Box | None] = []
    for label, number in enumerate(names):
        for name, box in _items(base / str(number), crops):
            ids.append(f"{number}/{name}")
            labels.append(label)
            boxes.append(box)
    paths = [base / f"{name.partition('#')[0]}.jpg" for name in ids]
    listing = Listing(
        name=f"uecfood256-{crops}",
        classes=tuple(names.values()),
        ids=ids,
        labels=np.array(labels, dtype=np.int64),
        paths=paths,
        boxes=boxes,
    )
    listing = without_absent(listing, "bb_info.txt")
    return listing, [path.stem for path in listing.paths]


def _items(folder: Path, crops: str) -> list[tuple[str, Box | None]]:
    """(name, box) of a class folder; further boxes of one photo are called NUMBER#2, NUMBER#3 ..."""
    if not folder.is_dir():
        raise FoodkdError(f"category.txt names the class {folder.name}, but {folder} is not there. {_LAYOUT}.")
    if crops == "whole":
        numbers = sorted((path.stem for path in folder.glob("*.jpg") if path.stem.isdecimal()), key=int)
        return [(number, None) for number in numbers]
    items: list[tuple[str, Box | None]] = []
    seen: Counter[str] = Counter()
    for number, box in _boxes(folder / "bb_info.txt"):
        seen[number] += 1
        items.append((number if seen[number] == 1 else f"{number}#{seen[number]}", box))
    return items


def _boxes(path: Path) -> list[tuple[str, Box]]:
    """The lines of a bb_info.txt, in its order: (photo number, box)."""
    if not path.is_file():
        raise FoodkdError(f"{path} is not there; unpack the archive again, or choose crops = whole.")
    boxes = []
    for line_number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or (line_number == 1 and words[0] == "img"):
            continue
        try:
            number, left, upper, right, lower = (int(word) for word in words)
        except ValueError as error:
            raise FoodkdError(f"{path}, line {line_number}: {line!r} is not `img x1 y1 x2 y2`.") from error
        boxes.append((str(number), (left, upper, right, lower)))
    return boxes
