from pathlib import Path

import numpy as np
import pytest

from foodkd.data import DATASETS, channel_statistics, open_photos
from foodkd.errors import FoodkdError


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(FoodkdError) as error:
        open_photos("imagenet", Path("."), "train")
    assert all(name in str(error.value) for name in DATASETS)
    with pytest.raises(FoodkdError, match="train, validation, test, all"):
        open_photos("generated", None, "training")
    with pytest.raises(FoodkdError, match="resolution"):
        open_photos("generated", None, "train", resolution=0)
    with pytest.raises(FoodkdError, match="crops"):
        open_photos("generated", None, "train", crops="boxes")


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "generated"])
def test_a_dataset_on_disk_needs_a_root(name: str) -> None:
    with pytest.raises(FoodkdError, match="--data ROOT"):
        open_photos(name, None, "train")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_takes_the_command_lines_download(name: str, tmp_path: Path) -> None:
    """The command line passes `download` whatever the dataset; asked for nothing, none goes to the network."""
    if name == "generated":
        assert len(open_photos(name, None, "train", download=True)) == 96
    else:
        with pytest.raises(FoodkdError, match="Expected"):
            open_photos(name, tmp_path, "train", download=False)


def test_a_subset_keeps_its_photos_and_the_class_list(own_root: Path) -> None:
    photos = open_photos("folder", own_root, "all", resolution=16)
    some = photos.subset([15, 2, 7]).subset([2, 0])
    assert some.ids == [photos.ids[7], photos.ids[15]] and some.classes == photos.classes
    assert np.array_equal(some.read([0, 1]), photos.read([7, 15]))
    assert np.array_equal(some.labels, photos.labels[[7, 15]]) and len(some) == 2


@pytest.mark.parametrize("packed_before", [True, False])
def test_a_limit_takes_the_same_photos_whether_all_are_packed_or_not(food101_root: Path, packed_before: bool) -> None:
    everything = open_photos("food101", food101_root, "all", resolution=16, cache=food101_root / "reference")
    if packed_before:
        open_photos("food101", food101_root, "all", resolution=16)
    some = open_photos("food101", food101_root, "all", resolution=16, limit=5)
    assert np.bincount(some.labels).tolist() == [5, 5, 5]
    places = [everything.ids.index(name) for name in some.ids]
    assert np.array_equal(some.read(range(15)), everything.read(places))
    assert np.array_equal(some.labels, everything.labels[places])
    packs = {path.name.rsplit("-", 1)[0] for path in (food101_root / ".foodkd").iterdir()}
    assert any("limited" in name for name in packs) != packed_before


def test_limits_of_generated_pictures() -> None:
    some = open_photos("generated", None, "train", resolution=16, limit=3)
    assert np.bincount(some.labels).tolist() == [3, 3, 3, 3]


def test_channel_statistics_are_those_of_the_pixels(own_root: Path) -> None:
    photos = open_photos("folder", own_root, "all", resolution=16)
    mean, std = channel_statistics(photos)
    pixels = photos.read(range(20)).reshape(-1, 3) / 255
    assert np.allclose(mean, pixels.mean(0)) and np.allclose(std, pixels.std(0))
    assert channel_statistics(photos, 5) == channel_statistics(photos, 5) != channel_statistics(photos, 5, seed=1)
