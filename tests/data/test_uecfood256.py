import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.data import DataWarning, Photos, Preprocessing, open_photos
from foodkd.data.uecfood256 import category_names
from foodkd.errors import FoodkdError


def opened(root: Path, split: str, **options: object) -> Photos:
    return open_photos("uecfood256", root, split, resolution=16, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("crops", ["boxes", "whole"])
def test_items_are_what_the_archive_says(uec_root: Path, crops: str) -> None:
    photos = opened(uec_root, "all", crops=crops)
    assert photos.classes == ("rice", "eels on rice", "pilaf")
    assert np.bincount(photos.labels).tolist() == [20, 20, 10]
    place = photos.ids.index("2/23")
    photo = Image.open(uec_root / "UECFOOD256/2/23.jpg").convert("RGB")
    photo = photo.crop((10, 0, 40, 40)) if crops == "boxes" else photo
    assert np.array_equal(photos.read([place])[0], Preprocessing(resolution=16).small(photo))
    assert photos.labels[place] == 1


@pytest.mark.parametrize("crops", ["boxes", "whole"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_photo_straddles_the_splits(uec_root: Path, crops: str, seed: int) -> None:
    splits = [opened(uec_root, s, crops=crops, seed=seed, holdout=0.2) for s in ("train", "validation", "test")]
    numbers = [{name.split("/")[1] for name in split.ids} for split in splits]
    assert not numbers[0] & numbers[1] and not numbers[0] & numbers[2] and not numbers[1] & numbers[2]
    assert sum(map(len, splits)) == 50
    for share in np.bincount(splits[2].labels) / (20, 20, 10):
        assert 0.1 <= share <= 0.3


def test_the_split_is_fixed_by_its_seed(uec_root: Path) -> None:
    assert opened(uec_root, "test").ids == opened(uec_root, "test").ids
    assert opened(uec_root, "test").ids != opened(uec_root, "test", seed=5).ids
    whole = {name for name in opened(uec_root, "test", crops="whole").ids}
    assert whole == {name for name in opened(uec_root, "test", crops="boxes").ids}


def test_two_boxes_of_one_photo_are_two_items(uec_root: Path) -> None:
    with (uec_root / "UECFOOD256/3/bb_info.txt").open("a") as file:
        file.write("36 0 0 10 10\n")
    photos = opened(uec_root, "all")
    first, second = (photos.read([photos.ids.index(name)]) for name in ("3/36", "3/36#2"))
    assert not np.array_equal(first, second)
    assert len(opened(uec_root, "all", crops="whole")) == 50


def test_boxes_are_cut_to_the_photo_and_impossible_ones_left_out(uec_root: Path) -> None:
    with (uec_root / "UECFOOD256/3/bb_info.txt").open("a") as file:
        file.write("36 -5 -5 500 500\n37 30 30 30 35\n38 900 900 950 950\n")
    with pytest.warns(DataWarning, match=r"2 of 53 .* 3/37#2"):
        photos = opened(uec_root, "all")
    whole = Image.open(uec_root / "UECFOOD256/3/36.jpg").convert("RGB")
    assert np.array_equal(photos.read([photos.ids.index("3/36#2")])[0], Preprocessing(resolution=16).small(whole))


def test_a_corrected_box_is_packed_anew(uec_root: Path) -> None:
    photos = opened(uec_root, "all")
    before = photos.read([photos.ids.index("3/36")])
    path = uec_root / "UECFOOD256/3/bb_info.txt"
    path.write_text(path.read_text().replace("36 15 0 45 40", "36 0 0 20 20"))
    assert not np.array_equal(before, opened(uec_root, "all").read([photos.ids.index("3/36")]))


def test_the_folder_itself_is_accepted_as_root(uec_root: Path) -> None:
    assert len(opened(uec_root / "UECFOOD256", "all")) == 50


@pytest.mark.parametrize("name", ["UECFOOD256.zip", "dataset256.zip"])
def test_the_archive_is_unzipped_on_request_only(uec_root: Path, name: str) -> None:
    ids = opened(uec_root, "all").ids
    shutil.rmtree(uec_root / ".foodkd")
    with zipfile.ZipFile(uec_root / name, "w") as file:
        for path in sorted(uec_root.glob("UECFOOD256/**/*")):
            file.write(path, path.relative_to(uec_root))
    shutil.rmtree(uec_root / "UECFOOD256")
    with pytest.raises(FoodkdError, match=f"unzip {name} there, or have `train` do it with --download"):
        opened(uec_root, "all")
    assert opened(uec_root, "all", download=True).ids == ids
    assert sorted(path.name for path in uec_root.iterdir()) == sorted([".foodkd", "UECFOOD256", name])


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_a_broken_archive_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "UECFOOD256.zip").write_bytes(content)
    with pytest.raises(FoodkdError, match="cannot be unzipped"):
        opened(tmp_path, "all", download=True)
    assert [path.name for path in tmp_path.iterdir()] == ["UECFOOD256.zip"]


def test_a_foreign_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "UECFOOD256.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(FoodkdError, match="not the UECFood-256 archive"):
        opened(tmp_path, "all", download=True)


def test_missing_pieces_are_named(uec_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(FoodkdError, match=r"Expected: UECFOOD256/category.txt"):
        opened(tmp_path_factory.mktemp("empty"), "all")
    with pytest.raises(FoodkdError, match="crops must be one of boxes, whole"):
        opened(uec_root, "all", crops="half")
    (uec_root / "UECFOOD256/2/21.jpg").unlink()
    with pytest.warns(DataWarning, match="2/21"):
        assert len(opened(uec_root, "all")) == 49
    (uec_root / "UECFOOD256/1/bb_info.txt").write_text("img x1 y1 x2 y2\n1 2 three 4 5\n")
    with pytest.raises(FoodkdError, match=r"bb_info.txt, line 2"):
        opened(uec_root, "all")
    (uec_root / "UECFOOD256/1/bb_info.txt").unlink()
    with pytest.raises(FoodkdError, match=r"bb_info.txt is not there"):
        opened(uec_root, "all")
    shutil.rmtree(uec_root / "UECFOOD256/3")
    with pytest.raises(FoodkdError, match="names the class 3"):
        opened(uec_root, "all", crops="whole")


def test_names_that_occur_twice_get_their_number(tmp_path: Path) -> None:
    path = tmp_path / "category.txt"
    path.write_text("id\tname\n1\trice\n40\tomelet\n67\tomelet\n256\thot & sour soup\n")
    assert category_names(path) == {1: "rice", 40: "omelet (40)", 67: "omelet (67)", 256: "hot & sour soup"}


@pytest.mark.parametrize("content", ["", "id\tname\n", "id\tname\n1 rice\n", "1\trice\n1\tpilaf\n", "1\t\n2\tpilaf\n"])
def test_foreign_category_lists_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "category.txt"
    path.write_text(content)
    with pytest.raises(FoodkdError, match=r"category.txt"):
        category_names(path)
