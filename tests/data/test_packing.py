import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.data import DataWarning, Photos, Preprocessing, open_photo, open_photos
from foodkd.data import packing as packing_module
from foodkd.errors import FoodkdError

WritePhoto = Callable[..., Path]


def packs(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if not path.name.startswith("."))


def opened(root: Path, **options: object) -> Photos:
    return open_photos("folder", root, "all", resolution=16, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("pack", [True, False, None])
def test_packed_and_unpacked_photos_are_the_photos_themselves(own_root: Path, pack: bool | None) -> None:
    photos = opened(own_root, pack=pack)
    small = Preprocessing(resolution=16).small
    expected = np.stack([small(open_photo(own_root / name)) for name in photos.ids])
    assert photos.read(range(20)).dtype == np.uint8
    assert np.array_equal(photos.read(range(20)), expected)
    assert np.array_equal(photos.read([7, 3, 7]), expected[[7, 3, 7]])
    assert photos.read([]).shape == (0, 16, 16, 3)


def test_a_pack_is_made_once_and_mapped(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(own_root).read(range(20))
    (pack,) = packs(own_root / ".foodkd")

    def forbidden(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(packing_module, "read_small", forbidden)
    again = opened(own_root)
    assert np.array_equal(first, again.read(range(20)))
    assert isinstance(again._store.array, np.memmap)  # type: ignore[attr-defined]
    assert packs(own_root / ".foodkd") == [pack]


def test_a_read_photo_is_a_copy(own_root: Path) -> None:
    photos = opened(own_root)
    photos.read([0])[:] = 0
    assert photos.read([0]).any()


def test_a_changed_added_or_removed_photo_makes_another_pack(own_root: Path, write_photo: WritePhoto) -> None:
    before = opened(own_root).read([0])
    write_photo(own_root / "soup/0.png", 999)
    changed = opened(own_root)
    assert not np.array_equal(before, changed.read([0]))
    write_photo(own_root / "soup/new.png", 1000)
    assert len(opened(own_root)) == 21
    (own_root / "soup/new.png").unlink()
    assert len(opened(own_root)) == 20
    assert len(packs(own_root / ".foodkd")) == 3


def test_resolutions_have_packs_of_their_own(own_root: Path) -> None:
    for side in (16, 24):
        assert open_photos("folder", own_root, "all", resolution=side).read([0]).shape == (1, side, side, 3)
    assert len(packs(own_root / ".foodkd")) == 2


def test_large_photos_are_not_packed_unless_asked(own_root: Path) -> None:
    photos = open_photos("folder", own_root, "all", resolution=100)
    assert photos.read([1]).shape == (1, 100, 100, 3)
    assert [path.name.split("-")[1] for path in packs(own_root / ".foodkd")] == ["checked"]


def test_the_cache_folder_can_be_chosen(own_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache") / "deep"
    opened(own_root, cache=cache)
    assert packs(cache) and not (own_root / ".foodkd").exists()


def test_a_read_only_root_is_packed_in_the_users_cache(
    own_root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(own_root)))
    opened(own_root)
    assert not (own_root / ".foodkd").exists() and list(home.glob("foodkd/*/folder-16-*/photos.npy"))


@pytest.mark.parametrize("pack", [True, False])
def test_a_broken_photo_is_left_out_with_one_warning(own_root: Path, pack: bool) -> None:
    (own_root / "soup/3.png").write_bytes((own_root / "soup/3.png").read_bytes()[:60])
    (own_root / "stew/5.png").write_bytes(b"")
    with pytest.warns(DataWarning) as caught:
        photos = opened(own_root, pack=pack)
    assert len(caught) == 1 and "2 of 20" in str(caught[0].message) and "soup/3.png" in str(caught[0].message)
    assert len(photos) == 18 and "soup/3.png" not in photos.ids and photos.read(range(18)).shape[0] == 18
    small = Preprocessing(resolution=16).small
    for place in (0, 3, 17):  # what follows a gap is still the right photo
        assert np.array_equal(photos.read([place])[0], small(Image.open(own_root / photos.ids[place])))
        assert photos.classes[photos.labels[place]] == photos.ids[place].split("/")[0]
    with pytest.warns(DataWarning, match="2 of 20"):  # said again when the pack is opened again
        opened(own_root, pack=pack)


def test_nothing_but_broken_photos_is_an_error(own_root: Path) -> None:
    for path in own_root.glob("*/*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(FoodkdError, match=r"None of the 20 photos.*can be read"):
        opened(own_root)
    assert not list((own_root / ".foodkd").iterdir())


def test_a_damaged_pack_is_named(own_root: Path) -> None:
    opened(own_root)
    (pack,) = packs(own_root / ".foodkd")
    content = (pack / "photos.npy").read_bytes()
    (pack / "photos.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(FoodkdError, match=r"pack .* is damaged .* delete that folder"):
        opened(own_root)
    shutil.rmtree(pack)
    assert len(opened(own_root)) == 20


def test_a_full_disk_is_told_before_the_work(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(FoodkdError, match="make room"):
        opened(own_root)


def test_another_process_that_was_faster_is_no_error(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = packing_module._write_photos

    def slow(path: Path, *arguments: object) -> dict[int, str]:
        monkeypatch.setattr(packing_module, "_write_photos", write)
        opened(own_root)  # the other process
        return write(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packing_module, "_write_photos", slow)
    assert opened(own_root).read(range(20)).any()
    assert [path.name for path in (own_root / ".foodkd").iterdir()] == [packs(own_root / ".foodkd")[0].name]


SLOW_PACKING = """
import sys, time
from pathlib import Path
from foodkd.data import open_photos, packing
read = packing.read_small
def slowly(*arguments):
    time.sleep(0.2)
    return read(*arguments)
packing.read_small = slowly
open_photos("folder", Path(sys.argv[1]), "all", resolution=16)
"""


def test_a_killed_packing_leaves_nothing_that_looks_whole(own_root: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_PACKING, str(own_root)])
    cache, deadline = own_root / ".foodkd", time.monotonic() + 180
    while not list(cache.glob(".making-*/photos.npy")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert packs(cache) == []
    (left,) = cache.glob(".making-*")
    for path in (left, *left.iterdir()):
        os.utime(path, (0, 0))  # silent for long: swept away by the next packing
    assert len(opened(own_root)) == 20 and not list(cache.glob(".making-*"))
