"""A training played back: what both networks said of a few pictures, and where they looked, evaluation by evaluation.

Made from a run folder's kept weights and history (`benchmarks/playback.py`), kept beside the pair as `playback.npz`:
plain arrays, no pickle, a few hundred kilobytes at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain.compare import compare
from foodkd.explain.kept import Kept, insist
from foodkd.explain.maps import ActivationMap, Explanation
from foodkd.nets import Pair

FORMAT = 1
FILE = "playback.npz"
NETWORKS = ("teacher", "student")
_REMEDY = "make it anew with `python -m benchmarks.playback RUN --examples assets/examples --out FILE`."
_KEPT = Kept("playback", largest=4_000_000, unpacked=64_000_000, remedy=_REMEDY)  # a usual file is a tenth of it
_PER_NETWORK = {"maps": 4, "answers": 2, "sure": 2, "dish": 2, "place": 1}  # arrays and their dimensions


@dataclass(frozen=True)
class Picture:
    """One picture to follow through the training: its name, its dish as a class name, and its file."""

    name: str
    dish: str
    path: Path


@dataclass(frozen=True, eq=False)
class Playback:
    """P points of a training, E pictures.

    Attributes:
        classes: the pair's classes.
        examples: names of the pictures, E.
        dishes: class index of each picture, (E,).
        epochs: where the points lie, (P,), rising.
        maps: of each network, the instance activation maps of the picture's own dish, (P, E, H, W).
        answers: class index of each network's first answer, (P, E).
        sure: calibrated probability of that answer, (P, E).
        dish: calibrated probability of the picture's dish, (P, E).
        place: of each network, (start, step, size) of the maps' cells, as in `ActivationMap`.
        cosine: of the two maps, each less its own mean, -1..1, (P, E).
        history: what the run noted by name ("kd", "gradient/student", "teacher/top1"), each (P,), nan where unknown;
            "apart" is 1 where each network still learned alone (`benchmarks/side_by_side.py`).
        other: what training this is, where it is not the one of the pair beside which it is kept; else empty.
    """

    classes: tuple[str, ...]
    examples: tuple[str, ...]
    dishes: np.ndarray
    epochs: np.ndarray
    maps: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    sure: dict[str, np.ndarray]
    dish: dict[str, np.ndarray]
    place: dict[str, np.ndarray]
    cosine: np.ndarray
    history: dict[str, np.ndarray]
    other: str = ""

    @property
    def apart(self) -> np.ndarray:
        """Where each network still learned alone, (P,) bool."""
        return self.history.get("apart", np.zeros(len(self.epochs))) == 1

    def iam(self, network: str, point: int, example: int) -> ActivationMap:
        """One map, as it can be drawn and compared."""
        start, step, size = (float(value) for value in self.place[network])
        dish = int(self.dishes[example])
        values = self.maps[network][point, example].astype(np.float32)
        where = (dish, start, step, int(size), self.classes[dish])
        return ActivationMap(values, network, "iam", -1, "last", "cam", *where)

    def after(self, earlier: Playback) -> Playback:
        """This playback with the points of an earlier leg of the same training before its own.

        Points of the earlier leg that do not lie before this one's first are left out: where a leg's playback begins
        with what the earlier leg ended with, that point stands once.

        Raises:
            FoodkdError: of other classes, pictures or maps, so that one can't follow the other.
        """
        same = (self.classes, self.examples) == (earlier.classes, earlier.examples)
        if not same or any(self.maps[name].shape[1:] != earlier.maps[name].shape[1:] for name in NETWORKS):
            raise FoodkdError(
                "The earlier playback has other classes, pictures or sizes of maps; give one of the same pair."
            )
        kept = int(np.sum(earlier.epochs < self.epochs[0] - 1e-4))  # epochs are kept as float32
        names = sorted({*self.history, *earlier.history})
        unknown = np.full(max(len(self.epochs), len(earlier.epochs)), np.nan, np.float32)
        legs = ((earlier, kept), (self, len(self.epochs)))
        per: dict[str, Any] = {
            part: {name: np.concatenate([getattr(leg, part)[name][:count] for leg, count in legs]) for name in NETWORKS}
            for part in _PER_NETWORK
            if part != "place"
        }
        history = {
            name: np.concatenate([leg.history.get(name, unknown)[:count] for leg, count in legs]) for name in names
        }
        cosine, epochs = (
            np.concatenate([getattr(leg, part)[:count] for leg, count in legs]) for part in ("cosine", "epochs")
        )
        return replace(self, epochs=epochs, cosine=cosine, history=history, **per)

    def save(self, path: Path) -> Path:
        """Write the file, whole or not at all."""
        arrays: dict[str, np.ndarray] = {"format": np.array(FORMAT), "dishes": self.dishes.astype(np.int16)}
        arrays |= {"classes": np.array(self.classes), "examples": np.array(self.examples)}
        arrays |= {"epochs": self.epochs.astype(np.float32), "cosine": self.cosine.astype(np.float16)}
        for name in NETWORKS:
            arrays |= {f"{name}.maps": self.maps[name].astype(np.float16), f"{name}.place": self.place[name]}
            arrays |= {f"{name}.answers": self.answers[name].astype(np.int16)}
            arrays |= {f"{name}.sure": self.sure[name].astype(np.float16)}
            arrays |= {f"{name}.dish": self.dish[name].astype(np.float16)}
        arrays["history.names"] = np.array(list(self.history), dtype=np.str_)
        arrays["other"] = np.array(self.other, dtype=np.str_)
        rows = [self.history[name] for name in self.history]
        arrays["history"] = np.array(rows, np.float32).reshape(len(rows), len(self.epochs))
        return _KEPT.write(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Playback:
        """Read what `save` wrote.

        Raises:
            FoodkdError: missing, foreign, damaged, or of another format; the sentence says how to make it anew.
        """
        arrays = _KEPT.read(path)
        with _KEPT.parts(path):
            playback = cls._from(arrays)
            playback._check()
        return playback

    @classmethod
    def _from(cls, arrays: Mapping[str, np.ndarray]) -> Playback:
        insist(int(arrays["format"]) == FORMAT, f"format {arrays['format']}, not {FORMAT}")
        per: dict[str, dict[str, np.ndarray]] = {
            part: {name: arrays[f"{name}.{part}"] for name in NETWORKS} for part in _PER_NETWORK
        }
        names, rows = arrays["history.names"], arrays["history"]
        return cls(
            classes=tuple(str(name) for name in arrays["classes"]),
            examples=tuple(str(name) for name in arrays["examples"]),
            dishes=arrays["dishes"],
            epochs=arrays["epochs"],
            cosine=arrays["cosine"],
            history={str(name): row for name, row in zip(names, rows, strict=True)},
            other=str(arrays["other"]) if "other" in arrays else "",
            **per,
        )

    def _check(self) -> None:
        points, pictures = len(self.epochs), len(self.examples)
        insist(points > 0 and pictures > 0, "no point or no picture")
        insist(bool(np.all(np.diff(self.epochs) > 0)), "epochs that do not rise")
        insist(self.cosine.shape == (points, pictures), "cosine of another shape")
        insist(self.dishes.shape == (pictures,), "dishes of another shape")
        insist(all(row.shape == (points,) for row in self.history.values()), "history of another length")
        for part, dimensions in _PER_NETWORK.items():
            for array in getattr(self, part).values():
                insist(array.ndim == dimensions, f"{part} of {array.ndim} dimensions")
                insist(part == "place" or array.shape[:2] == (points, pictures), f"{part} of another shape")
                insist(part != "place" or (array.shape == (3,) and (array[1:] > 0).all()), "a place that is none")
        indices = np.concatenate([self.dishes, *(answers.ravel() for answers in self.answers.values())])
        insist(bool(((indices >= 0) & (indices < len(self.classes))).all()), "a class that is none")


# --- making it


def make_playback(
    run: Path,
    pictures: Sequence[Picture],
    *,
    start: Path | None = None,
    offset: float = 0.0,
    progress: Callable[[str], None] = lambda said: None,
) -> Playback:
    """Play a run's kept weights over some pictures.

    Args:
        run: a run folder with weights/0001, 0002, ... (`train.keep_weights`) and history.jsonl.
        pictures: what to look at; those whose dish the pair doesn't know are left out.
        start: the pair that the run started from, as a first point.
        offset: epochs trained before the run began.
        progress: told the name of each checkpoint before it is opened.

    Raises:
        FoodkdError: not such a run, or no picture of a dish that the pair knows.
    """
    points = _points(run, start, offset)
    known: tuple[str, ...] | None = None
    looks = []
    for folder, _, _ in points:
        progress(str(folder))
        pair = Pair.load(folder)
        known = known or pair.classes
        if pair.classes != known:
            raise FoodkdError(f"{folder} knows other classes than {points[0][0]}; give the run's own starting pair.")
        looks.append(_look(pair, _known_of(pictures, known)))
    assert known is not None
    shown = _known_of(pictures, known)
    history = _columns([line for _, _, line in points])
    per: dict[str, Any] = {part: _stacked(looks, part) for part in _PER_NETWORK}
    return Playback(
        classes=known,
        examples=tuple(picture.name for picture in shown),
        dishes=np.array([known.index(picture.dish) for picture in shown]),
        epochs=np.array([epoch for _, epoch, _ in points]),
        cosine=np.stack([look["cosine"] for look in looks]),
        history=history,
        **per,
    )


def _points(run: Path, start: Path | None, offset: float) -> list[tuple[Path, float, dict[str, float]]]:
    """Checkpoint, epoch and figures of every point, the starting one first."""
    lines = _history(run)
    points = []
    for number, line in enumerate(lines, start=1):
        folder = run / "weights" / f"{number:04d}"
        if folder.is_dir():
            points.append((folder, offset + float(line["epoch"]), _numbers(line)))
    if not points:
        raise FoodkdError(f"{run / 'weights'} holds no checkpoint yet; train with train.keep_weights = true.")
    if start is not None:
        training = Pair.load(start).info.get("training")
        before = training.get("validation") if isinstance(training, dict) else None
        points.insert(0, (start, offset, _numbers(before if isinstance(before, dict) else {})))
    return points


def _history(run: Path) -> list[dict[str, Any]]:
    path = run / "history.jsonl"
    if not path.is_file():
        raise FoodkdError(f"{path} is missing: {run} is no run folder, or its first evaluation is still to come.")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not all(isinstance(line, dict) and "epoch" in line for line in lines):
            raise ValueError("a line without an epoch")
    except (ValueError, UnicodeDecodeError) as error:
        raise FoodkdError(
            f"{path} is no history of a run ({error}); give a folder that `foodkd train` wrote."
        ) from None
    return lines


def _numbers(line: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a history line by its dotted name, but for the step and the epoch."""
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and (prefix or key not in ("step", "epoch")):
            found[prefix + key] = float(value)
    return found


def _columns(lines: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    names = sorted({name for line in lines for name in line})
    return {name: np.array([line.get(name, np.nan) for line in lines], np.float32) for name in names}


def _known_of(pictures: Sequence[Picture], classes: tuple[str, ...]) -> list[Picture]:
    known = [picture for picture in pictures if picture.dish in classes]
    if not known:
        raise FoodkdError("None of the examples shows a dish that the pair knows; give --examples with such pictures.")
    return known


def _look(pair: Pair, pictures: Sequence[Picture]) -> dict[str, Any]:
    """One checkpoint over all pictures: arrays over the pictures, by part and network."""
    found: dict[str, Any] = {part: {name: [] for name in NETWORKS} for part in _PER_NETWORK}
    cosines = []
    for picture in pictures:
        small, dish = pair.preprocessing.small(open_photo(picture.path)), pair.classes.index(picture.dish)
        maps = {}
        for name in NETWORKS:
            explanation = Explanation.of(pair, name, small)
            (answer, sure), maps[name] = explanation.top(1)[0], explanation.iam(dish)
            row = {"maps": maps[name].values, "answers": answer, "sure": sure}
            row["dish"] = float(explanation.probabilities[dish])
            for part, value in row.items():
                found[part][name].append(value)
            found["place"][name] = np.array([maps[name].start, maps[name].step, maps[name].size], np.float64)
        cosines.append(compare(maps["teacher"], maps["student"]).cosine_centred)
    return found | {"cosine": np.array(cosines)}


def _stacked(looks: Sequence[Mapping[str, Any]], part: str) -> dict[str, np.ndarray]:
    if part == "place":
        return {name: looks[-1][part][name] for name in NETWORKS}
    return {name: np.stack([np.array(look[part][name]) for look in looks]) for name in NETWORKS}


__all__ = ["FILE", "FORMAT", "Picture", "Playback", "make_playback"]
