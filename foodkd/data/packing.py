"""Photos reduced once and kept as one memory-mapped array, or read one by one where they are too large for that.

A pack is a folder `NAME-RESOLUTION-KEY/` with `photos.npy`, uint8 (N, R, R, 3), and `pack.json` (which rows are
broken). KEY is a hash of every photo's name, size, time of change and crop: a changed folder gets another pack. It is
written to a temporary folder and renamed, so a half-written one is never taken for whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from foodkd.data.listing import Box, DataWarning, Listing, Part
from foodkd.data.photos import PhotoError, open_photo
from foodkd.data.preprocessing import Preprocessing
from foodkd.errors import FoodkdError

PACK_LIMIT = 96
"""Up to this resolution datasets are packed unless told otherwise: Food-101 takes 2.8 GB at 96, 15 GB at 224."""

_FORMAT = 1  # raise when the pixels of a pack would come out differently
_BLOCK = 512  # photos decoded between two writes
_STALE = 3600.0  # seconds after which a silent temporary folder counts as left by a killed process


class Store(Protocol):
    """Reduced photos by row."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (len(rows), R, R, 3)."""


@dataclass(frozen=True)
class ArrayStore:
    """Photos in an array (N, R, R, 3), in memory or memory-mapped."""

    array: np.ndarray

    def read(self, rows: np.ndarray) -> np.ndarray:
        """A copy of those rows."""
        return np.asarray(self.array[rows])


@dataclass(frozen=True)
class FileStore:
    """Photos decoded when they are asked for, by a few threads (Pillow decodes outside Python's lock)."""

    listing: Listing
    resolution: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode and reduce those rows."""
        side = self.resolution
        with ThreadPoolExecutor(_threads()) as pool:
            photos = list(pool.map(lambda row: read_small(self.listing, int(row), side), rows))
        return np.stack(photos) if photos else np.zeros((0, side, side, 3), np.uint8)


@dataclass(frozen=True)
class JoinedStore:
    """Several stores, one behind the other; `starts` is the first row of each."""

    stores: tuple[Store, ...]
    starts: np.ndarray
    resolution: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Collect those rows from the stores they lie in."""
        which = np.searchsorted(self.starts, rows, side="right") - 1
        photos = np.empty((len(rows), self.resolution, self.resolution, 3), np.uint8)
        for index, store in enumerate(self.stores):
            mine = which == index
            if mine.any():
                photos[mine] = store.read(rows[mine] - self.starts[index])
        return photos


@dataclass(frozen=True)
class Opened:
    """A store, the listing it was made of, and the rows of both that a split takes and that can be read."""

    store: Store
    listing: Listing
    rows: np.ndarray


def open_store(part: Part, *, resolution: int, cache: Path, pack: bool | None, limited: bool) -> Opened:
    """Open the photos of a split's part, making the pack first if it is not there; broken photos are left out.

    Args:
        part: the listing that is packed as a whole, and the rows wanted.
        resolution: side of the reduced photos.
        cache: where packs lie.
        pack: None packs up to `PACK_LIMIT`. Without a pack every photo is decoded once all the same, to find the
            broken ones before a run stumbles over them.
        limited: the rows are a few of many; unless a pack of all is there, only they are packed.
    """
    packing = resolution <= PACK_LIMIT if pack is None else pack
    packed = resolution if packing else 0
    listing, rows = part.listing, part.rows
    if limited and not pack_folder(listing, cache, packed).exists():
        listing, rows = listing.take(rows, f"{listing.name}-limited"), np.arange(len(rows))
    folder = pack_folder(listing, cache, packed)
    broken = np.isin(rows, _made(folder, listing, packed))
    _warn_broken([listing.ids[i] for i in rows[broken]], len(rows))
    store: Store = ArrayStore(_mapped(folder, listing, packed)) if packing else FileStore(listing, resolution)
    return Opened(store, listing, rows[~broken])


def cache_folder(root: Path) -> Path:
    """Where a dataset's packs go: ROOT/.foodkd, or a folder of the user's cache if the root cannot be written."""
    own = root / ".foodkd"
    if os.access(own if own.exists() else root, os.W_OK | os.X_OK):
        return own
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "foodkd" / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]


def pack_folder(listing: Listing, cache: Path, resolution: int) -> Path:
    """Where the pack of a listing lies; resolution 0 stands for a mere check of every photo."""
    kind = f"{listing.name}-{resolution}" if resolution else f"{listing.name}-checked"
    return cache / f"{kind}-{content_key(listing, resolution)}"


def content_key(listing: Listing, resolution: int) -> str:
    """16 hex digits that change with any photo's name, size, time of change or crop."""
    digest = hashlib.sha256(f"{_FORMAT}:{resolution}:{len(listing)}".encode())
    for row, (name, path) in enumerate(zip(listing.ids, listing.paths, strict=True)):
        status = path.stat()
        digest.update(f"\0{name}\0{status.st_size}\0{status.st_mtime_ns}\0{listing.box(row)}".encode())
    return digest.hexdigest()[:16]


def read_small(listing: Listing, row: int, resolution: int) -> np.ndarray:
    """One photo of a listing: opened, cropped to its box, reduced: uint8 (R, R, 3)."""
    preprocessing, box = Preprocessing(resolution=resolution), listing.box(row)
    # A box is in pixels of the whole photo, and what it holds may be a small part of it.
    photo = open_photo(listing.paths[row], shorter=preprocessing.enough if box is None else None)
    if box is not None:
        photo = photo.crop(_within(box, photo.size))
    return preprocessing.small(photo)


def _within(box: Box, size: tuple[int, int]) -> Box:
    """The box cut to the photo; one that misses the photo is a broken photo."""
    left, upper = max(box[0], 0), max(box[1], 0)
    right, lower = min(box[2], size[0]), min(box[3], size[1])
    if left >= right or upper >= lower:
        raise PhotoError(f"The box {box} lies outside its photo of {size[0]} x {size[1]} pixels.")
    return left, upper, right, lower


def _made(folder: Path, listing: Listing, resolution: int) -> list[int]:
    """Make the pack (resolution 0: the check) unless it is there; the broken rows."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        _check_space(folder.parent, len(listing) * resolution**2 * 3)
        _write(folder, listing, resolution)
    try:
        return list(json.loads((folder / "pack.json").read_text())["broken"])
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(folder, error) from error


def _write(folder: Path, listing: Listing, resolution: int) -> None:
    """Decode everything into a temporary folder, then give it its name."""
    temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        broken = _write_photos(temporary / "photos.npy", listing, resolution)
        if len(broken) == len(listing):
            raise FoodkdError(
                f"None of the {len(listing)} photos of {listing.name} can be read; the first: {broken[0]}"
            )
        _write_note(temporary / "pack.json", listing, resolution, broken)
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not (folder / "pack.json").is_file():  # otherwise another process was faster with the same pack
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_photos(path: Path, listing: Listing, resolution: int) -> dict[int, str]:
    """Write (N, R, R, 3) block by block (a full disk then raises, where a memory map would kill); broken rows, why."""
    broken: dict[int, str] = {}
    with path.open("wb") as file:
        shape = (len(listing) if resolution else 0, resolution, resolution, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for row, result in _decoded(listing, resolution):
            if isinstance(result, PhotoError):
                broken[row] = str(result)
                result = np.zeros((resolution, resolution, 3), np.uint8)
            file.write(result.tobytes() if resolution else b"")
        file.flush()
        os.fsync(file.fileno())
    return broken


def _decoded(listing: Listing, resolution: int) -> Iterator[tuple[int, np.ndarray | PhotoError]]:
    """Every row, decoded by a few threads, with a progress line where someone watches."""

    def one(row: int) -> np.ndarray | PhotoError:
        try:
            return read_small(listing, row, resolution or 8)
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, len(listing), _BLOCK):
            rows = range(start, min(start + _BLOCK, len(listing)))
            yield from zip(rows, pool.map(one, rows), strict=True)
            _progress(listing.name, rows.stop, len(listing))


def _write_note(path: Path, listing: Listing, resolution: int, broken: dict[int, str]) -> None:
    """Write pack.json: what the pack holds and which rows are broken."""
    note = {
        "format": _FORMAT,
        "name": listing.name,
        "photos": len(listing),
        "resolution": resolution,
        "broken": sorted(broken),
        "reasons": {listing.ids[row]: reason for row, reason in broken.items()},
    }
    path.write_text(json.dumps(note, indent=1))


def _mapped(folder: Path, listing: Listing, resolution: int) -> np.ndarray:
    """The pack's photos, memory-mapped."""
    try:
        array = np.load(folder / "photos.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from error
    if array.shape != (len(listing), resolution, resolution, 3):
        raise _damaged(folder, f"its photos are {array.shape}")
    return array


def _damaged(folder: Path, reason: object) -> FoodkdError:
    """The sentence about a pack that was tampered with."""
    return FoodkdError(f"The pack {folder} is damaged ({reason}); delete that folder, it is made again.")


def _warn_broken(names: list[str], total: int) -> None:
    """One warning for all broken photos."""
    if names:
        warnings.warn(
            f"{len(names)} of {total} photos cannot be read and are left out, such as {names[0]}.",
            DataWarning,
            stacklevel=4,
        )


def _sweep(cache: Path) -> None:
    """Remove temporary folders that a killed process left."""
    for path in cache.glob(".making-*"):
        newest = max((entry.stat().st_mtime for entry in path.glob("*")), default=path.stat().st_mtime)
        if time.time() - newest > _STALE:
            shutil.rmtree(path, ignore_errors=True)


def _check_space(folder: Path, needed: int) -> None:
    """Refuse before an hour's work what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FoodkdError(
            f"Packing needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free; "
            "make room or give another cache folder."
        )


def _progress(name: str, done: int, total: int) -> None:
    """A line that overwrites itself, only on a terminal and only for work that takes a while."""
    if total > 4 * _BLOCK and sys.stderr.isatty():
        print(f"\rpacking {name}: {done} / {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _threads() -> int:
    """As many threads as cores this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
