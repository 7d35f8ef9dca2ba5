"""One photo explained on disk: the pictures, the arrays, a manifest that says what each of them is, and a report.

What is written is a `Subject`: the command line makes one from a file, the app from what a visitor looks at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256 as digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from foodkd import __version__
from foodkd.errors import FoodkdError
from foodkd.explain import render
from foodkd.explain.compare import Agreement, MapComparison, compare
from foodkd.explain.faithfulness import KINDS, Covered, Faithfulness
from foodkd.explain.figures import answers_tile, curves_picture
from foodkd.explain.maps import METHOD_TITLES, ActivationMap, Explanation
from foodkd.explain.names import readable
from foodkd.explain.report import report_html
from foodkd.explain.subject import NETWORKS, Drawing, Subject, versions, weights_hashes
from foodkd.files import whole_folder

if TYPE_CHECKING:
    from foodkd.nets import Pair

FORMAT = 2
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
    """Explain a photo in both networks: PNGs, arrays (.npy), manifest.json and report.html, whole or not at all.

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
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FoodkdError(f"{out} exists and is not empty; name another folder, or remove it first.")
    subject = Subject.of(pair, Path(photo_path), class_name)
    with whole_folder(out) as folder:
        writer = Writer(folder, subject, Drawing(side=side))
        writer.iams()
        for method in methods:
            writer.layers(method)
        writer.manifest()
        (folder / "report.html").write_text(report_html(subject), "utf-8")
    return out


class Writer:
    """Writes one subject's maps, pictures and comparisons into a folder and keeps a row of each for the manifest.

    Args:
        folder: an existing one.
        subject: what is written about.
        drawing: how maps are drawn.
    """

    def __init__(self, folder: Path, subject: Subject, drawing: Drawing) -> None:
        """Write the photo, and what the networks see of it."""
        self.folder, self.subject, self.drawing = folder, subject, drawing
        self.photo = render.canvas(subject.square, drawing.side)
        self.rows: list[dict[str, Any]] = []
        self.comparisons: list[dict[str, Any]] = []
        self.more: dict[str, Any] = {}  # what only some folders hold
        self.picture("photo.png", self.photo)
        self.picture("seen.png", render.seen(subject.small, side=drawing.side))

    def picture(self, name: str, picture: np.ndarray) -> None:
        """Save one picture, uint8 (h, w, 3)."""
        Image.fromarray(picture).save(self.folder / name, compress_level=4)

    def answers(self) -> None:
        """The instance activation map of every network over its first answers."""
        tiles = []
        maps = self._maps("iam", self.subject.iams, "compare.png")
        for explanation, tile in zip(self.subject.explanations, maps, strict=True):
            top = [(readable(self.subject.pair.classes[index]), chance) for index, chance in explanation.top(5)]
            bars = answers_tile(top, explanation.name, width=tile.shape[1])
            tiles.append(np.concatenate([tile, bars]))
        plain = render.captioned(self.photo, "the photo", self.subject.name)
        self._sheet("compare.png", [plain, *tiles], f"Evidence for {self.subject.dish}", columns=len(tiles) + 1)

    def iams(self) -> None:
        """The instance activation maps of teacher and student, and their difference."""
        both = self.subject.iams[: len(NETWORKS)]
        tiles = self._maps("iam", both, "iam.png")
        tiles.append(self._comparison("iam", both, "cam", "iam.png"))
        self._sheet("iam.png", tiles, f"Instance activation maps: {self.subject.dish}")

    def layers(self, method: str) -> None:
        """One method's maps of every stage, early to late."""
        tiles = []
        for stage in range(self.subject.stages):
            stem, both = f"stage{stage + 1}_{method}", self.subject.layers(stage, method)
            tiles += self._maps(stem, both, f"{method}.png")
            tiles.append(self._comparison(stem, both, method, f"{method}.png"))
        self._sheet(f"{method}.png", tiles, f"{METHOD_TITLES[method]}, stage by stage: {self.subject.dish}")

    def faithfulness(self, results: Sequence[Faithfulness], unit: str = "probability") -> None:
        """Deletion and insertion curves as they were measured, and the order of the places."""
        title = f"Is the map telling the truth? {self.subject.dish} ({self.subject.name})"
        self.picture("curves.png", curves_picture(results, unit=unit, title=title))
        for result in results:
            numbers, name = result.to_json(), f"curves_{result.network}.npz"
            arrays: dict[str, Any] = {"order": result.order}
            for kind in KINDS:
                arrays |= {f"{kind}_{key}": values for key, values in _columns(result, kind).items()}
            np.savez_compressed(self.folder / name, **arrays)
            self.more.setdefault("curves", []).append({"file": name, "picture": "curves.png", **numbers})

    def covered(self, covered: Covered) -> None:
        """A photo with parts covered by hand, where, and what the networks say to it."""
        self.picture("covered.png", render.seen(covered.small, side=self.drawing.side))
        np.save(self.folder / "covered.npy", covered.mask)
        answers = {name: _answers(self.subject, one) for name, one in covered.answers.items()}
        about = {"file": "covered.npy", "picture": "covered.png", "baseline": covered.baseline, "share": covered.share}
        self.more["covered"] = {**about, "networks": answers}

    def manifest(self) -> None:
        """manifest.json: what was done with which weights, and what each file holds."""
        body = _head(self.subject) | self.more | {"comparisons": self.comparisons, "maps": self.rows}
        text = json.dumps(body, indent=1, ensure_ascii=False)
        (self.folder / "manifest.json").write_text(text + "\n", "utf-8")

    def _maps(self, stem: str, maps: Sequence[ActivationMap], sheet: str) -> list[np.ndarray]:
        """Array, picture and row of maps drawn side by side on a sheet; returns the captioned tiles."""
        tiles = []
        for one in maps:
            name, scale = f"{stem}_{one.network}", self.drawing.scale(one, maps)
            np.save(self.folder / f"{name}.npy", one.values)
            picture = render.overlay(self.photo, one, scale=scale, side=len(self.photo))
            tiles.append(render.captioned(picture, one.title, _note(one), scale=scale))
            self.rows.append(_row(f"{name}.npy", self._single(name, tiles[-1], sheet), one, scale))
        return tiles

    def _single(self, name: str, tile: np.ndarray, sheet: str) -> str:
        """Save a map's own picture if that is wanted; returns the file that shows it."""
        if self.drawing.singles:
            self.picture(f"{name}.png", tile)
        return f"{name}.png" if self.drawing.singles else sheet

    def _comparison(self, stem: str, maps: Sequence[ActivationMap], method: str, sheet: str) -> np.ndarray:
        """Array, picture and row of student minus teacher: each is strong in its own colour."""
        teacher, student = maps
        compared = compare(student, teacher)
        scale = render.difference_scale(compared)
        picture = render.difference(self.photo, compared, scale=scale, side=len(self.photo))
        note = f"cosine {compared.cosine:.2f}, centred {compared.cosine_centred:.2f}, overlap {compared.overlap:.2f}"
        tile = render.captioned(picture, "student minus teacher", note, scale=scale)
        name = f"{stem}_difference"
        np.save(self.folder / f"{name}.npy", compared.difference.astype(np.float32))
        files = {"file": f"{name}.npy", "picture": self._single(name, tile, sheet)}
        about = {**files, "kind": teacher.kind, "method": method}
        self.comparisons.append(about | _comparison_row(compared, self.subject.unrelated(teacher)))
        return tile

    def _sheet(self, name: str, tiles: Sequence[np.ndarray], title: str, *, columns: int = 3) -> None:
        told = f"{title} ({self.subject.name})"
        self.picture(name, render.sheet(tiles, columns=columns, title=told))


def _columns(result: Faithfulness, kind: str) -> dict[str, np.ndarray]:
    """One kind of curve as arrays (n,)."""
    own, chance = result.curve(kind), result.random_mean(kind)
    columns = {"fractions": own.fractions, "probabilities": own.probabilities, "logits": own.logits}
    return columns | {"random_probabilities": chance.probabilities, "random_logits": chance.logits}


def _note(one: ActivationMap) -> str:
    grid = f"{one.grid[0]} x {one.grid[1]} cells"
    return f"{grid}; mean + bias = logit {one.values.mean() + one.bias:.2f}" if one.additive else grid


def _row(file: str, picture: str, one: ActivationMap, scale: render.Scale) -> dict[str, Any]:
    rows, columns = one.positions
    return {
        "file": file,
        "picture": picture,
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


def _comparison_row(compared: MapComparison, unrelated: Agreement | None) -> dict[str, Any]:
    names = ("cosine", "cosine_centred", "overlap", "centre_distance")
    return {
        "networks": list(compared.names),
        "side": compared.side,
        **{name: getattr(compared, name) for name in names},
        "mismatched": asdict(unrelated.mismatched) if unrelated else None,
    }


def _head(subject: Subject) -> dict[str, Any]:
    pair, label = subject.pair, subject.class_index
    return {
        "format": FORMAT,
        "foodkd": __version__,
        "versions": versions(),
        "checkpoint": {"name": pair.name, "hashes": weights_hashes(pair)},
        "preprocessing": pair.preprocessing.model_dump(mode="json"),
        "photo": {"name": subject.name, "seen_sha256": digest(subject.small.tobytes()).hexdigest(), **subject.facts},
        "class": pair.classes[label],
        "class_index": label,
        "networks": {explanation.name: _answers(subject, explanation) for explanation in subject.explanations},
        "units": "Rows and columns are centres of cells as fractions of the photo's centre square, from top and left; "
        "the crop is left, upper, right and lower edge of that square as fractions of the photo.",
    }


def _answers(subject: Subject, explanation: Explanation) -> dict[str, Any]:
    top = [{"class": subject.pair.classes[index], "probability": chance} for index, chance in explanation.top(5)]
    logit = float(explanation.logits[subject.class_index])
    return {"size": explanation.size, "temperature": explanation.temperature, "top": top, "logit": logit}


__all__ = ["Writer", "write_explanation"]
