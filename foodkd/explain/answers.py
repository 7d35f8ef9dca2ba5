"""What all networks of a pair answered on one photo set, and what can be read from it.

    answers = Answers.of(pair, logits, photos.ids, labels, dataset="food101", split="test")
    answers.accuracy("student")                               # 0..1
    answers.quadrants()["teacher"]                            # photos that only the teacher answers rightly
    answers.confusions("student")[0]                          # the two dishes that it mixes up most

Kept beside the pair as `answers.npz`: the first five answers, not the logits. Plain arrays, no pickle; a probability
takes 16 bits (steps of 1 / 65535), so 25,247 photos and three networks stay below 3 MB.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foodkd.data.names import plain
from foodkd.errors import FoodkdError
from foodkd.explain.kept import Kept, insist

if TYPE_CHECKING:
    from foodkd.nets import Pair

FORMAT = 1
FILE = "answers.npz"
TOP = 5
BINS = 15  # of a reliability diagram, as in the expected calibration error of foodkd.train.metrics
UNKNOWN = -1
QUADRANTS = ("both", "teacher", "student", "neither")
"""Who is right on a photo: both, only the teacher, only the student, neither."""

_STEPS = 65535
# Food-101's whole test set takes 1.5 and 2.4 million bytes.
_REMEDY = "make them anew with `python -m foodkd evaluate CHECKPOINT --data ROOT --answers FILE.npz`."
_KEPT = Kept("answers", largest=32_000_000, unpacked=128_000_000, remedy=_REMEDY)


@dataclass(frozen=True)
class Confusion:
    """Photos of class `label` that a network calls `answer`, both class indices."""

    label: int
    answer: int
    count: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often answers of a given confidence are right: B equal bins from 0 to 1.

    Attributes:
        confidence: mean probability of the first answers in each bin, (B,), nan where there is none.
        accuracy: share of them that are right, (B,), nan where there is none.
        counts: how many there are, (B,).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1 (Guo et al., ICML 2017, eq. 3); nan without photos."""
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float((gaps * self.counts).sum() / self.counts.sum()) if self.counts.any() else float("nan")


@dataclass(frozen=True)
class Selection:
    """Which photos: of one cell of the 2 x 2, of one class, with one answer of one network. Nothing chosen: all.

    `quadrant` is one of QUADRANTS or "", `label` a class index, `answer` a network and the class index it gave.
    """

    quadrant: str = ""
    label: int | None = None
    answer: tuple[str, int] | None = None

    def mask(self, answers: Answers) -> np.ndarray:
        """Whether each photo belongs to it, bool (N,)."""
        chosen = np.ones(len(answers), bool)
        if self.quadrant:
            chosen[:] = False
            chosen[answers.quadrants()[self.quadrant]] = True
        if self.label is not None:
            chosen &= answers.labels == self.label
        if self.answer is not None:
            network, given = self.answer
            chosen &= answers.first(network) == given
        return chosen


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of a pair's networks on N photos, K classes.

    Attributes:
        classes: K names, as the pair's.
        ids: N names of photos.
        labels: true class indices (N,), UNKNOWN where nobody said.
        top: of each network, its first answers as class indices, best first, (N, 5), or (N, K) of fewer classes.
        probabilities: of those answers, calibrated, 0..1, float32 of the same shape.
        true: of each network, the calibrated probability of the true class, float32 (N,), nan where it is unknown.
        divergence: how differently teacher and student answer: the Jensen-Shannon divergence of their calibrated
            distributions in bits, 0 (the same) to 1 (no class in common), float32 (N,).
        sha256: of each network's weights; "" where they were never saved.
        dataset: what the photos are, a name that `foodkd.data.open_photos` knows, or "".
        split: which part of it.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    top: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]
    true: dict[str, np.ndarray]
    divergence: np.ndarray
    sha256: dict[str, str]
    dataset: str = ""
    split: str = ""

    def __len__(self) -> int:
        """N, the number of photos."""
        return len(self.ids)

    @classmethod
    def of(
        cls,
        pair: Pair,
        logits: Mapping[str, np.ndarray],
        ids: Sequence[str],
        labels: np.ndarray,
        *,
        dataset: str = "",
        split: str = "",
    ) -> Answers:
        """From each network's logits.

        Args:
            pair: whose classes, temperatures and weights' hashes these are.
            logits: "teacher", "student" and perhaps "student-alone", each (N, K).
            ids: N names of photos.
            labels: class indices (N,), UNKNOWN (-1) where there is none.
            dataset: what the photos are.
            split: which part of it.
        """
        labels = np.asarray(labels, np.int64)
        shares = {name: calibrated(values, pair.temperatures[name]) for name, values in logits.items()}
        top = {name: np.argsort(-share, axis=1, kind="stable")[:, :TOP] for name, share in shares.items()}
        return cls(
            classes=pair.classes,
            ids=tuple(ids),
            labels=labels,
            top=top,
            probabilities={name: _rounded(np.take_along_axis(shares[name], top[name], 1)) for name in shares},
            true={name: _of_labels(share, labels) for name, share in shares.items()},
            divergence=_rounded(jensen_shannon(shares["teacher"], shares["student"])),
            sha256={name: weights_of(pair, name) for name in shares},
            dataset=dataset,
            split=split,
        )

    # --- the file

    def save(self, path: Path) -> Path:
        """Write the file, whole or not at all."""
        about = {"format": FORMAT, "classes": self.classes, "sha256": self.sha256}
        about |= {"dataset": self.dataset, "split": self.split, "ids": self.ids}
        index = np.uint8 if len(self.classes) <= 256 else np.uint16
        arrays = {"about": np.frombuffer(json.dumps(about).encode("ascii"), np.uint8)}
        arrays |= {"labels": self.labels.astype(np.int16), "divergence": _coded(self.divergence)}
        for name in self.top:
            arrays |= {f"{name}.top": self.top[name].astype(index)}
            arrays |= {f"{name}.probabilities": _coded(self.probabilities[name])}
            arrays |= {f"{name}.true": _coded(np.nan_to_num(self.true[name]))}
        return _KEPT.write(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Answers:
        """Read what `save` wrote.

        Raises:
            FoodkdError: missing, foreign, damaged, or of another format; the sentence says how to make it anew.
        """
        arrays = _KEPT.read(path)
        with _KEPT.parts(path):
            answers = cls._from(arrays)
            answers._check()
        return answers

    @classmethod
    def _from(cls, arrays: Mapping[str, np.ndarray]) -> Answers:
        about: dict[str, Any] = json.loads(arrays["about"].tobytes())
        insist(about.get("format") == FORMAT, f"format {about.get('format')}, not {FORMAT}")
        labels = arrays["labels"].astype(np.int64)
        insist(labels.shape == (len(about["ids"]),), "labels of another length than the ids")
        names = [str(name) for name in about["sha256"]]
        true = {name: _decoded(arrays[f"{name}.true"]) for name in names}
        return cls(
            classes=tuple(str(name) for name in about["classes"]),
            ids=tuple(str(name) for name in about["ids"]),
            labels=labels,
            top={name: arrays[f"{name}.top"].astype(np.int64) for name in names},
            probabilities={name: _decoded(arrays[f"{name}.probabilities"]) for name in names},
            true={name: np.where(labels == UNKNOWN, np.float32(np.nan), value) for name, value in true.items()},
            divergence=_decoded(arrays["divergence"]),
            sha256={str(name): str(value) for name, value in about["sha256"].items()},
            dataset=str(about["dataset"]),
            split=str(about["split"]),
        )

    def _check(self) -> None:
        photos, classes = len(self.ids), len(self.classes)
        insist({"teacher", "student"} <= set(self.top), "no teacher or no student")
        insist(photos > 0 and classes > 0, "no photo or no class")
        insist(self.divergence.shape == (photos,), "disagreement of another length")
        insist(bool(((self.labels >= UNKNOWN) & (self.labels < classes)).all()), "a label that is no class")
        for name, top in self.top.items():
            insist(top.shape == (photos, min(TOP, classes)), f"answers of another shape for {name}")
            insist(self.probabilities[name].shape == top.shape, f"probabilities of another shape for {name}")
            insist(self.true[name].shape == (photos,), f"true probabilities of another length for {name}")
            insist(bool((top < classes).all()), "an answer that is no class")

    def insist_on(self, pair: Pair) -> None:
        """Refuse answers that other weights gave.

        Raises:
            FoodkdError: the pair lacks one of the networks, or its weights or classes are others.
        """
        wrong = [name for name in self.top if self.sha256[name] != weights_of(pair, name)]
        if self.classes != pair.classes or wrong:
            whose = f"the {wrong[0]} of {pair.name}" if wrong else pair.name
            raise FoodkdError(f"These answers come from other weights than {whose}; {_REMEDY}")

    # --- right and wrong

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that answered."""
        return tuple(self.top)

    @cached_property
    def known(self) -> np.ndarray:
        """Whether each photo's true class is known, bool (N,)."""
        return self.labels != UNKNOWN

    def first(self, network: str) -> np.ndarray:
        """Each photo's first answer of a network, class indices (N,)."""
        return self.top[network][:, 0]

    def right(self, network: str, among: int = 1) -> np.ndarray:
        """Whether the true class is among a network's first answers, bool (N,); False where it is unknown."""
        return (self.top[network][:, :among] == self.labels[:, None]).any(1)

    def accuracy(self, network: str, among: int = 1) -> float:
        """Share of right answers among the photos whose class is known, 0..1; nan where there is none."""
        return float(self.right(network, among)[self.known].mean()) if self.known.any() else float("nan")

    @property
    def agreement(self) -> float:
        """How often teacher and student give the same first answer, 0..1."""
        return float((self.first("teacher") == self.first("student")).mean())

    @cached_property
    def _quadrants(self) -> dict[str, np.ndarray]:
        teacher, student = self.right("teacher"), self.right("student")
        cells = (teacher & student, teacher & ~student, ~teacher & student, ~teacher & ~student & self.known)
        return {name: np.flatnonzero(cell) for name, cell in zip(QUADRANTS, cells, strict=True)}

    def quadrants(self) -> dict[str, np.ndarray]:
        """Positions of the photos that both answer rightly, only the teacher, only the student, and neither."""
        return self._quadrants

    def class_counts(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Photos of each true class (K,), all or the chosen (bool (N,))."""
        rows = self.known if chosen is None else self.known & chosen
        return np.bincount(self.labels[rows], minlength=len(self.classes))

    def class_accuracy(self, network: str) -> np.ndarray:
        """Share of right answers for each true class (K,), nan where a class has no photo."""
        counts = self.class_counts()
        hits = self.class_counts(self.right(network))
        return np.divide(hits, counts, out=np.full(len(counts), np.nan), where=counts > 0)

    def confusions(self, network: str, chosen: np.ndarray | None = None) -> list[Confusion]:
        """Which class a network takes for which, most photos first; all photos or the chosen (bool (N,))."""
        wrong = self.known & ~self.right(network)
        if chosen is not None:
            wrong &= chosen
        pairs = self.labels[wrong] * len(self.classes) + self.first(network)[wrong]
        codes, counts = np.unique(pairs, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        whose, called = np.divmod(codes, len(self.classes))
        return [Confusion(int(whose[i]), int(called[i]), int(counts[i])) for i in order]

    def reliability(self, network: str, chosen: np.ndarray | None = None) -> Reliability:
        """Confidence against accuracy of the first answers, in BINS equal bins; 1 belongs to the last."""
        rows = self.known if chosen is None else self.known & chosen
        sure = self.probabilities[network][rows, 0].astype(np.float64)
        right = self.right(network)[rows].astype(np.float64)
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        means = [
            np.divide(np.bincount(bins, values, BINS), counts, out=np.full(BINS, np.nan), where=counts > 0)
            for values in (sure, right)
        ]
        return Reliability(means[0], means[1], counts)

    def by_disagreement(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Positions of the photos, all or the chosen (bool (N,)), those that divide teacher and student most first."""
        rows = np.arange(len(self)) if chosen is None else np.flatnonzero(chosen)
        return rows[np.argsort(-self.divergence[rows], kind="stable")]

    # --- as a table

    def to_csv(self, rows: np.ndarray | None = None) -> str:
        """A table with a head, one line per photo: id, label, each network's answers, disagreement in bits.

        No cell begins like a formula: a spreadsheet would run it, and ids come from strangers.

        Args:
            rows: positions of the photos in the order wanted; default: all.
        """
        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        head = ["id", "label"]
        for name in self.networks:
            head += [f"{name} answer", f"{name} probability", f"{name} top {self.top[name].shape[1]}"]
        names = [_harmless(name) for name in self.classes]
        labels = [names[index] if index != UNKNOWN else "" for index in self.labels[chosen].tolist()]
        columns = [[_harmless(self.ids[row]) for row in chosen.tolist()], labels]
        columns += [column for network in self.networks for column in self._columns(network, chosen, names)]
        columns.append([f"{value:.5f}" for value in self.divergence[chosen].tolist()])
        written = io.StringIO()
        writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow([*head, "disagreement in bits"])
        writer.writerows(zip(*columns, strict=True))
        return written.getvalue()

    def _columns(self, network: str, rows: np.ndarray, names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        """First answers, their probabilities, and the first five with theirs."""
        tops, shares = self.top[network][rows].tolist(), self.probabilities[network][rows].tolist()
        listed = [
            "; ".join(f"{names[index]} {share:.5f}" for index, share in zip(*pair, strict=True))
            for pair in zip(tops, shares, strict=True)
        ]
        return [names[top[0]] for top in tops], [f"{row[0]:.5f}" for row in shares], listed


def margin(photos: int) -> float:
    """How far a share of right answers over so many photos may be off: half a 95 % interval where half are right."""
    return 1.96 * 0.5 / photos**0.5 if photos else float("nan")


def labels_by_name(classes: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Class indices (N,) of names that people or folders gave, UNKNOWN for those that are no class.

    Args:
        classes: the pair's.
        names: however they are spelled (`foodkd.data.names.plain`).
    """
    index = {plain(name): position for position, name in enumerate(classes)}
    return np.array([index.get(plain(name), UNKNOWN) for name in names], np.int64)


def predict_batch(pair: Pair, small: np.ndarray, networks: Sequence[str]) -> dict[str, np.ndarray]:
    """Logits (B, K) float32 of each named network on reduced photos uint8 (B, R, R, 3), in one pass each."""
    import torch

    with torch.inference_mode():
        return {name: pair.networks[name](pair.tensor(name, small)).logits.float().numpy() for name in networks}


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Logits (N, K) -> probabilities (N, K), float64: softmax(logits / temperature)."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits, 0..1, of distributions (N, K) and (N, K), row by row (Lin, 1991)."""
    middle = (one + other) / 2
    return ((_relative(one, middle) + _relative(other, middle)) / 2).clip(0.0, 1.0)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence in bits, row by row; q is above 0 wherever p is."""
    held = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=held & (q > 0))
    return (p * np.log2(ratio)).sum(axis=1)


def weights_of(pair: Pair, network: str) -> str:
    """SHA-256 of a network's stored weights; "" where they were never saved or there is no such network."""
    return str(pair.info.get("networks", {}).get(network, {}).get("sha256", ""))


def _of_labels(share: np.ndarray, labels: np.ndarray) -> np.ndarray:
    picked = _rounded(share[np.arange(len(labels)), labels.clip(0)])
    return np.where(labels == UNKNOWN, np.float32(np.nan), picked)


def _coded(values: np.ndarray) -> np.ndarray:
    return np.rint(values * np.float64(_STEPS)).astype(np.uint16)


def _decoded(codes: np.ndarray) -> np.ndarray:
    return (codes / np.float64(_STEPS)).astype(np.float32)


def _rounded(values: np.ndarray) -> np.ndarray:
    """As they will come back from a file: what is looked at must not depend on whether it was saved."""
    return _decoded(_coded(values))


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, on one line."""
    flat = " ".join(cell.split())
    first = unicodedata.normalize("NFKC", flat[:1])  # full-width signs count, too
    return f"'{flat}" if first and first in "=+-@|%" else flat


__all__ = [
    "BINS",
    "FILE",
    "FORMAT",
    "QUADRANTS",
    "UNKNOWN",
    "Answers",
    "Confusion",
    "Reliability",
    "Selection",
    "calibrated",
    "jensen_shannon",
    "labels_by_name",
    "margin",
    "predict_batch",
    "weights_of",
]
