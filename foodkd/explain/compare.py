"""Do two networks look at the same place? Two maps on one grid in image coordinates, and how alike they are.

Two maps of *unrelated* photos are alike already (food lies in the middle): read every figure beside the one of
mismatched photos, from `agreement` or the pair's own `shipped_agreement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from foodkd.errors import FoodkdError
from foodkd.explain.maps import ActivationMap, Explanation

if TYPE_CHECKING:
    from foodkd.nets.pair import Pair

SIDE = 64  # of the common grid; finer than any stage that is usually tapped
TOP_SHARE = 0.2  # of the area, for the overlap
_FLAT = 1e-6  # of the largest value: a map that varies less shows nothing but rounding


@dataclass(frozen=True)
class Measures:
    """How alike two maps are.

    Attributes:
        cosine: of the values, -1..1; 0 where a map is all zero.
        cosine_centred: after subtracting each map's mean, -1..1; 0 where a map is flat.
        overlap: intersection over union of the top fifth of the area of each, 0..1; 0 where a map is flat.
        centre_distance: between the centres of mass, as a fraction of the photo's side, 0..1.4. The mass of a place is
            what it has above the map's mean; a flat map's centre is the middle.
    """

    cosine: float
    cosine_centred: float
    overlap: float
    centre_distance: float


@dataclass(frozen=True, eq=False)
class MapComparison(Measures):
    """Two maps compared.

    Attributes:
        difference: (side, side) signed, first minus second, each divided by its own largest magnitude (two networks'
            units differ): -2..2, and -1..1 for maps without negative values.
        side: of the common grid.
        centres: ((x, y), (x, y)) centres of mass, fractions of the photo's side from left and top.
        names: the two networks.
    """

    difference: np.ndarray
    side: int
    centres: tuple[tuple[float, float], tuple[float, float]]
    names: tuple[str, str]


@dataclass(frozen=True)
class Agreement:
    """Agreement over many photos, and what unrelated photos reach for nothing.

    Attributes:
        matched: means over photos, both maps from the same photo.
        mismatched: means over pairs of different photos.
        photos: how many.
    """

    matched: Measures
    mismatched: Measures
    photos: int

    @property
    def above(self) -> Measures:
        """Matched minus mismatched: the part of the agreement that the photo explains."""
        ours, theirs = asdict(self.matched), asdict(self.mismatched)
        return Measures(**{name: ours[name] - theirs[name] for name in ours})

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for pair.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Agreement:
        """From what `to_json` wrote."""
        return cls(Measures(**row["matched"]), Measures(**row["mismatched"]), int(row["photos"]))


def axis_weights(count: int, start: float, step: float, size: int, side: int, *, form: str = "linear") -> np.ndarray:
    """Weights that bring `count` cells onto `side` evenly spaced places along one axis of the photo.

    Place j lies at the fraction (j + 0.5) / side of the photo; beyond the outermost cells the nearest one holds.

    Args:
        count: number of cells.
        start: position of the first cell's centre in input pixels (0 = centre of the first pixel).
        step: distance of cells in input pixels.
        size: side of the network's input.
        side: number of places.
        form: "linear", "cubic" (Keys, IEEE TASSP 1981, a = -0.5; smooth, for pictures) or "nearest" (shows the cells).

    Returns:
        (side, count) float64, rows adding up to 1.
    """
    pixels = (np.arange(side) + 0.5) / side * size - 0.5
    index = np.clip((pixels - start) / step, 0, count - 1)
    if form == "nearest":
        return np.eye(count)[np.floor(index + 0.5).astype(int).clip(0, count - 1)]
    left = np.floor(index).astype(int)
    part = index - left
    parts = _cubic(part) if form == "cubic" else {0: 1 - part, 1: part}
    weights = np.zeros((side, count))
    for offset, weight in parts.items():
        np.add.at(weights, (np.arange(side), np.clip(left + offset, 0, count - 1)), weight)
    return weights


def _cubic(part: np.ndarray) -> dict[int, np.ndarray]:
    square, cube = part**2, part**3
    return {
        -1: -0.5 * part + square - 0.5 * cube,
        0: 1 - 2.5 * square + 1.5 * cube,
        1: 0.5 * part + 2 * square - 1.5 * cube,
        2: -0.5 * square + 0.5 * cube,
    }


def on_photo(activation_map: ActivationMap, side: int = SIDE, *, form: str = "linear") -> np.ndarray:
    """A map on a grid of side x side places spread evenly over the photo, (side, side) float64."""
    where = activation_map.start, activation_map.step, activation_map.size, side
    down, across = (axis_weights(count, *where, form=form) for count in activation_map.grid)
    values: np.ndarray = down @ activation_map.values.astype(np.float64) @ across.T
    return values


def compare(first: ActivationMap, second: ActivationMap, *, side: int | None = None) -> MapComparison:
    """Compare two networks' maps in image coordinates.

    Args:
        first: for example the teacher's.
        second: for example the student's.
        side: of the common grid; by default `SIDE`, or the finer map's own grid where that is larger.
    """
    side = side or max(SIDE, *first.grid, *second.grid)
    a, b = on_photo(first, side), on_photo(second, side)
    centres = _centre(a), _centre(b)
    difference = _scaled(a) - _scaled(b)
    return MapComparison(**asdict(_measures(a, b)), difference=difference, side=side, centres=centres,
                         names=(first.network, second.network))  # fmt: skip


def agreement(first: Sequence[ActivationMap], second: Sequence[ActivationMap], *, shifts: int = 8) -> Agreement:
    """Mean agreement of two networks over photos, beside that of mismatched photos.

    Args:
        first: one network's maps, one per photo.
        second: the other's, in the same order.
        shifts: every map is also compared with those of up to this many other photos, spread over the whole row.

    Raises:
        FoodkdError: fewer than two photos, or rows of different lengths.
    """
    count = len(first)
    if count != len(second) or count < 2:
        found = f"{count} and {len(second)}"
        raise FoodkdError(f"Agreement needs two or more photos with a map of each network, not {found}.")
    side = max(SIDE, *(max(one.grid) for one in (*first, *second)))
    ours, theirs = [on_photo(one, side) for one in first], [on_photo(one, side) for one in second]
    steps = sorted({max(1, round(count * (k + 1) / (shifts + 1))) for k in range(shifts)} - {count})
    matched = [_measures(a, b) for a, b in zip(ours, theirs, strict=True)]
    mismatched = [_measures(ours[i], theirs[(i + step) % count]) for step in steps for i in range(count)]
    return Agreement(_mean(matched), _mean(mismatched), count)


def agreement_key(kind: str, stage: int, method: str) -> str:
    """The key of one sort of map in pair.json's "agreement": "iam", or for example "1:gradcam" for the second stage."""
    return "iam" if kind == "iam" else f"{stage}:{method}"


def shipped_agreement(pair: Pair, activation_map: ActivationMap) -> Agreement | None:
    """What the pair's own file says of maps like this one, or None where it says nothing."""
    key = agreement_key(activation_map.kind, activation_map.stage, activation_map.method)
    row = (pair.info.get("agreement") or {}).get(key)
    return Agreement.from_json(row) if row else None


def measure_agreement(
    pair: Pair,
    smalls: Sequence[np.ndarray],
    labels: Sequence[int],
    *,
    methods: Sequence[str] = ("mean", "gradcam", "layercam", "eigencam"),
    networks: tuple[str, str] = ("teacher", "student"),
) -> dict[str, Agreement]:
    """Agreement of a pair over photos, for the IAM and for every stage and method: what pair.json's "agreement" holds.

    Args:
        pair: in eval.
        smalls: photos, uint8 (R, R, 3) each.
        labels: the class that each photo's maps explain.
        methods: layer methods, for the stages that both networks have.
        networks: the two compared.

    Returns:
        Agreements by `agreement_key`; store `{key: value.to_json()}`.
    """
    rows: dict[str, tuple[list[ActivationMap], list[ActivationMap]]] = {}
    for small, label in zip(smalls, labels, strict=True):
        for index, name in enumerate(networks):
            for key, one in _maps_of(Explanation.of(pair, name, small), int(label), methods).items():
                rows.setdefault(key, ([], []))[index].append(one)
    return {key: agreement(*both) for key, both in rows.items() if len(both[0]) == len(both[1])}


def _maps_of(explanation: Explanation, label: int, methods: Sequence[str]) -> dict[str, ActivationMap]:
    stages = range(len(explanation.stages))
    layers = [explanation.layer(stage, method, label) for stage in stages for method in methods]
    return {agreement_key(one.kind, one.stage, one.method): one for one in [explanation.iam(label), *layers]}


def _measures(a: np.ndarray, b: np.ndarray) -> Measures:
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    return Measures(
        cosine=_cosine(a, b),
        cosine_centred=_cosine(_centred(a), _centred(b)),
        overlap=_overlap(a, b),
        centre_distance=float(np.hypot(ax - bx, ay - by)),
    )


def _mean(rows: Sequence[Measures]) -> Measures:
    table = [asdict(row) for row in rows]
    return Measures(**{name: float(np.mean([row[name] for row in table])) for name in table[0]})


def _scaled(values: np.ndarray) -> np.ndarray:
    """Divided by the largest magnitude; zero stays zero."""
    largest = np.abs(values).max()
    return values / largest if largest > 0 else np.zeros_like(values)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = _scaled(a), _scaled(b)  # the squares of tiny or huge values would leave the range of numbers
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip((a * b).sum() / norms, -1.0, 1.0)) if norms > 0 else 0.0


def _centred(values: np.ndarray) -> np.ndarray:
    """Without its mean; exactly zero where nothing but rounding would be left."""
    centred = _scaled(values) - _scaled(values).mean()
    return centred if np.ptp(centred) > _FLAT else np.zeros_like(centred)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    tops = _top(a), _top(b)
    union = int((tops[0] | tops[1]).sum())
    return float((tops[0] & tops[1]).sum() / union) if union else 0.0


def _top(values: np.ndarray) -> np.ndarray:
    """The top fifth of the area; never the bottom level (a map that is zero in most places shows only the rest)."""
    centred = _centred(values)
    return (centred >= np.quantile(centred, 1 - TOP_SHARE)) & (centred > centred.min() + _FLAT)


def _centre(values: np.ndarray) -> tuple[float, float]:
    mass = _centred(values).clip(min=0)
    total = mass.sum()
    if total <= 0:
        return 0.5, 0.5
    place = (np.arange(len(values)) + 0.5) / len(values)
    return float((mass.sum(0) * place).sum() / total), float((mass.sum(1) * place).sum() / total)


__all__ = [
    "SIDE",
    "Agreement",
    "MapComparison",
    "Measures",
    "agreement",
    "agreement_key",
    "axis_weights",
    "compare",
    "measure_agreement",
    "on_photo",
    "shipped_agreement",
]
