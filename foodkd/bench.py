"""How fast it is, as ratios: every time is divided by bare passes of the same networks in the same process.

    python -m foodkd bench            all of them
    python -m foodkd bench app        one

Seconds say more about a machine, and about what else it does, than about a program; a ratio taken within one run says
what the program adds. Medians of rounds in which everything that is compared takes its turn.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from foodkd.data import Augmentation, Augmenter, Batch
from foodkd.distill import DistillSettings, JointDistiller
from foodkd.errors import FoodkdError
from foodkd.nets import Pair
from foodkd.train.learner import Learner
from foodkd.train.recipe import LearningSettings, Recipe

if TYPE_CHECKING:
    from foodkd.ui.faithfulness import Bench
    from foodkd.ui.session import Desk, View

BOTH = ("teacher", "student")
TABS = ("compare", "iam", "layers", "faithfulness")
Figures = dict[str, float]


def run_benchmark(name: str | None, *, checkpoint: Path, repeats: int = 9) -> dict[str, Figures]:
    """Run one benchmark, or all, on a checkpoint, and print a table.

    Args:
        name: one of `BENCHMARKS`; None for all.
        checkpoint: the pair's folder.
        repeats: of every timed thing; the median is reported.

    Returns:
        Figures by benchmark. Names end in their unit: "_s" seconds, "_per_s" per second, "_ratio" none.

    Raises:
        FoodkdError: no such benchmark or checkpoint.
    """
    if name is not None and name not in BENCHMARKS:
        raise FoodkdError(
            f"There is no benchmark '{name}'; choose one of {', '.join(BENCHMARKS)}, or give none for all."
        )
    results = {}
    for chosen in [name] if name is not None else list(BENCHMARKS):
        results[chosen] = BENCHMARKS[chosen](Pair.load(checkpoint), repeats)
        print("\n".join(_table(chosen, results[chosen])), flush=True)
    return results


def _table(name: str, figures: Figures) -> list[str]:
    lines = [f"{name}, {torch.get_num_threads()} thread(s)"]
    return lines + [f"  {figure:40}{_written(figure, value):>14}" for figure, value in figures.items()]


def _written(figure: str, value: float) -> str:
    if figure.endswith("_per_s"):
        return f"{value:.1f} /s"
    return f"{1000 * value:.1f} ms" if figure.endswith("_s") else f"{value:.2f} x"


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _rounds(actions: dict[str, Callable[[], Any]], repeats: int) -> list[Figures]:
    """Seconds of every action in every round, after one round that only warms up.

    Actions take turns within a round, so that a machine that slows down half way slows all of them alike.
    """
    return [{name: _seconds(action) for name, action in actions.items()} for _ in range(repeats + 1)][1:]


def _medians(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _ratio(rounds: list[Figures], above: str, *below: str) -> float:
    """Median over the rounds of one time by the sum of others."""
    return statistics.median(one[above] / sum(one[name] for name in below) for one in rounds)


# forward


def forward(pair: Pair, repeats: int) -> Figures:
    """Bare passes of each network over one photo, and over 16 at once."""
    rounds = _rounds({f"{name}_pass_s": _bare_pass(pair, name) for name in pair.networks}, repeats)
    many = _medians(_rounds({name: _bare_pass(pair, name, photos=16) for name in pair.networks}, max(1, repeats // 3)))
    ratio = _ratio(rounds, "teacher_pass_s", "student_pass_s")
    rates = {f"{name}_photos_per_s": 16 / seconds for name, seconds in many.items()}
    return _medians(rounds) | rates | {"teacher_to_student_ratio": ratio}


def _bare_pass(pair: Pair, name: str, *, photos: int = 1) -> Callable[[], None]:
    network, images = pair.networks[name], pair.tensor(name, _noise(pair, photos))

    def run() -> None:
        with torch.inference_mode():
            network(images)

    return run


def _noise(pair: Pair, count: int) -> np.ndarray:
    side = pair.preprocessing.resolution
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


# train


def train(pair: Pair, repeats: int) -> Figures:
    """A step of joint training against both networks' own bare forward and backward passes on the same photos.

    The step holds everything: augmentation, both passes, every distillation term, backward, clipping, both optimisers.
    Settings and precisions are those of the pair's recipe, where it has one.
    """
    distill, learning, augmentation, size = _as_trained(pair)
    distiller = _distiller(pair, distill, learning)
    learners = [Learner(name, distiller, learning[name]) for name in BOTH]
    augmenter = Augmenter(augmentation, pair.preprocessing, classes=len(pair.classes))
    photos, labels = _noise(pair, size), torch.arange(size) % len(pair.classes)

    def augment() -> Batch:
        return augmenter(photos, labels, sizes=tuple(pair.sizes[name] for name in BOTH), seed=0, step=0)

    def step() -> None:
        batch = augment()
        distiller(batch.images, batch.targets, 1.0)["loss"].backward()
        for learner in learners:
            learner.step()

    images = augment().images
    bare = {f"{n}_bare_s": _bare_training(distiller, i, images[i], labels) for i, n in enumerate(BOTH)}
    rounds = _rounds({**bare, "augmentation_s": augment, "joint_step_s": step}, max(1, repeats // 3))
    figures = _medians(rounds)
    ratio = _ratio(rounds, "joint_step_s", *bare)
    return figures | {"photos_per_s": size / figures["joint_step_s"], "joint_to_bare_ratio": ratio}


def _as_trained(pair: Pair) -> tuple[DistillSettings, dict[str, LearningSettings], Augmentation, int]:
    """Settings of the pair's own recipe; of the defaults, as far as they suit its networks, where it carries none."""
    if pair.info.get("recipe"):
        recipe = Recipe.model_validate(pair.info["recipe"])
        distill = recipe.distill.model_copy(update={"mode": "joint"})
        learning = {"teacher": recipe.teacher_learning, "student": recipe.student_learning}
        return distill, learning, recipe.augment, recipe.train.batch_size
    additive = all(pair.networks[name].additive for name in BOTH)
    distill = DistillSettings(iam=1.0 if additive else 0.0)
    return distill, {name: LearningSettings() for name in BOTH}, Augmentation(), 16


def _distiller(pair: Pair, settings: DistillSettings, learning: dict[str, LearningSettings]) -> JointDistiller:
    teacher, student = (copy.deepcopy(pair.networks[name]).requires_grad_(True) for name in BOTH)
    sizes = (pair.sizes["teacher"], pair.sizes["student"])
    precision = (learning["teacher"].precision, learning["student"].precision)
    distiller = JointDistiller(teacher, student, settings, sizes=sizes, precision=precision)
    return distiller.to(memory_format=torch.channels_last).train()


def _bare_training(distiller: JointDistiller, index: int, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """Forward, cross entropy and backward of one network, in the precision that the joint step gives it."""
    network, low = distiller.networks[BOTH[index]], distiller.precision[index] == "bfloat16"

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = network(images).logits
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        network.zero_grad(set_to_none=True)

    return run


# app


def app(pair: Pair, repeats: int) -> Figures:
    """What the app adds to the two networks' passes: at its start, for a new photo, for another class.

    Server time, without imports, network and browser. The first answer is timed from the loaded pair to the built page
    that shows it. A new photo is a JPEG never seen before, of 12 megapixels and of 512 x 384 pixels, with all panels
    of the first tab. Another class is timed in tabs 1 to 4: layer maps may need gradients, the fourth tab shows what
    it knows and then measures both networks' curves (`class_curves_s`, some hundred passes). The last figures are
    shares of the aims, a new photo within 1.5 times the bare passes plus 150 ms, another class within 100 ms.
    """
    import foodkd.ui

    bare = [_bare_pass(pair, name) for name in BOTH]
    for run in bare:
        run()
    first = {"bare_passes_s": sum(_seconds(run) for run in bare)}
    first["first_answer_s"] = _seconds(lambda: foodkd.ui.build_app(pair))
    with tempfile.TemporaryDirectory() as folder:
        rounds = _touches(pair, bare, Path(folder), repeats + 1)[1:]
    figures = _medians(rounds)
    touches = [figure for figure in figures if figure != "bare_passes_s"]
    ratios = {figure.removesuffix("_s") + "_ratio": _ratio(rounds, figure, "bare_passes_s") for figure in touches}
    ratios["first_answer_ratio"] = _ratio([first], "first_answer_s", "bare_passes_s")
    aims = {}
    for figure in [figure for figure in touches if figure != "class_curves_s"]:
        aim = 1.5 * figures["bare_passes_s"] + 0.15 if "photo" in figure else 0.1
        aims[f"{figure.removesuffix('_s')}_of_aim_ratio"] = figures[figure] / aim
    return figures | {"first_answer_s": first["first_answer_s"]} | ratios | aims


def _photo(path: Path, size: tuple[int, int], seed: int) -> Path:
    """A smooth random picture as a JPEG; smooth, as photos compress far better than noise."""
    cells = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def _touches(pair: Pair, bare: list[Callable[[], None]], folder: Path, count: int) -> list[Figures]:
    """So many times, each with new photos: seconds of the bare passes, of showing a photo, and of another class."""
    from foodkd.ui.faithfulness import Bench
    from foodkd.ui.session import Desk, View, read_examples

    desk = Desk(pair, read_examples())
    bench, rounds = Bench(desk), []
    for index in range(count):
        times = {"bare_passes_s": sum(_seconds(run) for run in bare)}
        for name, size in (("new_small_photo_s", (512, 384)), ("new_photo_s", (4000, 3000))):
            path = _photo(folder / f"{index}.jpg", size, index)
            began = time.perf_counter()
            view = View(desk.photo(path))
            _draw_photo(bench, view)
            times[name] = time.perf_counter() - began
        other = desk.chosen(view, pair.classes[(desk.class_index(view) + 1) % len(pair.classes)])
        for tab in TABS:
            times[f"class_{tab}_s"] = _seconds(partial(_draw_tab, bench, other, tab))
        times["class_curves_s"] = sum(_seconds(partial(bench.curves, other, name)) for name in BOTH)
        rounds.append(times)
    return rounds


def _draw_photo(bench: Bench, view: View) -> None:
    """Everything that the first tab redraws for a new photo."""
    from foodkd.ui import compare

    compare.photo_panel(bench.desk, view)
    compare.examples_panel(bench.desk.examples.values(), compare.example_of(view))
    _draw_tab(bench, view, "compare")


def _draw_tab(bench: Bench, view: View, tab: str) -> None:
    """Everything that a tab redraws at once for another class."""
    from foodkd.ui import compare, faithfulness, iam, layers

    panels: dict[str, list[Callable[[Desk, View], str]]] = {
        "compare": [compare.answers_panel],
        "iam": [iam.maps_panel, iam.place_panel, iam.alike_panel],
        "layers": [layers.rows_panel],
        "faithfulness": [faithfulness.brush_panel, faithfulness.covered_panel],
    }
    for panel in [compare.verdict, *panels[tab]]:
        panel(bench.desk, view)
    if tab == "faithfulness":
        faithfulness.curves_panel(bench, view)


BENCHMARKS: dict[str, Callable[[Pair, int], Figures]] = {"forward": forward, "train": train, "app": app}
