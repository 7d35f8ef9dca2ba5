"""The photos of full size that the benchmark judges reduce to the very photos that they stand for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import reduction
from foodkd.data import open_photos
from foodkd.nets import Pair


def off(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_photo_of_full_size_reduces_to_the_small_one(tiny_pair: Pair) -> None:
    for small in open_photos("generated", None, "train", resolution=64, limit=2).read(range(4)):
        large = reduction.enlarged(small)
        assert large.shape == (512, 512, 3)
        assert off(tiny_pair.preprocessing.small(Image.fromarray(large)), small) < 0.5  # of 255 levels
        blurred = tiny_pair.preprocessing.small(reduction._stretched(small))
        assert off(blurred, small) > 3 * off(reduction.uploaded(tiny_pair, Image.fromarray(large)), small)


def test_every_road_is_judged_for_both_networks(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = open_photos("generated", None, "validation", resolution=64, per_class=12)
    monkeypatch.setattr(reduction, "open_photos", lambda *_, **__: photos)
    info = json.loads((tiny_checkpoint / "pair.json").read_text())
    pair = Pair.load(tiny_checkpoint)
    pair.info = {**info, "recipe": {"data": {"resolution": 64, "holdout": 0.1}}}
    pair.save(tmp_path / "pair")
    words = [str(tmp_path / "pair"), "--data", str(tmp_path), "--out", str(tmp_path / "found.json")]
    monkeypatch.setattr(sys, "argv", ["reduction", *words])
    reduction.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["photos"] == len(photos) and len(found["roads"]) == 5
    for networks in found["roads"].values():
        assert set(networks) == {"teacher", "student"}
        assert all(0 <= rates["top1"] <= 1 and rates["same_answer"] > 0.5 for rates in networks.values())
    assert found["roads"]["as they are"]["teacher"]["same_answer"] == 1
