import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from foodkd.data import DataWarning, Preprocessing, open_photo, open_photos
from foodkd.errors import FoodkdError


def test_the_official_split_and_the_labels(food101_root: Path) -> None:
    test = open_photos("food101", food101_root, "test", resolution=16)
    meta = json.loads((food101_root / "food-101/meta/test.json").read_text())
    assert test.classes == ("apple_pie", "ramen", "waffles")
    assert test.ids == [name for names in meta.values() for name in names]
    assert [test.classes[label] for label in test.labels] == [name.split("/")[0] for name in test.ids]
    assert test.labels.dtype == np.int64
    photo = open_photo(food101_root / f"food-101/images/{test.ids[5]}.jpg")
    assert np.array_equal(test.read([5])[0], Preprocessing(resolution=16).small(photo))


def test_training_photos_are_parted_once_and_for_all(food101_root: Path) -> None:
    splits = {
        s: open_photos("food101", food101_root, s, resolution=16, holdout=0.3)
        for s in ("train", "validation", "test", "all")
    }
    ids = {name: set(split.ids) for name, split in splits.items()}
    assert [len(ids[name]) for name in ("train", "validation", "test", "all")] == [21, 9, 12, 42]
    assert not ids["train"] & ids["validation"] and not (ids["train"] | ids["validation"]) & ids["test"]
    assert ids["train"] | ids["validation"] | ids["test"] == ids["all"]
    assert np.bincount(splits["validation"].labels).tolist() == [3, 3, 3]
    again = open_photos("food101", food101_root, "validation", resolution=16, holdout=0.3)
    assert again.ids == splits["validation"].ids
    other = open_photos("food101", food101_root, "validation", resolution=16, holdout=0.3, seed=1)
    assert other.ids != splits["validation"].ids


def test_all_joins_both_packs(food101_root: Path) -> None:
    everything = open_photos("food101", food101_root, "all", resolution=16)
    test = open_photos("food101", food101_root, "test", resolution=16)
    places = [everything.ids.index(name) for name in test.ids]
    assert np.array_equal(everything.read([*places, 0])[:-1], test.read(range(12)))
    assert np.array_equal(everything.labels[places], test.labels)


def test_the_folder_itself_is_accepted_as_root(food101_root: Path) -> None:
    assert len(open_photos("food101", food101_root / "food-101", "test", resolution=16)) == 12


def test_absent_photos_are_left_out_with_one_warning(food101_root: Path) -> None:
    for name in ("ramen/1000", "ramen/1001"):
        (food101_root / f"food-101/images/{name}.jpg").unlink()
    with pytest.warns(DataWarning) as caught:
        train = open_photos("food101", food101_root, "train", resolution=16, holdout=0)
    assert len(caught) == 1
    assert "2 of 30" in str(caught[0].message) and "ramen/1000" in str(caught[0].message)
    assert len(train) == 28 and train.classes == ("apple_pie", "ramen", "waffles")


def test_a_split_without_a_single_photo_is_an_error(food101_root: Path) -> None:
    for name in [
        n for names in json.loads((food101_root / "food-101/meta/test.json").read_text()).values() for n in names
    ]:
        (food101_root / f"food-101/images/{name}.jpg").unlink()
    with pytest.raises(FoodkdError, match=r"None of the 12 photos that meta/test.json names"):
        open_photos("food101", food101_root, "test")


def test_missing_and_broken_data_get_one_sentence(food101_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(FoodkdError, match=r"Expected: food-101/images/CLASS/ID.jpg.*--download"):
        open_photos("food101", tmp_path_factory.mktemp("empty"), "train")
    (food101_root / "food-101/meta/train.json").write_text("{")
    with pytest.raises(FoodkdError, match=r"food-101/meta/train.json") as error:
        open_photos("food101", food101_root, "train")
    assert "\n" not in str(error.value)


@pytest.fixture
def server(food101_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a local server that holds the little dataset as food-101.tar.gz."""
    folder = tmp_path_factory.mktemp("server")
    with tarfile.open(folder / "food-101.tar.gz", "w:gz") as file:
        file.add(food101_root / "food-101", "food-101")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_download_goes_through_torchvision(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import Food101

    monkeypatch.setattr(Food101, "_URL", f"{server}/food-101.tar.gz")
    monkeypatch.setattr(Food101, "_MD5", None)
    target = tmp_path / "fresh"
    target.mkdir()
    assert len(open_photos("food101", target, "test", resolution=16, download=True)) == 12
    monkeypatch.setattr(Food101, "_URL", f"{server}/nowhere.tar.gz")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FoodkdError, match=r"could not be downloaded .* check the network"):
        open_photos("food101", empty, "test", download=True)
