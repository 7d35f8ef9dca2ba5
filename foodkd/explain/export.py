"""One photo explained on disk: the pictures, the arrays and a manifest that says what each of them is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from foodkd import __version__
from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain import render
from foodkd.explain.compare import MapComparison, Measures, compare, shipped_agreement
from foodkd.explain.maps import METHOD_TITLES, ActivationMap, Explanation
from foodkd.explain.names import find_class, readable
from foodkd.files import sha256, whole_folder

if TYPE_CHECKING:
    from foodkd.nets import Pair

FORMAT = 1
NETWORKS = ("teacher", "student")
LAYER_METHODS = ("mean", "gradcam", "layercam", "eigencam")


def write_explanation(
    pair: Pair,
    photo_path: Path | str,
    class_name: str | None,
    out: Path | str,
    *,
    methods: tuple[str, ...] = LAYER_METHODS,
    side: int = render.PICTURE_SIDE,
) -> Path:
    """Explain a photo in both networks: PNGs, arrays (.npy) and manifest.json, whole or not at all.

    Instance activation maps are drawn on one shared scale (both are in logits), layer maps each on its own (two
    networks' activations have no common unit); picture and manifest say which.

    Args:
        pair: the networks.
        photo_path: any photo.
        class_name: the class explained, spaces or underscores, any case; None takes the teacher's answer.
        out: the folder; must not hold anything yet.
        methods: of the layer maps.
        side: of the pictures, pixels.

    Returns:
        The folder.

    Raises:
        FoodkdError: no readable photo, no such class, or the folder is not empty.
    """
    photo_path, out = Path(photo_path), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FoodkdError(f"{out} exists and is not empty; name another folder, or remove it first.")
    wanted = find_class(pair.classes, class_name) if class_name is not None else None
    photo = open_photo(photo_path)
    small = pair.preprocessing.small(photo)
    both = [Explanation.of(pair, name, small) for name in NETWORKS]
    label = wanted if wanted is not None else both[0].top(1)[0][0]
    with whole_folder(out) as folder:
        square = render.canvas(np.asarray(pair.preprocessing.square(photo)), side)
        writer = _Writer(folder, square)
        writer.picture("photo.png", square)
        writer.picture("seen.png", render.seen(small, side=side))
        _write_iams(writer, pair, both, label)
        _write_layers(writer, pair, both, label, methods)
        manifest = _head(pair, photo_path, photo.size, both, label) | {
            "comparisons": writer.comparisons,
            "maps": writer.rows,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return out


class _Writer:
    """Writes maps, pictures and comparisons into one folder and keeps a row of each for the manifest."""

    def __init__(self, folder: Path, photo: np.ndarray) -> None:
        self.folder = folder
        self.photo = photo
        self.rows: list[dict[str, Any]] = []
        self.comparisons: list[dict[str, Any]] = []

    def picture(self, name: str, picture: np.ndarray) -> None:
        Image.fromarray(picture).save(self.folder / name, compress_level=4)

    def map(self, stem: str, one: ActivationMap, scale: render.Scale) -> np.ndarray:
        """Array, picture and row of one map; returns the captioned tile."""
        np.save(self.folder / f"{stem}.npy", one.values)
        picture = render.overlay(self.photo, one, scale=scale, side=len(self.photo))
        tile = render.captioned(picture, one.title, _note(one), scale=scale)
        self.picture(f"{stem}.png", tile)
        self.rows.append(_row(stem, one, scale))
        return tile

    def comparison(self, stem: str, compared: MapComparison, method: str, baseline: Measures | None) -> np.ndarray:
        """Picture and row of one comparison; returns the captioned tile."""
        scale = render.difference_scale(compared)
        picture = render.difference(self.photo, compared, scale=scale, side=len(self.photo))
        note = f"cosine {compared.cosine:.2f}, centred {compared.cosine_centred:.2f}, overlap {compared.overlap:.2f}"
        tile = render.captioned(picture, "teacher minus student", note, scale=scale)
        self.picture(f"{stem}_difference.png", tile)
        np.save(self.folder / f"{stem}_difference.npy", compared.difference.astype(np.float32))
        self.comparisons.append(_comparison_row(stem, compared, method, baseline))
        return tile


def _write_iams(writer: _Writer, pair: Pair, both: list[Explanation], label: int) -> None:
    maps = [explanation.iam(label) for explanation in both]
    scale = render.shared_scale(maps)
    tiles = [writer.map(f"iam_{one.network}", one, scale) for one in maps]
    tiles.append(writer.comparison("iam", compare(*maps), "cam", _baseline(pair, maps[0])))
    title = f"Instance activation maps: {readable(pair.classes[label])}"
    writer.picture("iam.png", render.sheet(tiles, columns=3, title=title))


def _write_layers(writer: _Writer, pair: Pair, both: list[Explanation], label: int, methods: tuple[str, ...]) -> None:
    stages = range(min(len(explanation.stages) for explanation in both))
    for method in methods:
        tiles = []
        for stage in stages:
            stem = f"stage{stage + 1}_{method}"
            maps = [explanation.layer(stage, method, label) for explanation in both]
            tiles += [writer.map(f"{stem}_{one.network}", one, render.own_scale(one)) for one in maps]
            tiles.append(writer.comparison(stem, compare(*maps), method, _baseline(pair, maps[0])))
        title = f"{METHOD_TITLES[method]}, stage by stage: {readable(pair.classes[label])}"
        writer.picture(f"{method}.png", render.sheet(tiles, columns=3, title=title))


def _baseline(pair: Pair, one: ActivationMap) -> Measures | None:
    shipped = shipped_agreement(pair, one)
    return shipped.mismatched if shipped else None


def _note(one: ActivationMap) -> str:
    grid = f"{one.grid[0]} x {one.grid[1]} cells"
    return f"{grid}; mean + bias = logit {one.values.mean() + one.bias:.2f}" if one.additive else grid


def _row(stem: str, one: ActivationMap, scale: render.Scale) -> dict[str, Any]:
    rows, columns = one.positions
    return {
        "file": f"{stem}.npy",
        "picture": f"{stem}.png",
        "network": one.network,
        "kind": one.kind,
        "stage": one.stage,
        "stage_name": one.stage_name,
        "method": one.method,
        "class": one.class_name,
        "class_index": one.class_index,
        "grid": list(one.grid),
        "positions": {
            "start": one.start,
            "step": one.step,
            "size": one.size,
            "rows": rows.round(6).tolist(),
            "columns": columns.round(6).tolist(),
        },
        "range": list(one.value_range),
        "scale": {"low": scale.low, "high": scale.high, "kind": "shared" if scale.shared else "own"},
        "additive": one.additive,
        "bias": one.bias,
    }


def _comparison_row(stem: str, compared: MapComparison, method: str, baseline: Measures | None) -> dict[str, Any]:
    measures = {name: getattr(compared, name) for name in Measures.__dataclass_fields__}
    return {
        "file": f"{stem}_difference.npy",
        "picture": f"{stem}_difference.png",
        "kind": "iam" if stem == "iam" else "layer",
        "method": method,
        "networks": list(compared.names),
        "side": compared.side,
        **measures,
        "mismatched": asdict(baseline) if baseline else None,
    }


def _head(pair: Pair, path: Path, size: tuple[int, int], both: list[Explanation], label: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "foodkd": __version__,
        "checkpoint": {"name": pair.name, "hashes": _hashes(pair)},
        "preprocessing": pair.preprocessing.model_dump(mode="json"),
        "photo": {
            "name": path.name,
            "sha256": sha256(path),
            "width": size[0],
            "height": size[1],
            "crop": list(pair.preprocessing.crop_box(*size)),
        },
        "class": pair.classes[label],
        "class_index": label,
        "networks": {explanation.name: _answers(pair, explanation, label) for explanation in both},
        "units": "Rows and columns are centres of cells as fractions of the photo's centre square, from top and left.",
    }


def _answers(pair: Pair, explanation: Explanation, label: int) -> dict[str, Any]:
    top = [{"class": pair.classes[index], "probability": chance} for index, chance in explanation.top(5)]
    logit = float(explanation.logits[label])
    return {"size": explanation.size, "temperature": explanation.temperature, "top": top, "logit": logit}


def _hashes(pair: Pair) -> dict[str, str]:
    described = pair.info.get("networks", {})
    return {name: row["sha256"] for name, row in described.items() if "sha256" in row}


__all__ = ["write_explanation"]
