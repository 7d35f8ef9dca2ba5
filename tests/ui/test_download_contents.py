"""Downloads: what is in them is what the tabs show, and their names give nothing away."""

import io
import json
import zipfile
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foodkd.errors import FoodkdError
from foodkd.explain import cover_up
from foodkd.ui import downloads
from foodkd.ui import faithfulness as tab4
from foodkd.ui.session import BOTH, TABS, Desk, View, plain_name


@pytest.fixture
def bench(desk: Desk) -> tab4.Bench:
    return tab4.Bench(desk)


def unzipped(made: downloads.Made) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def array(files: dict[str, bytes], name: str) -> np.ndarray:
    return np.load(io.BytesIO(files[name]), allow_pickle=False)


@pytest.mark.parametrize("tab", downloads.MAPPED)
def test_a_zips_arrays_are_the_maps_shown(bench: tab4.Bench, desk: Desk, tab: str) -> None:
    view = desk.opening().change(tab=tab, scale="own", method="layercam", choice=desk.pair.classes[2])
    files = unzipped(downloads.make(bench, view, "files"))
    manifest = json.loads(files["manifest.json"])
    assert manifest["class"] == desk.pair.classes[2] and set(manifest["networks"]) == set(BOTH)
    assert len(manifest["maps"]) == (2 * desk.stages if tab == "layers" else 2)
    for row in manifest["maps"]:
        shown = desk.layer(view, row["network"], row["stage"]) if tab == "layers" else desk.iam(view, row["network"])
        np.testing.assert_array_equal(array(files, row["file"]), shown.values)
        assert row["scale"]["kind"] == "own" and row["scale"]["low"] == 0 and row["picture"] in files
    assert manifest["photo"]["sha256"] == desk.opening().photo.sha256 != ""


def test_what_was_covered_by_hand_comes_along(bench: tab4.Bench, desk: Desk) -> None:
    view = desk.opening().change(tab="faithfulness", baseline="grey")
    mask = np.zeros((64, 64), bool)
    mask[:, :16] = True
    files = unzipped(downloads.make(bench, replace(view, covered=(view.photo.key, tab4.packed(mask))), "files"))
    np.testing.assert_array_equal(array(files, "covered.npy"), mask)
    told = json.loads(files["manifest.json"])["covered"]
    expected = cover_up(desk.pair, view.photo.small, mask, baseline="grey").answers["student"]
    assert told["networks"]["student"]["logit"] == pytest.approx(
        float(expected.logits[desk.class_index(view)]), abs=1e-4
    )
    assert "covered.npy" not in unzipped(downloads.make(bench, view, "files"))


def test_curves_come_along_only_where_they_were_measured(
    bench: tab4.Bench, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foodkd.explain import faithfulness

    view = desk.opening().change(tab="faithfulness")
    assert "telling the truth" not in downloads.make(bench, view, "report").content.decode()
    monkeypatch.setattr(tab4, "measured", lambda *a, **o: faithfulness(*a, **(o | {"steps": 4, "orders": 2})))
    result = bench.curves(view, "teacher")
    assert result is not None
    files = unzipped(downloads.make(bench, view, "files"))
    with np.load(io.BytesIO(files["curves_teacher.npz"])) as arrays:
        np.testing.assert_array_equal(arrays["insertion_probabilities"], result.insertion.probabilities)
    assert "curves_student.npz" not in files and "curves.png" in files
    assert "telling the truth" in downloads.make(bench, view, "report").content.decode()


@pytest.mark.parametrize("tab", downloads.MAPPED)
def test_a_picture_is_one_png(bench: tab4.Bench, desk: Desk, tab: str) -> None:
    made = downloads.make(bench, desk.opening().change(tab=tab), "picture")
    assert made.name.endswith(f"-{tab}.png")
    picture = Image.open(io.BytesIO(made.content))
    assert picture.format == "PNG" and picture.width > 2 * downloads.SIDE


def test_names_say_photo_and_class_and_hold_no_path(bench: tab4.Bench, desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "Mamas Käse <Spätzle> ..%2f.png"
    Image.new("RGB", (80, 60), (200, 120, 40)).save(path)
    view = View(desk.photo(path)).change(choice=desk.pair.classes[1])
    for kind in downloads.OFFERS:
        made = downloads.make(bench, view, kind)
        assert made.name.startswith(f"foodkd-Mamas-Kase-Spatzle-2f-{desk.pair.classes[1]}-")
        assert str(tmp_path) not in made.name and str(tmp_path).encode() not in made.content


@given(st.text(max_size=200))
def test_any_name_becomes_a_safe_one(name: str) -> None:
    plain = plain_name(name)
    assert 1 <= len(plain) <= 40 and plain.isascii() and all(letter.isalnum() or letter in "-_" for letter in plain)
    assert plain_name(plain) == plain


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab not in downloads.MAPPED])
def test_tabs_without_maps_offer_the_report_only(bench: tab4.Bench, desk: Desk, tab: str) -> None:
    view = desk.opening().change(tab=tab)
    assert downloads.menu(view).count("data-download") == 1
    assert downloads.make(bench, view, "report").content.startswith(b"<!DOCTYPE html>")
    with pytest.raises(FoodkdError, match="report"):
        downloads.make(bench, view, "files")


def test_what_is_not_on_offer_is_refused_in_one_sentence(bench: tab4.Bench, desk: Desk) -> None:
    with pytest.raises(FoodkdError, match="'pickle' is no download"):
        downloads.make(bench, desk.opening(), "pickle")


def test_the_menu_hands_over_exactly_what_was_made(desk: Desk) -> None:
    made = downloads.Made("foodkd-pie-report.html", b"<p>\xc3\xa4</p>")
    html = downloads.menu(desk.opening(), made)
    url = html.split('href="')[1].split('"')[0]
    assert b64decode(url.partition(",")[2]) == made.content and 'download="foodkd-pie-report.html"' in html
    assert " open>" in html and " open>" not in downloads.menu(desk.opening())


def test_no_file_stays_on_the_server(
    bench: tab4.Bench, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    downloads.make(bench, desk.opening(), "files")
    assert list(tmp_path.iterdir()) == []
