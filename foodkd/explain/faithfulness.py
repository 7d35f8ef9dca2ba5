"""Is the map telling the truth? Cover what it marks and watch the answer; break the network and watch the map.

Deletion and insertion (Petsiuk, Das, Saenko, "RISE", BMVC 2018): cover the photo's places in the map's order, strongest
first, and the class should fall soon; start from a covered photo and uncover in that order, and it should rise soon.
Neither number means anything alone: some photos fall whatever is covered. So the same cells are also covered in orders
by chance, and what counts is by how much the map beats them. Two kinds of chance: "cells" in random order, which lie
scattered and so break up more of the photo than the clump of a map does; and the map itself "moved" elsewhere, as
clumped as it was, which asks only whether the place is right.

Weight randomisation (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018): a map that hardly changes when
what was learned is destroyed, from the head down, shows the photo and not the network.

    small = pair.preprocessing.small(photo)
    iam = Explanation.of(pair, "student", small).iam(class_index)
    result = faithfulness(pair, small, iam)
    result.lead("deletion")                  # the map beats random orders by this much of area
    for step in randomisation(pair, small, iam):
        step.part, step.cosine, step.rank_correlation

Everything is covered on the reduced picture, which is all that the networks see, and goes their usual road from there.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from foodkd.data import Preprocessing
from foodkd.errors import FoodkdError
from foodkd.explain.compare import axis_weights, compare, on_photo
from foodkd.explain.maps import ActivationMap, Explanation
from foodkd.nets import TappedClassifier, centred

if TYPE_CHECKING:
    from foodkd.nets.pair import Pair

BASELINES = ("blur", "grey")
KINDS = ("deletion", "insertion")
UNITS = ("probability", "logit")
CONTROLS = ("cells", "moved")
BLUR = 0.1  # of the picture's side: wide enough that no dish is recognised by its detail, colours stay
_EVEN = 6  # decimals, relative to the largest magnitude, below which two values are a tie and not a ranking


# --- covering


def baseline_picture(preprocessing: Preprocessing, small: np.ndarray, baseline: str = "blur") -> np.ndarray:
    """What a reduced photo is covered with.

    Args:
        preprocessing: the pair's; its mean colour is the grey.
        small: uint8 (R, R, 3).
        baseline: "blur" (the photo itself without its detail: no foreign edges or colours, but broad colours stay) or
            "grey" (the data set's mean colour: nothing stays, but its edges are foreign to the networks).

    Returns:
        uint8 (R, R, 3).

    Raises:
        FoodkdError: another baseline.
    """
    _one_of(baseline, BASELINES, "baseline")
    if baseline == "blur":
        blur = ImageFilter.GaussianBlur(BLUR * len(small))
        return np.asarray(Image.fromarray(small).filter(blur))
    colour = np.round(255 * np.array(preprocessing.mean)).clip(0, 255).astype(np.uint8)
    return np.broadcast_to(colour, small.shape).copy()


def cover(preprocessing: Preprocessing, small: np.ndarray, mask: np.ndarray, *, baseline: str = "blur") -> np.ndarray:
    """Cover the masked places of a reduced photo.

    Args:
        preprocessing: the pair's.
        small: uint8 (R, R, 3).
        mask: bool (side, side) spread evenly over the photo; with another side than R, a place of the photo is covered
            if at least half of it is.
        baseline: "blur" or "grey".

    Returns:
        uint8 (R, R, 3), a new array.

    Raises:
        FoodkdError: a mask that is not square and boolean, or another baseline.
    """
    covered = fitted_mask(mask, len(small))
    return np.where(covered[..., None], baseline_picture(preprocessing, small, baseline), small)


def fitted_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """A boolean mask (n, n) on a grid of (side, side) places over the same photo: a place follows its larger part."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape[0] != mask.shape[1] or not mask.size:
        raise FoodkdError(f"A mask must be boolean (side, side), True where covered, not {mask.dtype} {mask.shape}.")
    if len(mask) == side:
        return mask.copy()
    share = Image.fromarray(mask.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    return np.asarray(share) >= 0.5


@dataclass(frozen=True, eq=False)
class Covered:
    """A photo with parts covered, and what the networks answer to it.

    Attributes:
        small: uint8 (R, R, 3), what the networks see now.
        mask: bool (R, R), where it is covered.
        baseline: with what.
        answers: each network's explanation of the covered photo.
    """

    small: np.ndarray
    mask: np.ndarray
    baseline: str
    answers: Mapping[str, Explanation]

    @property
    def share(self) -> float:
        """How much of the area is covered, 0..1."""
        return float(self.mask.mean())


def cover_up(
    pair: Pair,
    small: np.ndarray,
    mask: np.ndarray,
    *,
    baseline: str = "blur",
    networks: Sequence[str] = ("teacher", "student"),
) -> Covered:
    """Cover a part of the photo by hand and ask the networks again: one pass each. Arguments as of `cover`."""
    hidden = cover(pair.preprocessing, small, mask, baseline=baseline)
    answers = {name: Explanation.of(pair, name, hidden) for name in networks}
    return Covered(hidden, fitted_mask(mask, len(small)), baseline, answers)


# --- orders


def place_order(activation_map: ActivationMap, side: int, *, seed: int = 0) -> np.ndarray:
    """The places of the photo in the map's order, strongest first.

    Whole cells come after one another, each placed by its own (start, step), so that a random order of the same cells
    differs in nothing but the order. Cells of equal value come in a seeded random order, or else a map that says
    nothing would be read from the top left. Inside a cell the interpolated map decides.

    Args:
        activation_map: on any grid.
        side: R, the photo is taken as (R, R) places.
        seed: of the ties.

    Returns:
        (R * R,) int64, row * R + column of every place once.

    Raises:
        FoodkdError: a map with values that are no numbers.
    """
    cells = _even(activation_map.values.ravel())
    ties = np.random.default_rng([seed, 0]).permutation(cells.size)
    return _by_cells(np.lexsort((ties, -cells)), activation_map, side)


def random_order(activation_map: ActivationMap, side: int, *, seed: int = 0, index: int = 0) -> np.ndarray:
    """The same cells in a random order, (R * R,) int64: `index` counts the orders of one seed."""
    shuffled = np.random.default_rng([seed, index + 1]).permutation(activation_map.values.size)
    return _by_cells(shuffled, activation_map, side)


def moved_order(activation_map: ActivationMap, side: int, *, seed: int = 0, index: int = 0) -> np.ndarray:
    """The order of the same map turned, mirrored and moved by chance (what leaves at one edge enters at the other)."""
    chance, values = np.random.default_rng([seed, index + 1]), activation_map.values
    quarters = 1 if values.shape[0] == values.shape[1] else 2
    values = np.rot90(values, quarters * int(chance.integers(4)))
    values = values[:, ::-1] if chance.integers(2) else values
    shift = divmod(int(chance.integers(min(1, values.size - 1), values.size)), values.shape[1])  # never back in place
    return place_order(replace(activation_map, values=np.roll(values, shift, (0, 1))), side, seed=seed)


def _by_cells(order: np.ndarray, activation_map: ActivationMap, side: int) -> np.ndarray:
    """Cells in this order, each one's places by the interpolated map, then by row and column."""
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    fine = _even(on_photo(activation_map, side).ravel())
    return np.lexsort((-fine, rank[_cells(activation_map, side)]))


def _cells(activation_map: ActivationMap, side: int) -> np.ndarray:
    """The cell (flat index) that each place is nearest to, (side * side,)."""
    where = activation_map.start, activation_map.step, activation_map.size, side
    rows, columns = (axis_weights(count, *where, form="nearest").argmax(1) for count in activation_map.grid)
    return (rows[:, None] * activation_map.grid[1] + columns[None]).ravel()


def _even(values: np.ndarray) -> np.ndarray:
    """Scaled to -1..1 and rounded, so that no rounding error of an earlier sum ranks what is equal."""
    if not np.isfinite(values).all():
        raise FoodkdError("This map holds values that are no numbers, so its places have no order; draw it anew.")
    largest = np.abs(values).max()
    return np.round(values / largest if largest > 0 else values, _EVEN)


# --- curves


@dataclass(frozen=True, eq=False)
class Curve:
    """A network's answer for one class while more and more of the photo is covered, or shown.

    Attributes:
        fractions: (n,) float64 rising from 0 to 1: the share of the area covered (deletion) or shown (insertion).
        probabilities: (n,) float64, calibrated.
        logits: (n,) float64, centred.
    """

    fractions: np.ndarray
    probabilities: np.ndarray
    logits: np.ndarray

    def values(self, unit: str = "probability") -> np.ndarray:
        """(n,) in that unit: "probability" or "logit"."""
        _one_of(unit, UNITS, "unit")
        return self.probabilities if unit == "probability" else self.logits

    def area(self, unit: str = "probability") -> float:
        """Area under the curve by the trapezoid rule: 0..1 of probabilities, the mean logit of logits."""
        return float(np.trapezoid(self.values(unit), self.fractions))

    def mirrored(self) -> Curve:
        """The same pictures read from the other end: covering in one order is showing in the reverse order."""
        return Curve(1 - self.fractions[::-1], self.probabilities[::-1], self.logits[::-1])


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How one network's answer for one class follows one map of one photo.

    Attributes:
        network: "teacher", "student", ...
        class_index: the class watched.
        baseline: with what is covered.
        order: (R * R,) the places, strongest first.
        deletion: places covered in that order.
        insertion: places shown in that order.
        random: by kind, the curves of the orders by chance.
        control: by which chance, "cells" or "moved".
    """

    network: str
    class_index: int
    baseline: str
    order: np.ndarray
    deletion: Curve
    insertion: Curve
    random: Mapping[str, tuple[Curve, ...]]
    control: str = "cells"

    def curve(self, kind: str) -> Curve:
        """The map's own curve: "deletion" or "insertion"."""
        _one_of(kind, KINDS, "kind of curve")
        return self.deletion if kind == "deletion" else self.insertion

    def random_mean(self, kind: str) -> Curve:
        """Mean of the random orders' curves."""
        curves = self._random(kind)
        probabilities = np.mean([curve.probabilities for curve in curves], 0)
        return Curve(curves[0].fractions, probabilities, np.mean([curve.logits for curve in curves], 0))

    def random_spread(self, kind: str, unit: str = "probability") -> np.ndarray:
        """(n,) standard deviation over the random orders at each point; 0 with a single order."""
        return _spread(np.array([curve.values(unit) for curve in self._random(kind)]))

    def random_area(self, kind: str, unit: str = "probability") -> tuple[float, float]:
        """Mean and standard deviation of the areas under the random orders' curves."""
        areas = np.array([curve.area(unit) for curve in self._random(kind)])
        return float(areas.mean()), float(_spread(areas))

    def lead(self, kind: str, unit: str = "probability") -> float:
        """By how much the map beats the random orders' mean area; below 0, they beat the map.

        Less area is better in deletion, more in insertion; a lead within the spread of the random areas is none.
        """
        more = self.curve(kind).area(unit) - self.random_area(kind, unit)[0]
        return -more if kind == "deletion" else more

    def covered(self, preprocessing: Preprocessing, small: np.ndarray, fraction: float) -> np.ndarray:
        """The photo (R, R, 3) as the deletion curve had it at that fraction of the area."""
        base = baseline_picture(preprocessing, small, self.baseline)
        count = round(fraction * self.order.size)
        return next(_pictures(small, base, [self.order], [(0, count)], 1))[0]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers: both curves in both units, areas, the random orders' mean and spread, the leads."""
        kinds = {kind: {unit: self._numbers(kind, unit) for unit in UNITS} for kind in KINDS}
        fractions = {kind: self.curve(kind).fractions.tolist() for kind in KINDS}
        about: dict[str, Any] = {"network": self.network, "class_index": self.class_index, "baseline": self.baseline}
        about |= {"control": self.control}
        return about | {"fractions": fractions, "random_orders": len(self.random["deletion"])} | kinds

    def _numbers(self, kind: str, unit: str) -> dict[str, Any]:
        curve = self.curve(kind)
        numbers: dict[str, Any] = {"values": curve.values(unit).tolist(), "area": curve.area(unit)}
        if self.random[kind]:
            mean, spread = self.random_area(kind, unit)
            numbers |= {"random_area": mean, "random_spread": spread, "lead": self.lead(kind, unit)}
            numbers["random_values"] = self.random_mean(kind).values(unit).tolist()
        return numbers

    def _random(self, kind: str) -> tuple[Curve, ...]:
        _one_of(kind, KINDS, "kind of curve")
        if not self.random[kind]:
            raise FoodkdError("These curves were measured without random orders; measure them with orders >= 1.")
        return self.random[kind]


def faithfulness(
    pair: Pair,
    small: np.ndarray,
    activation_map: ActivationMap,
    *,
    class_index: int | None = None,
    baseline: str = "blur",
    steps: int = 16,
    orders: int = 3,
    control: str = "cells",
    seed: int = 0,
    batch: int = 16,
) -> Faithfulness:
    """Deletion and insertion curves of a map's own network, with orders by chance as control.

    `pictures_needed(steps, orders, control)` pictures pass the network, `batch` at a time; only numbers are kept.

    Args:
        pair: in eval, as loaded; only read, so threads may share it.
        small: uint8 (R, R, 3), the photo that the map explains.
        activation_map: of any kind.
        class_index: the class watched; by default the one that the map explains.
        baseline: "blur" or "grey", see `baseline_picture`.
        steps: K, the photo is covered by 0, 1/K, ..., 1 of its area; 2 to 256.
        orders: by chance, 0 to 64.
        control: "cells" in random order, or the map "moved" elsewhere.
        seed: of the orders by chance and of ties in the map.
        batch: pictures per pass: bounds the memory.

    Raises:
        FoodkdError: no class given and none explained, or a setting out of its range.
    """
    target = _target(pair, activation_map, class_index)
    for what, value, low, high in (("steps", steps, 2, 256), ("orders", orders, 0, 64), ("batch", batch, 1, 4096)):
        _checked(what, value, low, high)
    _one_of(control, CONTROLS, "control")
    name, side = activation_map.network, len(small)
    order = place_order(activation_map, side, seed=seed)
    by_chance = random_order if control == "cells" else moved_order
    rows = [by_chance(activation_map, side, seed=seed, index=index) for index in range(orders)]
    # A random order read backwards is one as well: its pictures serve both kinds. A moved map's is another map's.
    backwards = [] if control == "cells" else [row[::-1] for row in rows]
    base = baseline_picture(pair.preprocessing, small, baseline)
    counts = np.unique(np.round(np.linspace(0, side * side, steps + 1)).astype(int))
    every = [order, order[::-1], *rows, *backwards]
    deletion, reverse, *chance = _curves(pair, name, small, base, every, counts, target, batch)
    shown = tuple(curve.mirrored() for curve in (chance[orders:] or chance))
    random = {"deletion": tuple(chance[:orders]), "insertion": shown}
    return Faithfulness(name, target, baseline, order, deletion, reverse.mirrored(), random, control)


def pictures_needed(steps: int, orders: int, control: str = "cells") -> int:
    """How many pictures pass the network for one measurement: the two ends are the same for all orders."""
    return (2 + orders * (1 if control == "cells" else 2)) * (steps - 1) + 2


def _curves(
    pair: Pair,
    name: str,
    small: np.ndarray,
    base: np.ndarray,
    orders: Sequence[np.ndarray],
    counts: np.ndarray,
    target: int,
    batch: int,
) -> list[Curve]:
    """A deletion curve per order at these counts of places (n,); the two ends are the same picture for all orders."""
    inner = [int(count) for count in counts[1:-1]]
    rows = [(0, 0), (0, int(counts[-1])), *((index, count) for index in range(len(orders)) for count in inner)]
    logits = _logits(pair, name, _pictures(small, base, orders, rows, batch))  # (rows, K)
    scores = torch.softmax(logits / pair.temperatures.get(name, 1.0), 1)[:, target].numpy()
    units = [scores, logits[:, target].numpy()]
    fractions = counts / counts[-1]
    curves = []
    for index in range(len(orders)):
        own = slice(2 + index * len(inner), 2 + (index + 1) * len(inner))
        curves.append(Curve(fractions, *(np.concatenate([v[:1], v[own], v[1:2]]) for v in units)))
    return curves


def _pictures(
    small: np.ndarray, base: np.ndarray, orders: Sequence[np.ndarray], rows: Sequence[tuple[int, int]], batch: int
) -> Iterator[np.ndarray]:
    """Batches uint8 (b, R, R, 3): for each row (order, count), the first `count` places of that order are covered."""
    ranks = np.empty((len(orders), orders[0].size), np.int64)
    for rank, order in zip(ranks, orders, strict=True):
        rank[order] = np.arange(order.size)
    for start in range(0, len(rows), batch):
        which, counts = np.array(rows[start : start + batch]).T
        hidden = (ranks[which] < counts[:, None]).reshape(-1, *small.shape[:2], 1)
        yield np.where(hidden, base, small)


@torch.no_grad()
def _logits(pair: Pair, name: str, batches: Iterator[np.ndarray]) -> Tensor:
    """(n, K) float64 on the CPU, centred."""
    network = pair.networks[name]
    device = network.head_weight.device
    answers = [network(pair.tensor(name, pictures).to(device)).logits.double().cpu() for pictures in batches]
    logits = torch.cat(answers)
    if not torch.isfinite(logits).all():
        raise FoodkdError(f"The {name} answers with values that are no numbers; its weights are damaged, reload them.")
    return centred(logits)


def _target(pair: Pair, activation_map: ActivationMap, class_index: int | None) -> int:
    target = activation_map.class_index if class_index is None else class_index
    if activation_map.network not in pair.networks:
        known = ", ".join(pair.networks)
        raise FoodkdError(f"The map is of a network '{activation_map.network}' that this pair lacks; it has {known}.")
    if target is None:
        raise FoodkdError("This map explains no class, so none can be watched; give class_index.")
    if not 0 <= target < len(pair.classes):
        raise FoodkdError(f"There is no class {target}; the pair knows classes 0 to {len(pair.classes) - 1}.")
    return int(target)


def _checked(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FoodkdError(f"{name} = {value} is out of range; allowed are {low} to {high}.")


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        raise FoodkdError(f"There is no {what} '{value}'; there are {', '.join(allowed)}.")


def _spread(rows: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis, of a sample."""
    return rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(rows.shape[1:])


# --- randomised weights


@dataclass(frozen=True, eq=False)
class RandomisedStep:
    """The map once one more part of the network has lost what it learned.

    Attributes:
        part: the part randomised last: "head", or the name of a stage. All parts above it are random already.
        map: the same sort of map, of the same class, from the randomised network.
        cosine: to the original map in image coordinates, both centred, -1..1; 0 where the map became flat.
        rank_correlation: Spearman's, of the cells' values, -1..1; 0 where the map became flat.
        probability: the class's calibrated probability now.
    """

    part: str
    map: ActivationMap
    cosine: float
    rank_correlation: float
    probability: float


def randomisation(
    pair: Pair, small: np.ndarray, activation_map: ActivationMap, *, seed: int = 0
) -> Iterator[RandomisedStep]:
    """Randomise a private copy of the map's network from the head down, stage by stage, and draw the map each time.

    The entries of each weight are shuffled (so their scale stays that of the trained network); batch norm's statistics
    are then measured anew on the eight mirrored and turned views of the photo, since those of other weights would let
    the signal burst or die, and the map would change for that reason only.

    Args:
        pair: as loaded; its own networks are never touched.
        small: uint8 (R, R, 3), the photo that the map explains.
        activation_map: an IAM or a layer map.
        seed: of the shuffling.

    Yields:
        A step per part as soon as it is done: the head first, the earliest stage last.

    Raises:
        FoodkdError: a map that can't be drawn again (of a cell's similarity), or a class that the pair lacks.
    """
    target = _target(pair, activation_map, activation_map.class_index if activation_map.class_index is not None else 0)
    if activation_map.kind not in ("iam", "layer"):
        raise FoodkdError(f"A map of kind '{activation_map.kind}' can't be drawn again; give an IAM or a layer map.")
    name = activation_map.network
    network = copy.deepcopy(pair.networks[name])
    image, views = pair.tensor(name, small), pair.tensor(name, _views(small))
    norms: list[nn.Module] = []
    for part, parameters in _parts(network, image.shape[-1]).items():
        _shuffle(network, parameters, seed)
        norms += _norms(network, parameters)
        _settle(network, norms, views)
        temperature = pair.temperatures.get(name, 1.0)
        explanation = Explanation(network, image, name=name, classes=pair.classes, temperature=temperature)
        yield _step(part, explanation, activation_map, target)


def _step(part: str, explanation: Explanation, original: ActivationMap, target: int) -> RandomisedStep:
    again = explanation.iam(target) if original.kind == "iam" else _layer(explanation, original)
    cosine = compare(original, again).cosine_centred
    rank = rank_correlation(original.values, again.values)
    return RandomisedStep(part, again, cosine, rank, float(explanation.probabilities[target]))


def _layer(explanation: Explanation, original: ActivationMap) -> ActivationMap:
    return explanation.layer(original.stage, original.method, original.class_index)


def _parts(network: TappedClassifier, size: int) -> dict[str, list[str]]:
    """Names of each part's parameters, the head first: a stage owns those that reach it but no earlier stage.

    Found on the meta device, where nothing is computed; `network` must be a private copy, since the call swaps its
    parameters for a moment.
    """
    names = [name for name, _ in network.named_parameters()]
    state = {name: torch.empty_like(p, device="meta").requires_grad_() for name, p in network.named_parameters()}
    buffers = {name: torch.empty_like(b, device="meta") for name, b in network.named_buffers()}
    image = torch.empty(1, 3, size, size, device="meta")
    with torch.enable_grad():
        tapped = torch.func.functional_call(network, state | buffers, (image,))
    owned: set[str] = set()
    parts: dict[str, list[str]] = {}
    for part, output in [*zip(network.taps, tapped.stages, strict=True), ("head", tapped.logits)]:
        slopes = torch.autograd.grad(output.sum(), list(state.values()), retain_graph=True, allow_unused=True)
        reached = [name for name, slope in zip(names, slopes, strict=True) if slope is not None and name not in owned]
        owned |= set(reached)
        parts[part] = reached
    return dict(reversed(parts.items()))


@torch.no_grad()
def _shuffle(network: nn.Module, names: Sequence[str], seed: int) -> None:
    """Shuffle the entries of each of these parameters, by the seed and its name alone."""
    parameters = dict(network.named_parameters())
    for name in names:
        # 32 bits of the seed are all that PyTorch's generator on the CPU heeds.
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        values = parameters[name]
        places = torch.randperm(values.numel(), generator=generator).to(values.device)
        values.copy_(values.flatten()[places].view(values.shape))


def _norms(network: nn.Module, parameters: Sequence[str]) -> list[nn.Module]:
    owners = {name.rpartition(".")[0] for name in parameters}
    modules = [module for name, module in network.named_modules() if name in owners]
    return [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def _settle(network: TappedClassifier, norms: Sequence[Any], views: Tensor) -> None:
    """Measure the statistics of these batch norms, and of no other, on the views; all end in eval."""
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average, of a single pass
        norm.train()
    network(views)
    network.eval()


def _views(small: np.ndarray) -> np.ndarray:
    """The photo in its eight mirrored and turned forms, (8, R, R, 3)."""
    turned = [np.rot90(small, turns) for turns in range(4)]
    return np.stack([*turned, *(view[:, ::-1] for view in turned)])


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays of one shape, ties sharing their mean rank; 0 where one is flat."""
    a, b = (ranks - ranks.mean() for ranks in (_ranks(first), _ranks(second)))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / norms, -1.0, 1.0)) if norms > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(_even(values.ravel()), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place]


__all__ = [
    "BASELINES",
    "CONTROLS",
    "KINDS",
    "UNITS",
    "Covered",
    "Curve",
    "Faithfulness",
    "RandomisedStep",
    "baseline_picture",
    "cover",
    "cover_up",
    "faithfulness",
    "fitted_mask",
    "moved_order",
    "pictures_needed",
    "place_order",
    "random_order",
    "randomisation",
    "rank_correlation",
]
