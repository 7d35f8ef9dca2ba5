"""The folder that `explain` writes: pictures, arrays and a manifest that agree."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foodkd.errors import FoodkdError
from foodkd.explain import Explanation, cover_up, export, faithfulness, find_class, write_explanation
from foodkd.nets import Pair


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "lunch.png"
    picture = np.random.default_rng(7).integers(0, 255, (70, 90, 3)).astype(np.uint8)
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture(scope="module")
def written(seeded_pair: Pair, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "out"
    found = write_explanation(seeded_pair, photo, "spring rolls", out, methods=("mean", "gradcam"), side=160)
    assert found == out
    return out


@pytest.fixture(scope="module")
def manifest(written: Path) -> dict[str, Any]:
    return dict(json.loads((written / "manifest.json").read_text("utf-8")))


def test_every_row_matches_its_array(written: Path, manifest: dict[str, Any]) -> None:
    rows = manifest["maps"]
    assert len(rows) == 2 + 2 * 4 * 2
    for row in rows:
        values = np.load(written / row["file"], allow_pickle=False)
        assert list(values.shape) == row["grid"] and values.dtype == np.float32
        assert row["range"] == pytest.approx([values.min(), values.max()])
        assert len(row["positions"]["rows"]) == values.shape[0] and len(row["positions"]["columns"]) == values.shape[1]
        first = (row["positions"]["start"] + 0.5) / row["positions"]["size"]
        assert row["positions"]["rows"][0] == pytest.approx(first, abs=1e-5)
        assert Image.open(written / row["picture"]).width == 160
        assert row["class"] == (None if row["method"] == "mean" else "spring_rolls")
    files = {row[key] for row in (*rows, *manifest["comparisons"]) for key in ("file", "picture")}
    sheets = {"iam.png", "mean.png", "gradcam.png", "photo.png", "seen.png", "manifest.json", "report.html"}
    assert {path.name for path in written.iterdir()} == files | sheets


def test_maps_are_those_of_the_explanation(seeded_pair: Pair, photo: Path, written: Path) -> None:
    small = seeded_pair.preprocessing.small(Image.open(photo))
    for name in ("teacher", "student"):
        explanation = Explanation.of(seeded_pair, name, small)
        assert np.allclose(np.load(written / f"iam_{name}.npy"), explanation.iam(3).values, atol=1e-5)
        expected = explanation.layer(1, "gradcam", 3).values
        assert np.allclose(np.load(written / f"stage2_gradcam_{name}.npy"), expected, atol=1e-5)


def test_iams_share_a_scale_and_layers_have_their_own(manifest: dict[str, Any]) -> None:
    iams = [row for row in manifest["maps"] if row["kind"] == "iam"]
    assert [row["network"] for row in iams] == ["teacher", "student"]
    assert iams[0]["scale"] == iams[1]["scale"] and iams[0]["scale"]["kind"] == "shared"
    layers = [row for row in manifest["maps"] if row["kind"] == "layer"]
    assert {row["scale"]["kind"] for row in layers} == {"own"}
    for row in iams:
        assert row["additive"] and row["method"] == "cam" and row["stage"] == 3


def test_the_manifest_says_what_was_done(manifest: dict[str, Any], photo: Path, written: Path) -> None:
    assert manifest["class"] == "spring_rolls" and manifest["photo"]["name"] == "lunch.png"
    assert manifest["photo"]["crop"] == pytest.approx([10 / 90, 0, 80 / 90, 1])
    assert manifest["photo"]["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert manifest["versions"]["numpy"] == np.__version__ and manifest["format"] == export.FORMAT
    assert manifest["preprocessing"]["resolution"] == 48
    for name in ("manifest.json", "report.html"):
        assert str(photo.parent) not in (written / name).read_text("utf-8")  # no path of this machine
    for name in ("teacher", "student"):
        answer = manifest["networks"][name]
        row = next(row for row in manifest["maps"] if row["kind"] == "iam" and row["network"] == name)
        assert np.load(written / row["file"]).mean() + row["bias"] == pytest.approx(answer["logit"], abs=1e-4)
        assert len(answer["top"]) == 5 and answer["top"][0]["probability"] >= answer["top"][1]["probability"]
    assert len(manifest["comparisons"]) == 1 + 4 * 2
    assert all(np.load(written / row["file"]).shape == (64, 64) for row in manifest["comparisons"])


def test_differences_are_of_the_maps_beside_them(written: Path, manifest: dict[str, Any]) -> None:
    """Student minus teacher: on the blue-to-orange scale each is then strong in its own colour."""
    for row in manifest["comparisons"]:
        assert row["networks"] == ["student", "teacher"]
        difference = np.load(written / row["file"])
        assert np.abs(difference).max() > 0 and row["kind"] in ("iam", "layer")


def test_the_manifest_names_the_weights_that_were_used(tiny_checkpoint: Path, tmp_path: Path, photo: Path) -> None:
    out = write_explanation(Pair.load(tiny_checkpoint), photo, None, tmp_path / "out", methods=(), side=96)
    hashes = json.loads((out / "manifest.json").read_text("utf-8"))["checkpoint"]["hashes"]
    for name in ("teacher", "student"):
        assert hashes[name] == hashlib.sha256((tiny_checkpoint / f"{name}.safetensors").read_bytes()).hexdigest()
        assert hashes[name] in (out / "report.html").read_text("utf-8")


def test_what_was_covered_and_measured_is_written_too(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    subject = export.Subject.of(seeded_pair, photo, "pizza")
    result = faithfulness(seeded_pair, subject.small, subject.iams[1], steps=4, orders=2)
    mask = np.zeros((48, 48), bool)
    mask[:12] = True
    writer = export.Writer(tmp_path, subject, export.Drawing(side=96, singles=False))
    writer.iams()
    writer.faithfulness([result], "logit")
    writer.covered(cover_up(seeded_pair, subject.small, mask))
    writer.manifest()
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    with np.load(tmp_path / manifest["curves"][0]["file"], allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["deletion_logits"], result.deletion.logits)
        np.testing.assert_array_equal(arrays["order"], result.order)
    assert manifest["curves"][0]["deletion"]["logit"]["area"] == pytest.approx(result.deletion.area("logit"))
    np.testing.assert_array_equal(np.load(tmp_path / manifest["covered"]["file"]), mask)
    assert manifest["covered"]["share"] == 0.25 and set(manifest["covered"]["networks"]) == {"teacher", "student"}
    for row in (*manifest["maps"], *manifest["comparisons"], *manifest["curves"], manifest["covered"]):
        assert (tmp_path / row["picture"]).is_file() and (tmp_path / row["file"]).is_file()


def test_the_third_network_is_drawn_on_the_same_scale(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    both = export.Subject.of(seeded_pair, photo, "pizza")
    third = copy.copy(both.explanations[1])
    third.name = "student-alone"
    three = replace(both, explanations=(*both.explanations, third))
    writer = export.Writer(tmp_path, three, export.Drawing(side=96))
    writer.answers()
    assert [row["network"] for row in writer.rows] == ["teacher", "student", "student-alone"]
    assert len({row["scale"]["high"] for row in writer.rows}) == 1
    assert Image.open(tmp_path / "compare.png").width > 4 * 96


def test_without_a_class_the_teachers_answer_is_explained(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    out = write_explanation(seeded_pair, photo, None, tmp_path / "new" / "out", methods=(), side=96)
    found = json.loads((out / "manifest.json").read_text("utf-8"))
    assert found["class"] == found["networks"]["teacher"]["top"][0]["class"]


def test_the_same_photo_gives_the_same_folder(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    folders = [write_explanation(seeded_pair, photo, "pizza", tmp_path / n, methods=("mean",), side=96) for n in "ab"]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_nothing_is_overwritten(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(FoodkdError, match="not empty"):
        write_explanation(seeded_pair, photo, "pizza", tmp_path)
    file = tmp_path / "kept.txt"
    with pytest.raises(FoodkdError, match="not empty"):
        write_explanation(seeded_pair, photo, "pizza", file)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"] and file.read_text() == "mine"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert (write_explanation(seeded_pair, photo, "pizza", empty, methods=(), side=96) / "manifest.json").is_file()


def test_a_failure_leaves_nothing(
    seeded_pair: Pair, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(export.Writer, "layers", fail)
    with pytest.raises(OSError, match="disk full"):
        write_explanation(seeded_pair, photo, "pizza", tmp_path / "out", side=96)
    assert list(tmp_path.iterdir()) == []


def test_bad_photos_and_classes_are_named(seeded_pair: Pair, photo: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo at all")
    with pytest.raises(FoodkdError, match="broken"):
        write_explanation(seeded_pair, broken, "pizza", tmp_path / "out")
    with pytest.raises(FoodkdError, match="missing"):
        write_explanation(seeded_pair, tmp_path / "missing.jpg", "pizza", tmp_path / "out")
    with pytest.raises(FoodkdError, match=r"no class 'piza'; the closest names are pizza"):
        write_explanation(seeded_pair, photo, "piza", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["spring_rolls", "Spring Rolls", "  SPRING  rolls ", "spring_ROLLS"])
def test_classes_are_found_however_they_are_typed(seeded_pair: Pair, name: str) -> None:
    assert find_class(seeded_pair.classes, name) == 3


def test_a_class_like_no_other_gets_some_names(seeded_pair: Pair) -> None:
    with pytest.raises(FoodkdError, match=r"'qwx'; its 5 classes begin with apple_pie, miso_soup, pizza"):
        find_class(seeded_pair.classes, "qwx")
    with pytest.raises(FoodkdError, match=r"no class ''"):
        find_class(seeded_pair.classes, "")
