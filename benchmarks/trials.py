"""How the student learns best from the photos alone: settings against each other, at equal compute.

    python -m benchmarks.trials --data DATA --set student.weights=FILE
    python -m benchmarks.trials --data DATA --set student.weights=FILE --share 0.1 --results docs/trials-few
    python -m benchmarks.trials --table

Each trial changes one thing in what `--set` gives and trains the student alone, from the same starting weights and with
the photos in the same order. It has as many steps as cost what the first trial's cost, counted in pixels: smaller
inputs or batches get more. The runs are the ablation's (`benchmarks/ablation.py`), judged as there on photos held out
of the training split. A finished trial leaves one small file in `docs/trials/` and is not repeated; the ablation's own
run of the student alone, copied into `as-it-is/`, is the settings as they are where its settings are the same.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import ablation
from foodkd.errors import FoodkdError, run_command
from foodkd.files import whole_file
from foodkd.train.recipe import Recipe, load_recipe

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "trials"
ROW, SEED = "student-alone", 0
BASE = "as-it-is"
RATES = ("1.25e-4", "2.5e-4", "1e-3", "2e-3")
TRIALS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    BASE: ("the settings as they are", ()),
    **{f"rate-{rate}": (f"learning rate {rate}", (f"student_learning.rate={rate}",)) for rate in RATES},
    "batch-16": ("16 photos a step", ("train.batch_size=16",)),
    "batch-64": ("64 photos a step", ("train.batch_size=64",)),
    "fine": ("all steps at full size", ("train.coarse=0",)),
    "coarser": ("the coarse steps at half the size", ("train.coarse_scale=0.5",)),
    "crops-wide": ("crops from a quarter of the photo on", ("augment.scale=[0.25,1.0]",)),
    "crops-tight": ("crops of 0.8 of the photo and more", ("augment.scale=[0.8,1.0]",)),
    "colour": (
        "brightness, contrast, saturation by up to 0.3",
        ("augment.brightness=0.3", "augment.contrast=0.3", "augment.saturation=0.3"),
    ),
    "trivial": ("TrivialAugment", ("augment.trivial=true",)),
    "mixup": ("mixup, alpha 0.2", ("augment.mixup=0.2",)),
    "cutmix": ("cutmix, alpha 1, every second batch", ("augment.cutmix=1.0", "augment.mix_probability=0.5")),
    "smoothing": ("label smoothing 0.1", ("distill.student_smoothing=0.1",)),
    "unfrozen": ("the first stage learns, too", ("student_learning.frozen_stages=0",)),
}
"""Name -> what is other than in `--set`, in words and as settings."""


def options_of(options: argparse.Namespace, name: str) -> argparse.Namespace:
    """What the ablation runs a trial with: one setting more, a folder of its own, steps that cost the same."""
    own = copy.copy(options)
    own.set = [*options.set, *TRIALS[name][1]]
    own.out, own.results, own.head_start = options.out / name, options.results / name, 0
    own.steps = round(options.steps * _cost(_recipe(options.recipe, options.set)) / _cost(_recipe(own.recipe, own.set)))
    return own


def _recipe(name: str, settings: list[str]) -> Recipe:
    return load_recipe(name, [*settings, *ablation.ROWS[ROW].settings])


def _cost(recipe: Recipe) -> float:
    """Pixels that a step of the student's reads in the mean, in those of a full-size photo."""
    train = recipe.train
    return train.batch_size * (1 - train.coarse + train.coarse * train.coarse_scale**2)


def read(results: Path) -> dict[str, dict[str, Any]]:
    """Every finished trial's result by its name, in the order of `TRIALS`.

    Raises:
        FoodkdError: the settings as they are were not tried, or trials differ in more than what they try.
    """
    files = [(name, file) for name in TRIALS for file in (results / name).glob(f"*-{SEED}-{ROW}.json")]
    runs = [(name, json.loads(file.read_text(encoding="utf-8"))) for name, file in files]
    if BASE not in dict(runs):
        raise FoodkdError(f"{results} holds no trial of the settings as they are; run benchmarks/trials.py first.")
    if len({(run["share"], run["photos"], _given(name, run)) for name, run in runs}) > 1:
        raise FoodkdError(f"{results} holds trials of different settings or photos, which can't stand in one table.")
    return dict(runs)


def _given(name: str, run: Mapping[str, Any]) -> str:
    """The command that a trial shares with all others: without its own setting, its steps, and others' head start."""
    own = "".join(f" {shlex.join(['--set', setting])}" for setting in TRIALS[name][1])
    return re.sub(r" --(steps|head-start) \d+", "", str(run["command"])).removesuffix(own)


def markdown(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The table for docs/results.md."""
    lines = ["| tried | steps | top-1 | top-5 | gain on the first line (95 %) |", "|---|--:|--:|--:|--:|"]
    for name, run in runs.items():
        gain = ablation.difference([run], [runs[BASE]]) if name != BASE else None
        rates = f"{run['steps']:,} | {100 * run['student']['top1']:.1f} | {100 * run['student']['top5']:.1f}"
        lines.append(f"| {TRIALS[name][0]} | {rates} | {ablation.interval(gain)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ablation.add_options(parser, out=Path("runs/trials"), results=RESULTS)
    parser.add_argument("--trials", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--share", type=float, default=1.0, help="of the training labels")
    options = parser.parse_args()
    for name in [] if options.table else options.trials:
        print(f"{name}: {TRIALS[name][0]}", flush=True)
        ablation.run_one(options_of(options, name), ROW, SEED, options.share)
    made = markdown(read(options.results))
    with whole_file(options.results / "table.md") as temporary:
        temporary.write_text(made, encoding="utf-8")
    print(made)


if __name__ == "__main__":
    run_command(main)
