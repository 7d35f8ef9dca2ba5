import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.data import DataWarning, Photos, open_photos
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
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    # About a fifth: each photo's own name decides. Written down once: a change would silently change published figures.
    assert counts == {"train": [7, 7], "validation": [2, 2], "test": [1, 1], "all": [10, 10]}
    parts = [set(splits[name].ids) for name in ("train", "validation", "test")]
    assert len(set.union(*parts)) == 20
    assert opened(own_root, "test").ids == splits["test"].ids


def test_with_train_and_test_these_are_the_splits(tmp_path: Path, write_photo: WritePhoto) -> None:
    parted(write_photo, tmp_path, {"a": 5, "b": 5}, {"b": 3})
    test, train = opened(tmp_path, "test"), opened(tmp_path, "train", holdout=0)
    assert test.classes == train.classes == ("a", "b")
    assert test.ids == ["test/b/0.jpg", "test/b/1.jpg", "test/b/2.jpg"] and test.labels.tolist() == [1, 1, 1]
    everything = opened(tmp_path, "all").ids
    assert len(train) == 10 and len(set(everything)) == len(everything) == 13
    assert all((tmp_path / name).is_file() for name in everything)


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
    (own_root / "soup/.ipynb_checkpoints").mkdir()  # a copy in there could fall on the other side of the split
    write_photo(own_root / "soup/.ipynb_checkpoints/0-checkpoint.png", 0)
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


def test_photos_added_later_leave_the_test_split_where_it_was(own_root: Path, write_photo: WritePhoto) -> None:
    before = {split: set(opened(own_root, split, holdout=0).ids) for split in ("train", "test")}
    for i in range(30):
        write_photo(own_root / f"soup/later{i}.png", i)
    after = {split: set(opened(own_root, split, holdout=0).ids) for split in ("train", "test")}
    assert before["train"] < after["train"] and not before["train"] & after["test"]
    assert len(after["test"]) > len(before["test"])


def test_names_in_another_encoding_are_read_and_written_as_escapes(own_root: Path) -> None:
    odd = os.fsencode(own_root / "soup") + b"/caf\xe9.png"
    os.rename(own_root / "soup/0.png", odd)
    os.rename(own_root / "stew", os.fsencode(own_root) + b"/rago\xfbt")
    photos = opened(own_root, "all")
    assert "soup/caf\\xe9.png" in photos.ids and photos.classes == ("rago\\xfbt", "soup")
    assert len(photos.read(range(20))) == 20 and "\n".join(photos.ids).encode("utf-8")


def test_an_accent_is_one_in_train_and_test_however_it_is_spelled(tmp_path: Path, write_photo: WritePhoto) -> None:
    composed, parted_ = (unicodedata.normalize(form, "crème brûlée") for form in ("NFC", "NFD"))
    parted(write_photo, tmp_path, {composed: 3, "soup": 3}, {parted_: 2})
    test = opened(tmp_path, "test")
    assert test.classes == (composed, "soup") and test.labels.tolist() == [0, 0]


def test_a_class_with_nothing_to_read_cannot_be_trained_and_a_split_with_nothing_cannot_be_opened(
    tmp_path: Path, write_photo: WritePhoto
) -> None:
    parted(write_photo, tmp_path, {"a": 3, "b": 3}, {"a": 2})
    for path in (*(tmp_path / "train/b").iterdir(), *(tmp_path / "test/a").iterdir()):
        path.write_bytes(b"no photo")
    with pytest.warns(DataWarning), pytest.raises(FoodkdError, match="no photo of the class 'b' that can be read"):
        opened(tmp_path, "train", holdout=0)
    with pytest.raises(FoodkdError, match="None of the 2 photos of folder-test can be read"):
        opened(tmp_path, "test")
