"""A file or folder appears whole under its name, or not at all."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from foodkd.errors import FoodkdError
from foodkd.files import sha256, whole_file, whole_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), whole_file(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_two_threads_write_one_file_each_whole(tmp_path: Path) -> None:
    path, both = tmp_path / "a", threading.Barrier(2)

    def write(letter: str) -> None:
        with whole_file(path) as temporary:
            both.wait()
            temporary.write_text(letter * 1000)
            both.wait()

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "xy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("x" * 1000, "y" * 1000)
    assert names(tmp_path) == ["a"]


def test_a_folder_takes_its_name_only_when_whole(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "out"
    with whole_folder(out) as temporary:
        (temporary / "a").write_text("1")
        assert not out.exists()
    assert names(out) == ["a"]
    assert names(out.parent) == ["out"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as temporary:
        (temporary / "a").touch()
    assert names(tmp_path / "out") == ["a"]


@pytest.mark.parametrize("make", [lambda p: (p.mkdir(), (p / "mine").touch()), lambda p: p.write_text("mine")])
def test_what_is_there_is_refused(tmp_path: Path, make: object) -> None:
    out = tmp_path / "out"
    make(out)  # type: ignore[operator]
    with pytest.raises(FoodkdError, match="out exists and is not empty"), whole_folder(out):
        pytest.fail("the body must not run")
    assert names(tmp_path) == ["out"]


def test_replacing_swaps_the_whole_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with whole_folder(out, replace=True) as temporary:
        (temporary / "new").touch()
        assert names(out) == ["old"]
    assert names(out) == ["new"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("moment", ["filling", "renaming"])
def test_a_failed_replacement_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError("no space left")
        return rename(self, target)

    if moment == "renaming":
        monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no space"), whole_folder(out, replace=True) as temporary:
        (temporary / "new").touch()
        if moment == "filling":
            raise OSError("no space left")
    assert names(out) == ["old"]
    assert names(tmp_path) == ["out"]


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"photo")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"photo").hexdigest()
