from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError

WritePhoto = Callable[..., Path]


def opened(root: Path, split: str, **options: object) -> Photos:
    return open_photos("folder", root, split, resolution=16, **options)  # type: ignore[arg-type]


def parted(write_photo: WritePhoto, root: Path, train: dict[str, int], test: dict[str, int]) -> Path:
    for part, dishes in (("train", train), ("test", test)):
        for dish, count in dishes.items():
            (root / part / dish).mkdir(parents=True)
            for i in range(count):
                write_photo(root / f"{part}/{dish}/{i}.jpg", i)
    return root


def test_without_train_and_test_a_fifth_of_each_class_is_the_test_split(own_root: Path) -> None:
    splits = {name: opened(own_root, name, holdout=0.25) for name in ("train", "validation", "test", "all")}
    assert splits["all"].classes == ("soup", "stew")
    assert {name: np.bincount(split.labels).tolist() for name, split in splits.items()} == {
        "train": [6, 6],
        "validation": [2, 2],
        "test": [2, 2],
        "all": [10, 10],
    }
    parts = [set(splits[name].ids) for name in ("train", "validation", "test")]
    assert len(set.union(*parts)) == 20
    assert opened(own_root, "test").ids == splits["test"].ids


def test_with_train_and_test_these_are_the_splits(tmp_path: Path, write_photo: WritePhoto) -> None:
    parted(write_photo, tmp_path, {"a": 5, "b": 5}, {"b": 3})
    test, train = opened(tmp_path, "test"), opened(tmp_path, "train", holdout=0)
    assert test.classes == train.classes == ("a", "b")
    assert test.ids == ["b/0.jpg", "b/1.jpg", "b/2.jpg"] and test.labels.tolist() == [1, 1, 1]
    assert len(train) == 10 and len(opened(tmp_path, "all")) == 13


def test_train_alone_can_be_trained_on_and_test_alone_judged(tmp_path: Path, write_photo: WritePhoto) -> None:
    parted(write_photo, tmp_path / "x", {"a": 4, "b": 4}, {})
    assert len(opened(tmp_path / "x", "train", holdout=0.25)) == 6
    with pytest.raises(FoodkdError, match="no folder 'test'"):
        opened(tmp_path / "x", "test")
    parted(write_photo, tmp_path / "y", {}, {"a": 4})
    assert len(opened(tmp_path / "y", "test")) == 4
    with pytest.raises(FoodkdError, match="no folder 'train'"):
        opened(tmp_path / "y", "train")


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path, write_photo: WritePhoto) -> None:
    parted(write_photo, tmp_path, {"a": 2, "b": 2}, {"b": 1, "c": 1})
    for split in ("train", "test", "all"):
        with pytest.raises(FoodkdError, match="the class 'c'"):
            opened(tmp_path, split)


def test_other_files_are_left_alone_and_any_case_counts(own_root: Path, write_photo: WritePhoto) -> None:
    write_photo(own_root / "soup/deep/er/x.png", 1).rename(own_root / "soup/deep/er/x.PNG")
    write_photo(own_root / "soup/PHOTO.jpg", 2).rename(own_root / "soup/PHOTO.JPEG")
    for name in ("soup/notes.txt", "soup/._0.png", "soup/.DS_Store", "readme.md"):
        (own_root / name).write_bytes(b"x")
    (own_root / ".git").mkdir()
    (own_root / "stew/folder.png").mkdir()
    photos = opened(own_root, "all")
    assert len(photos) == 22 and {"soup/deep/er/x.PNG", "soup/PHOTO.JPEG"} < set(photos.ids)


def test_an_empty_class_is_named(own_root: Path) -> None:
    (own_root / "tart").mkdir()
    (own_root / "tart/list.txt").write_text("nothing")
    with pytest.raises(FoodkdError, match=r"tart holds no photo"):
        opened(own_root, "all")


def test_one_class_cannot_be_trained_but_can_be_judged(tmp_path: Path, write_photo: WritePhoto) -> None:
    for i in range(5):
        write_photo(tmp_path / f"soup/{i}.png", i)
    with pytest.raises(FoodkdError, match=r"one class 'soup'; training needs two"):
        opened(tmp_path, "train")
    assert len(opened(tmp_path, "all")) == 5


def test_no_folder_no_class(tmp_path: Path) -> None:
    with pytest.raises(FoodkdError, match=r"There is no folder .* Expected: ROOT/CLASS/photo.jpg"):
        opened(tmp_path / "nowhere", "all")
    Image.new("RGB", (8, 8)).save(tmp_path / "lonely.jpg")
    with pytest.raises(FoodkdError, match="holds no class folder"):
        opened(tmp_path, "all")


def test_a_single_photo_of_a_class_is_trained_on(tmp_path: Path, write_photo: WritePhoto) -> None:
    for name in ("a/0.png", "b/0.png", "b/1.png"):
        write_photo(tmp_path / name, 0)
    assert "a/0.png" in opened(tmp_path, "train", holdout=0).ids
    with pytest.raises(FoodkdError, match="holds no photo"):
        opened(tmp_path, "validation", holdout=0)
