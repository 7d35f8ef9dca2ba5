"""Small made-up datasets, written to disk where a test needs files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# Hypothesis fails an example after 0.2 s by default; on a busy machine that judges the machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

WritePhoto = Callable[..., Path]


def noise(seed: int, width: int = 40, height: int = 40) -> Image.Image:
    """A picture of random blocks: no two seeds alike, and JPEG keeps it recognisable."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def write_photo(path: Path, seed: int, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed, **size).save(path)
    return path


@pytest.fixture(name="write_photo", scope="session")
def _write_photo() -> WritePhoto:
    """write_photo(path, seed): a small picture of its own for every seed."""
    return write_photo


@pytest.fixture
def food101_root(tmp_path: Path) -> Path:
    """Three dishes in Food-101's layout, 10 training and 4 test photos each."""
    meta: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    for label, dish in enumerate(("apple_pie", "ramen", "waffles")):
        for part, count in (("train", 10), ("test", 4)):
            names = [f"{dish}/{1000 * label + 100 * (part == 'test') + i}" for i in range(count)]
            meta[part][dish] = names
            for name in names:
                write_photo(tmp_path / f"food-101/images/{name}.jpg", int(name.split("/")[1]))
    (tmp_path / "food-101/meta").mkdir()
    for part, names in meta.items():
        (tmp_path / f"food-101/meta/{part}.json").write_text(json.dumps(names))
    return tmp_path


@pytest.fixture
def uec_root(tmp_path: Path) -> Path:
    """Three dishes in UECFood-256's layout; photos 1 to 5 show the first two dishes and stand in both folders."""
    base = tmp_path / "UECFOOD256"
    members = {1: range(1, 21), 2: [*range(1, 6), *range(21, 36)], 3: range(36, 46)}
    for folder, numbers in members.items():
        lines = ["img x1 y1 x2 y2"]
        for number in numbers:
            write_photo(base / str(folder) / f"{number}.jpg", number, width=60)
            lines.append(f"{number} {5 * folder} 0 {5 * folder + 30} 40")
        (base / str(folder) / "bb_info.txt").write_text("\n".join(lines) + "\n")
    (base / "category.txt").write_text("id\tname\n1\trice\n2\teels on rice\n3\tpilaf\n")
    return tmp_path


@pytest.fixture
def own_root(tmp_path: Path) -> Path:
    """Two dishes of one's own, ten photos each."""
    for label, dish in enumerate(("soup", "stew")):
        for i in range(10):
            write_photo(tmp_path / f"{dish}/{i}.png", 100 * label + i)
    return tmp_path
