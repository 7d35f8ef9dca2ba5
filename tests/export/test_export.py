"""What is exported answers as PyTorch does, whole or not at all, and says how to use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from foodkd.data import Photos, Preprocessing, open_photos
from foodkd.errors import FoodkdError
from foodkd.export import FLOAT, INT8, PHOTO, StudentGraph, export_pair, folder
from foodkd.files import sha256
from foodkd.nets import NetworkSettings, Pair

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos() -> Photos:
    return open_photos("generated", None, "train", resolution=64, limit=10)


@pytest.fixture(scope="module")
def exported(tiny_pair: Pair, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "student"
    returned = export_pair(tiny_pair, out, int8=True, calibration=photos)
    assert returned == json.loads((out / "manifest.json").read_text())
    return out


@pytest.fixture(scope="module")
def manifest(exported: Path) -> dict[str, Any]:
    return json.loads((exported / "manifest.json").read_text())


def run(path: Path, small: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {PHOTO: small}), strict=True))


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_photos_gets_the_students_own_answers(
    exported: Path, tiny_pair: Pair, photos: Photos, count: int
) -> None:
    small = photos.read(np.arange(count))
    found = run(exported / FLOAT, small)
    tapped = tiny_pair.networks["student"](tiny_pair.tensor("student", small))
    maps = tiny_pair.networks["student"].activation_maps(tapped.stages[-1], torch.arange(4).expand(count, 4))
    logits = tapped.logits.numpy()
    np.testing.assert_allclose(found["logits"], logits - logits.mean(1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(found["features"], tapped.stages[-1].numpy(), atol=1e-3)
    np.testing.assert_allclose(found["maps"], maps.numpy(), atol=1e-4)
    calibrated = (tapped.logits / tiny_pair.temperatures["student"]).softmax(1)
    np.testing.assert_allclose(found["probabilities"], calibrated.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", [FLOAT, INT8])
def test_maps_average_to_logits_in_both_precisions(exported: Path, tiny_pair: Pair, photos: Photos, name: str) -> None:
    found = run(exported / name, photos.read(np.arange(2)))
    bias = tiny_pair.networks["student"].centred_head[1].numpy()
    np.testing.assert_allclose(found["maps"].mean((2, 3)) + bias, found["logits"], atol=1e-4)


def test_the_int8_file_really_holds_integers_and_answers_alike(exported: Path, tiny_pair: Pair, photos: Photos) -> None:
    small = photos.read(np.arange(len(photos)))
    expected, found = StudentGraph(tiny_pair).run(small)["logits"], run(exported / INT8, small)["logits"]
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.8
    assert np.abs(expected - found).max() > 1e-6, "not quantised at all"
    assert (exported / INT8).stat().st_size < 0.45 * (exported / FLOAT).stat().st_size
    weights = [t for t in onnx.load(exported / INT8).graph.initializer if t.data_type == onnx.TensorProto.UINT8]
    assert sum(int(np.prod(t.dims)) for t in weights) > 2_000_000


def test_the_manifest_describes_the_files(exported: Path, manifest: dict[str, Any], tiny_pair: Pair) -> None:
    assert set(manifest["files"]) == {FLOAT, INT8}
    assert {path.name for path in exported.iterdir()} == {FLOAT, INT8, "manifest.json"}
    for name, described in manifest["files"].items():
        assert described["bytes"] == (exported / name).stat().st_size
        assert described["sha256"] == sha256(exported / name)
    assert manifest["classes"] == list(tiny_pair.classes) and manifest["temperature"] == 1.5
    read = {k: v for k, v in manifest["preprocessing"].items() if k in Preprocessing.model_fields}
    assert Preprocessing.model_validate(read) == tiny_pair.preprocessing
    stage = tiny_pair.networks["student"].geometry(64)[-1]
    assert (manifest["map"]["start"], manifest["map"]["step"], manifest["map"]["size"]) == (stage.start, stage.step, 64)
    assert manifest["outputs"]["maps"]["shape"] == ["batch", 4, stage.height, stage.width]
    assert manifest["input"]["shape"] == ["batch", 64, 64, 3]
    assert manifest["versions"]["onnx"] == onnx.__version__


def test_what_was_measured_can_be_measured_again(exported: Path, manifest: dict[str, Any], tiny_pair: Pair) -> None:
    small = open_photos("generated", None, "train", resolution=64, limit=10).read(np.arange(40))
    expected = StudentGraph(tiny_pair).run(small)["logits"]
    for name in (FLOAT, INT8):
        found, measured = run(exported / name, small)["logits"], manifest["measured"][name]
        assert measured["top1_agreement"] == pytest.approx((found.argmax(1) == expected.argmax(1)).mean())
        assert measured["largest_logit_difference"] == pytest.approx(np.abs(found - expected).max(), abs=1e-4)
    assert manifest["measured"]["photos"] == 40 and manifest["measured"]["source"] == "given"


def test_the_head_is_found_in_the_file(exported: Path, manifest: dict[str, Any], tiny_pair: Pair) -> None:
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(exported / FLOAT).graph.initializer}
    weight, bias = tiny_pair.networks["student"].centred_head
    np.testing.assert_array_equal(arrays[manifest["head"]["weight"]], weight.numpy())
    np.testing.assert_allclose(manifest["head"]["bias"], bias.numpy(), rtol=1e-6)
    assert not weight.equal(tiny_pair.networks["student"].head_weight)


@pytest.mark.parametrize("name", [FLOAT, INT8])
def test_a_file_alone_tells_how_to_use_it_and_nothing_of_where_it_was_made(
    exported: Path, manifest: dict[str, Any], name: str
) -> None:
    model = onnx.load(exported / name)
    known = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert all(known[part] == manifest[part] for part in ("classes", "temperature", "preprocessing", "map"))
    content = (exported / name).read_bytes()
    assert b"stack_trace" not in content and b"site-packages" not in content and str(Path.cwd()).encode() not in content


def test_auxiliary_classifiers_stay_behind(exported: Path, tiny_pair: Pair) -> None:
    held = sum(int(np.prod(t.dims)) for t in onnx.load(exported / FLOAT).graph.initializer)
    assert held < 1.01 * tiny_pair.costs("student")["parameters"]


def test_exporting_changes_nothing_in_the_pair(tiny_pair: Pair, exported: Path) -> None:
    student = tiny_pair.networks["student"]
    assert not student.training and not any(p.requires_grad for p in student.parameters())
    hooks = [m for m in student.modules() if m._forward_hooks or m._forward_pre_hooks or m._backward_hooks]
    assert not hooks and exported.is_dir()


def test_eight_bits_without_photos_is_one_sentence(tiny_pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(FoodkdError, match="--calibration ROOT"):
        export_pair(tiny_pair, tmp_path / "out", int8=True)
    assert not list(tmp_path.iterdir())


def test_an_empty_calibration_set_is_one_sentence(tiny_pair: Pair, photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(FoodkdError, match="holds no photo"):
        export_pair(tiny_pair, tmp_path / "out", calibration=photos.subset(np.arange(0)))


def test_nothing_is_overwritten(tiny_pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(FoodkdError, match="not empty"):
        export_pair(tiny_pair, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_file_that_answers_otherwise_is_refused_and_nothing_stays(
    tiny_pair: Pair, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(_graph: StudentGraph, path: Path) -> onnx.ModelProto:
        model = onnx.load(exported / FLOAT)
        weight = next(t for t in model.graph.initializer if t.name.endswith("classifier.1.weight"))
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
        onnx.save(model, path)
        return model

    monkeypatch.setattr(folder, "write_onnx", spoilt)
    with pytest.raises(FoodkdError, match=r"logits differ from PyTorch's by 0\.0\d+, more than 0\.001"):
        export_pair(tiny_pair, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_useless_int8_student_is_refused(
    tiny_pair: Pair, photos: Photos, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(_graph: StudentGraph, path: Path) -> onnx.ModelProto:
        path.write_bytes((exported / FLOAT).read_bytes())
        return onnx.load(path)

    def turned(source: Path, target: Path, _photos: Photos) -> None:
        model = onnx.load(source)
        weight = next(t for t in model.graph.initializer if t.name.endswith("classifier.1.weight"))
        weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
        onnx.save(model, target)

    monkeypatch.setattr(folder, "write_onnx", copied)
    monkeypatch.setattr(folder, "quantise", turned)
    with pytest.raises(FoodkdError, match="on only"):
        export_pair(tiny_pair, tmp_path / "out", int8=True, calibration=photos)
    assert not list(tmp_path.iterdir())


def test_a_head_with_a_hidden_layer_goes_without_maps_and_shrinking_is_antialiased(tmp_path: Path) -> None:
    """MobileNetV3's maps don't add up to logits; a photo larger than the network's input is reduced in the graph."""
    small = NetworkSettings(backbone="mobilenet_v3_small", size=32)
    pair = Pair.build(small, small, ("a", "b"), Preprocessing(resolution=48))
    manifest = export_pair(pair, tmp_path / "out")
    assert "maps" not in manifest["outputs"] and manifest["map"]["additive"] is False
    assert set(manifest["files"]) == {FLOAT} and manifest["measured"]["source"] == "generated"
    noise = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    found = run(tmp_path / "out" / FLOAT, noise)["logits"]
    np.testing.assert_allclose(found, StudentGraph(pair).run(noise)["logits"], atol=1e-4)


def test_dilated_convolutions_stay_one_node_each(tmp_path: Path) -> None:
    """Where nothing learns, no detour for a faster backward pass may get into the file."""
    fine = NetworkSettings(backbone="mobilenet_v2", size=64, output_stride=16)
    small = Preprocessing(resolution=32)
    pair = Pair.build(NetworkSettings(backbone="resnet18", size=64), fine, ("a", "b"), small)
    export_pair(pair, tmp_path / "out")
    nodes = onnx.load(tmp_path / "out" / FLOAT).graph.node
    attributes = [{a.name: list(a.ints) for a in node.attribute} for node in nodes if node.op_type == "Conv"]
    spread = [one for one in attributes if one.get("dilations") == [2, 2]]
    convolutions = [m for m in pair.networks["student"].modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(spread) == sum(m.dilation == (2, 2) for m in convolutions) > 0
    assert sum(n.op_type == "Transpose" for n in nodes) == 1  # the photo's own
