"""Activation maps of one network on one photo, from one forward pass.

Idea: where in the photo does a network find its evidence? The instance activation map (IAM) of a class answers for the
last stage, Grad-CAM and Layer-CAM for any stage. One pass is run with its graph kept; then one backward per class gives
the gradients of all stages at once, and everything that was computed once is remembered.

Logits are centred here: less their mean over the classes, so a class's logit is its lead over the average class. The
probabilities stay, and maps that explain a logit don't show what speaks for all classes alike.

Example:
    explanation = Explanation.of(pair, "student", pair.preprocessing.small(photo))
    explanation.top(5)                                   # [(class index, calibrated probability), ...]
    iam = explanation.iam(explanation.top(1)[0][0])      # its mean + bias is the logit
    layer = explanation.layer(1, "layercam", iam.class_index)
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from foodkd.errors import FoodkdError
from foodkd.explain import formulas
from foodkd.explain.library import LIBRARY_METHODS, library_map
from foodkd.nets import AuxiliaryClassifiers, Stage, Tapped, TappedClassifier, centred

if TYPE_CHECKING:
    from foodkd.nets.pair import Pair

# Methods of this project, from the one pass; the others go through pytorch-grad-cam.
_CLASS_FREE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": formulas.mean_activation,
    "eigencam": formulas.eigen_cam,
}
_GRADIENT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": formulas.grad_cam,
    "layercam": formulas.layer_cam,
}
METHODS: tuple[str, ...] = (*_CLASS_FREE, *_GRADIENT, *LIBRARY_METHODS)
METHOD_TITLES: dict[str, str] = {
    "cam": "Class activation map",
    "mean": "Mean activation",
    "gradcam": "Grad-CAM",
    "layercam": "Layer-CAM",
    "eigencam": "Eigen-CAM",
    "similarity": "Similarity to a cell",
    "gradcam++": "Grad-CAM++",
    "xgradcam": "XGrad-CAM",
    "hirescam": "HiResCAM",
    "gradcam-elementwise": "Grad-CAM element-wise",
    "eigengradcam": "Eigen-Grad-CAM",
    "segeigencam": "Seg-Eigen-CAM",
    "scorecam": "Score-CAM",
    "kpcacam": "KPCA-CAM",
    "fem": "FEM",
}


def needs_class(method: str) -> bool:
    """Whether a method's map depends on a class."""
    return method not in (*_CLASS_FREE, "kpcacam", "fem")


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """One map of one network, on the grid of the stage it comes from.

    Cell i of either axis has its centre at `start + step * i` of the network's input, in pixels (0 = centre of the
    first pixel), which is `(start + step * i + 0.5) / size` of the photo's side.

    Attributes:
        values: (H, W) float32, read-only.
        network: "teacher", "student", ...
        kind: "iam" (last stage, one class), "layer" (any stage) or "similarity" (to one cell).
        stage: index of the stage, early to late.
        stage_name: the backbone's own name of it.
        method: "cam" or one of `METHODS`; an IAM of a network whose head is not additive says "gradcam".
        class_index: the class explained, None where the method has none.
        start: position of the first cell's centre, input pixels.
        step: distance of neighbouring cells, input pixels.
        size: side of the network's input, pixels.
        class_name: its name, if known.
        additive: mean(values) + bias is the class's logit exactly.
        bias: the class's bias in the last linear layer, less the mean bias; 0 where the map is not additive.
    """

    values: np.ndarray
    network: str
    kind: str
    stage: int
    stage_name: str
    method: str
    class_index: int | None
    start: float
    step: float
    size: int
    class_name: str | None = None
    additive: bool = False
    bias: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        """(H, W): cells down, cells across."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the rows (H,) and of the columns (W,), as fractions of the photo's side."""
        height, width = self.grid
        centres = (self.start + self.step * np.arange(max(height, width)) + 0.5) / self.size
        return centres[:height], centres[:width]

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return float(self.values.min()), float(self.values.max())

    @property
    def signed(self) -> bool:
        """Whether some place speaks against (has a negative value)."""
        return bool(self.values.min() < 0)

    @property
    def title(self) -> str:
        """The map in a few words: "student, IAM, apple pie"."""
        what = "IAM" if self.kind == "iam" else METHOD_TITLES.get(self.method, self.method)
        where = f"stage {self.stage + 1}" if self.kind == "layer" else None
        parts = [self.network, where, what, self.class_name.replace("_", " ") if self.class_name else None]
        return ", ".join(part for part in parts if part)

    def share(self, y: int, x: int) -> float:
        """What cell (y, x) adds to the mean of the map: for an additive IAM, its share of the logit."""
        return float(self.values[y, x]) / self.values.size

    def cell_at(self, x: float, y: float) -> tuple[int, int]:
        """The cell (row, column) nearest to a point of the photo, given as fractions 0..1 from left and from top."""
        rows, columns = self.positions
        return int(np.abs(rows - y).argmin()), int(np.abs(columns - x).argmin())


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one cell of the last stage contributes.

    Attributes:
        cell: (row, column).
        shares: (K,) what the cell adds to each class's logit; summed over all cells, plus `bias`, that is the logit
            (exactly with an additive head, to first order otherwise).
        bias: (K,).
        logits: (K,).
        similarity: how alike every cell's features are to this one's, cosine in -1..1, as a map.
        additive: whether the shares add up exactly.
    """

    cell: tuple[int, int]
    shares: np.ndarray
    bias: np.ndarray
    logits: np.ndarray
    similarity: ActivationMap
    additive: bool

    def top(self, n: int = 5) -> list[tuple[int, float]]:
        """The classes that this cell alone argues for most: [(class index, share of its logit)]."""
        order = np.argsort(-self.shares, kind="stable")[:n]
        return [(int(index), float(self.shares[index])) for index in order]


class Explanation:
    """One network's answer to one photo, and its maps.

    Safe to share between threads: everything runs under the explanation's own lock. Nothing is hooked, no parameter's
    `grad` or `requires_grad` is touched: the graph hangs on the input image.

    Args:
        network: a tapped classifier in eval.
        image: (1, 3, S, S) normalised.
        name: the network's role, "teacher" or "student".
        classes: names of the classes, for titles.
        temperature: of the calibrated probabilities.
        auxiliary: the stages' classifiers, if there are any.
        limit: maps kept; the least recently used ones go first.

    Raises:
        FoodkdError: network in training mode, or an image of another shape.
    """

    def __init__(
        self,
        network: TappedClassifier,
        image: Tensor,
        *,
        name: str = "network",
        classes: Sequence[str] | None = None,
        temperature: float = 1.0,
        auxiliary: AuxiliaryClassifiers | None = None,
        limit: int = 256,
    ) -> None:
        """Check and remember; the pass runs when something is first asked."""
        _check(network, image, name)
        self.network = network
        self.name = name
        self.classes = tuple(classes) if classes is not None else None
        self.temperature = temperature
        self.passes = 0
        self._auxiliary = auxiliary
        self._image = image.detach()
        self._lock = threading.RLock()
        self._graph: Tapped | None = None
        self._last: tuple[Tensor, Tensor] | None = None  # logits (K,) and last features (C, H, W), kept for good
        self._seconds = 0.0
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._limit = limit

    @classmethod
    def of(cls, pair: Pair, name: str, small: np.ndarray) -> Explanation:
        """Explain one network of a pair on one photo; the pass runs at once.

        Args:
            pair: in eval, as loaded.
            name: "teacher", "student" or another of `pair.networks`.
            small: uint8 (R, R, 3), from `pair.preprocessing.small(photo)`.
        """
        explanation = cls._lazy(pair, name, small)
        explanation._answer()
        return explanation

    @classmethod
    def _lazy(cls, pair: Pair, name: str, small: np.ndarray) -> Explanation:
        if name not in pair.networks:
            raise FoodkdError(f"This pair has no network '{name}'; it has {', '.join(pair.networks)}.")
        if small.ndim != 3 or small.shape[2] != 3 or small.dtype != np.uint8:
            found = f"{small.dtype} {small.shape}"
            raise FoodkdError(f"A photo must be uint8 (R, R, 3), not {found}; use pair.preprocessing.small(photo).")
        return cls(
            pair.networks[name],
            pair.tensor(name, small),
            name=name,
            classes=pair.classes,
            temperature=pair.temperatures.get(name, 1.0),
            auxiliary=pair.auxiliary.get(name),
        )

    # --- what the network answers

    @property
    def logits(self) -> np.ndarray:
        """(K,) float32, centred: their mean is 0."""
        return _array(self._answer()[0])

    @property
    def probabilities(self) -> np.ndarray:
        """(K,) calibrated: softmax(logits / temperature)."""
        return torch.softmax(self._answer()[0].double() / self.temperature, 0).float().numpy()

    @property
    def seconds(self) -> float:
        """How long the forward pass took."""
        self._answer()
        return self._seconds

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The network's stages at this input size, early to late."""
        return self.network.geometry(self.size)

    @property
    def size(self) -> int:
        """Side of the network's input, pixels."""
        return int(self._image.shape[-1])

    def top(self, n: int = 5) -> list[tuple[int, float]]:
        """The n most probable classes: [(class index, calibrated probability)], best first."""
        probabilities = self.probabilities
        order = np.argsort(-probabilities, kind="stable")[:n]
        return [(int(index), float(probabilities[index])) for index in order]

    def stage_answers(self) -> list[np.ndarray | None]:
        """What each stage's auxiliary classifier would answer: probabilities (K,), or None where there is none."""
        if self._auxiliary is None:
            return [None] * len(self.stages)
        return self._remembered("answers", self._stage_answers)

    # --- its maps

    def iam(self, class_index: int) -> ActivationMap:
        """The instance activation map of any class: the last stage's evidence for it against the average class.

        The very map that the IAM loss compares (`foodkd.distill.instance_maps`), of any class. Mean + bias = logit
        where the head is additive. Elsewhere Grad-CAM's form of it (no ReLU, in logits, right to first order): the map
        then says method "gradcam" and `additive` False.
        """
        class_index = self._checked(class_index)
        additive = self.additive
        values = self.class_maps()[class_index] if additive else self._evidence_of(class_index)
        bias = self.network.centred_head[1][class_index].item() if additive else 0.0
        method = "cam" if additive else "gradcam"
        return self._map(values, "iam", len(self.stages) - 1, method, class_index, additive=additive, bias=bias)

    def layer(self, stage: int, method: str, class_index: int | None = None) -> ActivationMap:
        """The map of one stage.

        Args:
            stage: index, early to late; negative ones count from the end.
            method: one of `METHODS`.
            class_index: needed where `needs_class(method)`; ignored elsewhere.

        Raises:
            FoodkdError: no such stage, method or class.
        """
        stage = self._checked_stage(stage)
        if method not in METHODS:
            raise FoodkdError(f"There is no map method '{method}'; there are {', '.join(METHODS)}.")
        if needs_class(method):
            if class_index is None:
                raise FoodkdError(f"The method '{method}' explains a class; give class_index.")
            class_index = self._checked(class_index)
        else:
            class_index = None
        return self._map(self._layer_values(stage, method, class_index), "layer", stage, method, class_index)

    def class_maps(self) -> np.ndarray:
        """The instance activation maps of all classes, (K, H, W) float32."""
        return self._remembered("all", self._class_maps)

    def evidence(self, y: int, x: int) -> Evidence:
        """What cell (y, x) of the last stage adds to every class's logit, and which other cells are like it.

        Raises:
            FoodkdError: outside the grid.
        """
        maps = self.class_maps()
        height, width = maps.shape[1:]
        if not (0 <= y < height and 0 <= x < width):
            raise FoodkdError(f"There is no cell ({y}, {x}); the grid of the {self.name} has {height} x {width} cells.")
        logits, features = self._answer()
        alike = formulas.cell_similarity(features, y, x).numpy()
        bias = _array(self.network.centred_head[1]) if self.additive else np.zeros(len(maps), np.float32)
        return Evidence(
            cell=(y, x),
            shares=maps[:, y, x] / (height * width),
            bias=bias,
            logits=_array(logits),
            similarity=self._map(alike, "similarity", len(self.stages) - 1, "similarity", None),
            additive=self.additive,
        )

    @property
    def additive(self) -> bool:
        """Whether mean(map) + bias is the logit exactly for this network's head."""
        return self._remembered("additive", lambda: bool(self.network.additive))

    def forget(self, *, wait: bool = True) -> None:
        """Release the graph and the inner stages, nearly all of the memory.

        The answer, the instance activation maps and what is remembered stay; any other map runs the pass again.

        Args:
            wait: until another thread's computation is over; otherwise an explanation that is in use stays as it is.
        """
        if self._lock.acquire(blocking=wait):
            self._graph = None
            self._lock.release()

    # --- how

    def _answer(self) -> tuple[Tensor, Tensor]:
        """Logits (K,) and last features (C, H, W), detached; runs the pass when it has not run yet."""
        with self._lock:
            if self._last is None:
                self._tapped()
            assert self._last is not None
            return self._last

    def _tapped(self) -> Tapped:
        """The pass with its graph, which hangs on the input image: the parameters need no gradient for it."""
        if self._graph is None:
            started = time.perf_counter()
            with torch.inference_mode(False), torch.enable_grad():
                tapped = self.network(self._image.clone().requires_grad_())
                self._graph = tapped._replace(logits=centred(tapped.logits))
            self._seconds = self._seconds or time.perf_counter() - started
            self.passes += 1
            self._last = self._graph.logits[0].detach().float().cpu(), self._graph.stages[-1][0].detach().float().cpu()
        return self._graph

    def _layer_values(self, stage: int, method: str, class_index: int | None) -> np.ndarray:
        if method in _CLASS_FREE:
            return self._remembered((stage, method), lambda: _array(_CLASS_FREE[method](self._features(stage))))
        if method in _GRADIENT:
            return self._remembered(("gradient", class_index), lambda: self._gradient_maps(class_index))[stage][method]

        def compute() -> np.ndarray:
            target = class_index if class_index is not None else 0
            return library_map(self.network, self._image, method=method, stage=stage, class_index=target)

        return self._remembered((stage, method, class_index), compute)

    def _features(self, stage: int) -> Tensor:
        return self._tapped().stages[stage][0].detach().float()

    def _gradient_maps(self, class_index: int | None) -> list[dict[str, np.ndarray]]:
        """One backward for one class: every gradient method's map at every stage."""
        tapped = self._tapped()
        with torch.inference_mode(False), torch.enable_grad():
            gradients = torch.autograd.grad(tapped.logits[0, class_index], tapped.stages, retain_graph=True)
        pairs = [(a[0].detach().float(), g[0].float()) for a, g in zip(tapped.stages, gradients, strict=True)]
        return [{name: _array(formula(*pair)) for name, formula in _GRADIENT.items()} for pair in pairs]

    def _class_maps(self) -> np.ndarray:
        _, features = self._answer()
        if not self.additive:
            return np.stack([self._evidence_of(index) for index in range(self.network.classes)])
        with torch.no_grad():
            every = torch.arange(self.network.classes)[None].to(self.network.head_weight.device)
            maps = self.network.activation_maps(features[None].to(every.device), every)
        return _array(maps[0])

    def _evidence_of(self, class_index: int) -> np.ndarray:
        """The gradient form at the last stage; only the head is walked back."""

        def compute() -> np.ndarray:
            tapped = self._tapped()
            with torch.inference_mode(False), torch.enable_grad():
                (slope,) = torch.autograd.grad(tapped.logits[0, class_index], tapped.stages[-1], retain_graph=True)
            return _array(formulas.gradient_evidence(tapped.stages[-1][0].detach().float(), slope[0].float()))

        return self._remembered(("evidence", class_index), compute)

    def _stage_answers(self) -> list[np.ndarray | None]:
        assert self._auxiliary is not None
        with torch.no_grad():
            answers = self._auxiliary([stage.detach() for stage in self._tapped().stages])
        return [None if logits is None else _array(torch.softmax(logits[0].float(), 0)) for logits in answers]

    def _remembered(self, key: Any, compute: Callable[[], Any]) -> Any:
        """Computed once, under the lock; bounded."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = compute()
                while len(self._kept) > self._limit:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
            return self._kept[key]

    def _map(
        self, values: np.ndarray, kind: str, stage: int, method: str, class_index: int | None, **more: Any
    ) -> ActivationMap:
        place = self.stages[stage]
        values = np.asarray(values, np.float32).view()
        values.setflags(write=False)  # remembered and shared
        name = self.classes[class_index] if self.classes is not None and class_index is not None else None
        where = place.start, place.step, self.size
        return ActivationMap(values, self.name, kind, stage, place.name, method, class_index, *where, name, **more)

    def _checked(self, class_index: int) -> int:
        if not 0 <= int(class_index) < self.network.classes:
            known = f"classes 0 to {self.network.classes - 1}"
            raise FoodkdError(f"There is no class {class_index}; the {self.name} knows {known}.")
        return int(class_index)

    def _checked_stage(self, stage: int) -> int:
        count = len(self.stages)
        if not -count <= stage < count:
            raise FoodkdError(f"There is no stage {stage}; the {self.name} has stages 0 to {count - 1}.")
        return stage % count


class Explanations:
    """The explanations of recent photos, shared by everyone who asks: by content, bounded, safe between threads.

    The same photo asked for twice, even at the same moment, is passed through each network once. The last `graphs`
    explanations keep their graph (tens of megabytes each), the last `limit` their answer and maps.

    Args:
        pair: the networks.
        limit: explanations kept.
        graphs: how many of them keep their graph.
    """

    def __init__(self, pair: Pair, *, limit: int = 64, graphs: int = 8) -> None:
        """Start with nothing known."""
        self.pair = pair
        self._limit = limit
        self._graphs = graphs
        self._kept: OrderedDict[tuple[str, str], Explanation] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, small: np.ndarray) -> Explanation:
        """The explanation of one network on one photo (uint8 (R, R, 3)), known already or computed now."""
        key = (name, hashlib.sha256(repr(small.shape).encode() + np.ascontiguousarray(small).tobytes()).hexdigest())
        with self._lock:
            if key not in self._kept:
                self._kept[key] = Explanation._lazy(self.pair, name, small)
            self._kept.move_to_end(key)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
            found = self._kept[key]
            older = list(self._kept.values())[: -self._graphs]
        for explanation in older:
            explanation.forget(wait=False)
        found._answer()
        return found

    def __len__(self) -> int:
        """How many explanations are kept."""
        return len(self._kept)


def _array(tensor: Tensor) -> np.ndarray:
    """A read-only copy: what is remembered is shared by all who ask."""
    array = tensor.detach().float().cpu().numpy().copy()
    array.setflags(write=False)
    return array


def _check(network: TappedClassifier, image: Tensor, name: str) -> None:
    if network.training:
        raise FoodkdError(f"The {name} is in training mode, where answers depend on chance; call eval() on it first.")
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] != 3 or image.shape[2] != image.shape[3]:
        raise FoodkdError(f"One square image (1, 3, S, S) is explained at a time, not {tuple(image.shape)}.")


__all__ = [
    "METHODS",
    "METHOD_TITLES",
    "ActivationMap",
    "Evidence",
    "Explanation",
    "Explanations",
    "needs_class",
]
