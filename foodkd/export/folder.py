"""An export folder: the student's files and a manifest that says how to use them and what was measured on them.

    python -m foodkd export checkpoints/food101-64 --out exported --int8 --calibration DATA

Example:
    session = onnxruntime.InferenceSession("exported/student.onnx")
    logits, maps = session.run(["logits", "maps"], {"photo": small[None]})   # small: uint8 (R, R, 3)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foodkd import __version__
from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError
from foodkd.export.graph import PHOTO, StudentGraph, write_onnx
from foodkd.export.quantise import quantise
from foodkd.files import sha256, whole_folder
from foodkd.nets import Pair

if TYPE_CHECKING:
    import onnx

FORMAT = 1
FLOAT, INT8 = "student.onnx", "student-int8.onnx"
CALIBRATED_ON = 256
"""Photos that the 8-bit scales are found on, at most."""
JUDGED_ON = 512
"""Photos that the exported files are compared with PyTorch on, at most."""
BATCH = 16
TOLERANCE = 1e-3
"""Largest difference of a float32 output from PyTorch's, as a share of the output's largest value (at least of 1)."""
LEAST_AGREEMENT = 0.5
"""An 8-bit student that answers otherwise on more than half of the photos is broken, not rounded."""

Outputs = dict[str, np.ndarray]


def export_pair(pair: Pair, out: Path, *, int8: bool = False, calibration: Photos | None = None) -> dict[str, Any]:
    """Write a pair's student as ONNX, compare it with the PyTorch student, and describe it in manifest.json.

    Args:
        pair: whose student; unchanged.
        out: the folder, made whole or not at all; must not hold anything yet.
        int8: also write an 8-bit student.
        calibration: photos for the 8-bit scales and for the comparison; without them the comparison runs on generated
            pictures.

    Returns:
        The manifest: "files", "classes", "preprocessing", "temperature", "input", "outputs", "map", "measured", ...

    Raises:
        FoodkdError: the folder is not empty, 8 bits without photos, a network that ONNX can't say, or an exported file
            that answers otherwise than PyTorch.
    """
    if int8 and calibration is None:
        raise FoodkdError("An 8-bit student finds its scales on photos: say where some are with --calibration ROOT.")
    if calibration is not None and len(calibration) == 0:
        raise FoodkdError("The calibration set holds no photo; give a folder with a few hundred of them.")
    photos = calibration if calibration is not None else _generated(pair)
    calibrating, judging = _parted(photos)
    graph = StudentGraph(pair)
    with whole_folder(Path(out)) as folder:
        model = write_onnx(graph, folder / FLOAT)
        measured: dict[str, Any] = {"photos": len(judging), "source": "given" if calibration else "generated"}
        answers = _measure(graph, folder / FLOAT, judging)
        measured[FLOAT] = _checked_float(answers)
        if int8:
            quantise(folder / FLOAT, folder / INT8, calibrating)
            measured[INT8] = _checked_int8(_measure(graph, folder / INT8, judging), len(calibrating))
        for path in folder.glob("*.onnx"):
            _label(path, pair, graph)
        manifest = _manifest(pair, graph, folder, model, measured)
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return manifest


def _generated(pair: Pair) -> Photos:
    return open_photos("generated", None, "all", resolution=pair.preprocessing.resolution, limit=8)


def _parted(photos: Photos) -> tuple[Photos, Photos]:
    """Photos to calibrate on and others to judge on; in a set too small to part, the same ones."""
    order = np.random.default_rng(0).permutation(len(photos))
    calibrating, judging = order[:CALIBRATED_ON], order[CALIBRATED_ON:][:JUDGED_ON]
    judging = judging if len(judging) >= 64 else calibrating
    return photos.subset(np.sort(calibrating)), photos.subset(np.sort(judging))


def _measure(graph: StudentGraph, path: Path, photos: Photos) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each output's values by PyTorch and by onnxruntime, (N, ...) each; of features and maps only the largest."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rows = []
    for start in range(0, len(photos), BATCH):
        small = photos.read(np.arange(start, min(start + BATCH, len(photos))))
        found = dict(zip(graph.outputs, session.run(list(graph.outputs), {PHOTO: small}), strict=True))
        rows.append((graph.run(small), found))
    return {name: _joined(rows, name) for name in graph.outputs}


def _joined(rows: Sequence[tuple[Outputs, Outputs]], name: str) -> tuple[np.ndarray, np.ndarray]:
    if name in ("logits", "probabilities"):
        return np.concatenate([row[0][name] for row in rows]), np.concatenate([row[1][name] for row in rows])
    # Features of hundreds of photos would fill the memory: a batch's largest value and difference are enough.
    largest = np.array([np.abs(row[0][name]).max() for row in rows])
    return largest, largest + np.array([np.abs(row[1][name] - row[0][name]).max() for row in rows])


def _checked_float(answers: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    for name, (expected, found) in answers.items():
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(found - expected).max())
        if not difference <= allowed:  # also when it is not a number
            raise FoodkdError(
                f"The exported student's {name} differ from PyTorch's by {difference:.2g}, more than {allowed:.2g}; "
                "nothing was written. Report it with the backbone's name and the versions of torch and onnxruntime."
            )
    return _agreement(answers)


def _checked_int8(answers: dict[str, tuple[np.ndarray, np.ndarray]], calibrated: int) -> dict[str, float]:
    measured = _agreement(answers)
    if not measured["top1_agreement"] >= LEAST_AGREEMENT:
        raise FoodkdError(
            f"The 8-bit student gives the float32 student's answer on only {100 * measured['top1_agreement']:.0f} % of "
            f"the photos; nothing was written. Calibrate on more photos of what it will see ({calibrated} were used), "
            "or leave out --int8."
        )
    return measured | {"calibrated_on": calibrated}


def _agreement(answers: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    expected, found = answers["logits"]
    return {
        "largest_logit_difference": float(np.abs(found - expected).max()),
        "largest_logit": float(np.abs(expected).max()),
        "top1_agreement": float((found.argmax(1) == expected.argmax(1)).mean()),
    }


def _label(path: Path, pair: Pair, graph: StudentGraph) -> None:
    """Write into the file itself what it can't be used without, for when it travels without its manifest."""
    import onnx

    known = {"classes": list(pair.classes), "temperature": graph.temperature}
    known |= {"preprocessing": _preprocessing(graph), "map": _map(graph)}
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()})
    onnx.save(model, path)


def _map(graph: StudentGraph) -> dict[str, Any]:
    """Where the cells lie: centre of cell i = start + step * i, in pixels of an input of side `size`."""
    return asdict(graph.student.geometry(graph.size)[-1]) | {"size": graph.size, "additive": graph.additive}


def _manifest(
    pair: Pair, graph: StudentGraph, folder: Path, model: onnx.ModelProto, measured: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": pair.name,
        "files": {path.name: _described(path) for path in sorted(folder.glob("*.onnx"))},
        "backbone": pair.settings["student"].backbone,
        "parameters": pair.costs("student")["parameters"],
        "weights_sha256": pair.info.get("networks", {}).get("student", {}).get("sha256"),
        "classes": list(pair.classes),
        "temperature": graph.temperature,
        "preprocessing": _preprocessing(graph),
        "input": {"name": PHOTO, "type": "uint8", "shape": ["batch", *[graph.preprocessing.resolution] * 2, 3]},
        "outputs": _outputs(model),
        "map": _map(graph),
        "head": _head(graph, model),
        "opset": next(entry.version for entry in model.opset_import if entry.domain == ""),
        "versions": _versions(),
        "measured": measured,
    }


def _described(path: Path) -> dict[str, Any]:
    precision = "int8" if path.name == INT8 else "float32"
    return {"precision": precision, "bytes": path.stat().st_size, "sha256": sha256(path)}


def _preprocessing(graph: StudentGraph) -> dict[str, Any]:
    side = graph.preprocessing.resolution
    return graph.preprocessing.model_dump(mode="json") | {
        "before_the_graph": f"the centre square as RGB, reduced to {side} x {side} (bicubic, antialiased), uint8",
        "in_the_graph": f"(x / 255 - mean) / std, then bilinear to {graph.size} x {graph.size} between pixel centres",
    }


_MEANINGS = {
    "logits": "before softmax, less their mean: a class's lead over the average class",
    "probabilities": "softmax(logits / temperature)",
    "features": "of the last stage, which the head averages",
    "maps": "instance activation maps of all classes: mean over the grid + bias = logit",
}


def _outputs(model: onnx.ModelProto) -> dict[str, dict[str, Any]]:
    shapes = {o.name: [d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    return {name: {"type": "float32", "shape": shape, "meaning": _MEANINGS[name]} for name, shape in shapes.items()}


def _head(graph: StudentGraph, model: onnx.ModelProto) -> dict[str, Any]:
    """The last linear layer, centred: which initializer of the float32 file is its weight (K, C), and its bias (K,)."""
    from onnx import numpy_helper

    # Found by value: the exporter may rename or merge initializers, and leaves out a bias of zeros.
    weight, bias = graph.student.head_weight.numpy(), graph.student.head_bias
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    name = next((name for name, array in arrays.items() if np.array_equal(array, weight)), None)
    return {"weight": name, "weight_shape": list(weight.shape), "bias": bias.tolist()}


def _versions() -> dict[str, str]:
    import onnx
    import onnxruntime
    import onnxscript  # torch's exporter runs on it without naming it as a dependency
    import torch

    modules = {"torch": torch, "onnx": onnx, "onnxscript": onnxscript, "onnxruntime": onnxruntime}
    return {"foodkd": __version__} | {name: str(module.__version__) for name, module in modules.items()}
