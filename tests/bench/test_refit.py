"""A refitted pair keeps its weights, sees photos at another size, and nothing that was passed in changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.refit import batches, refit
from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError
from foodkd.nets import Pair

ROOT = Path(__file__).resolve().parents[2]
AUGMENT = {"scale": [0.3, 1.0], "mixup": 0.2, "cutmix": 1.0}


@pytest.fixture
def pair(tiny_checkpoint: Path) -> Pair:
    found = Pair.load(tiny_checkpoint)
    found.info |= {"trained": ["student"], "recipe": {"augment": AUGMENT}}
    return found


@pytest.fixture
def photos(pair: Pair) -> Photos:
    return open_photos("generated", None, "train", resolution=pair.preprocessing.resolution, limit=40)


def _state(pair: Pair, name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in pair.networks[name].state_dict().items()}


def test_norms_are_those_of_the_batches_and_weights_stay(pair: Pair, photos: Photos) -> None:
    before = _state(pair, "student")
    made = refit(pair, photos, photos, sizes={"student": 96}, count=2, norms="augmented")
    after = _state(made, "student")
    assert 64 <= len(photos) < 128 and made.info["refit"]["photos"] == 64  # of two batches asked for, one is there
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed and all(key.rsplit(".", 1)[1].startswith(("running_", "num_batches")) for key in changed)
    assert all(torch.equal(value, before[key]) for key, value in _state(pair, "student").items())
    first = next(m for m in made.networks["student"].modules() if isinstance(m, torch.nn.BatchNorm2d))
    convolution = next(m for m in made.networks["student"].modules() if isinstance(m, torch.nn.Conv2d))
    means = [convolution(b).mean((0, 2, 3)) for b in batches(pair, photos, pair.sizes["student"], 2, "augmented")]
    assert torch.allclose(first.running_mean, torch.stack(means).mean(0), atol=1e-5)


def test_photos_are_seen_at_the_new_size_and_only_by_what_was_trained(pair: Pair, photos: Photos) -> None:
    made = refit(pair, photos, photos, sizes={"student": 96}, count=0, norms="plain")
    assert (made.sizes["student"], made.sizes["teacher"]) == (96, pair.sizes["teacher"])
    assert made.networks["teacher"] is pair.networks["teacher"]
    found = made.info["refit"]
    assert found["norms"] == "kept" and found["photos"] == 0
    assert found["student"]["trained_at"] == pair.sizes["student"] and found["student"]["size"] == 96
    assert made.temperatures["student"] != pair.temperatures["student"]
    small = photos.read(torch.arange(3).numpy())
    seen = made.networks["student"](made.tensor("student", small)).logits
    larger = pair.preprocessing.tensor(small, 96)
    assert torch.allclose(seen, pair.networks["student"](larger).logits, atol=1e-4)


def test_each_network_has_a_size_of_its_own(pair: Pair, photos: Photos) -> None:
    pair.info["trained"] = ["teacher", "student"]
    made = refit(pair, photos, photos, sizes={"teacher": 80}, count=0, norms="plain")
    assert (made.sizes["teacher"], made.sizes["student"]) == (80, pair.sizes["student"])
    assert made.info["refit"]["teacher"]["size"] == 80 and pair.sizes["teacher"] != 80


def test_a_size_for_a_network_that_was_not_trained_is_refused(pair: Pair, photos: Photos) -> None:
    with pytest.raises(FoodkdError, match=r"did not train the teacher, only the student; give no size for it"):
        refit(pair, photos, photos, sizes={"teacher": 80}, count=0, norms="plain")


def test_plain_norms_come_from_whole_photos(pair: Pair, photos: Photos) -> None:
    whole = pair.preprocessing.tensor(photos.read(torch.arange(len(photos)).numpy()), 64).flatten(1)
    plain, augmented = (next(batches(pair, photos, 64, 1, norms)).flatten(1) for norms in ("plain", "augmented"))
    assert torch.cdist(plain, whole).min(1).values.max() < 1 < torch.cdist(augmented, whole).min(1).values.min()


def test_a_size_that_is_none_is_refused_with_what_is_allowed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "benchmarks.refit", tiny_checkpoint, "--data", tmp_path, "--out", tmp_path / "new"]
    ran = subprocess.run([*map(str, line), "--student-size", "9"], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 2 and "9 is no input side: give pixels from 32 to 1024." in ran.stderr
    assert not (tmp_path / "new").exists()
