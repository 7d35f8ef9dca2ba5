"""Put a shipped pair together from two runs and measure it.

    python -m benchmarks.predict runs/joint/last teacher --data DATA --out runs/logits/teacher.npz
    python -m benchmarks.predict runs/joint/last student --data DATA --out runs/logits/student.npz
    python -m benchmarks.predict runs/alone/last student --data DATA --out runs/logits/student-alone.npz
    python -m benchmarks.assemble_pair runs/joint/last --alone runs/alone/last --data DATA --logits runs/logits \\
        --out checkpoints/food101-64 [--began-with PAIR ...]

Takes teacher, student and auxiliary classifiers from the joint run and the student that learned alone from the other.
Agreement of the maps is measured on validation photos, accuracy on the whole official test split, by the code behind
`foodkd evaluate`. What all networks answered on that split goes with the pair, as answers.npz; what else lay beside an
earlier pair there (model card, ablation, playback) stays. Runs that went on from other checkpoints name them, first to
last, so that pair.json tells the whole training.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError, run_command
from foodkd.explain import measure_agreement
from foodkd.explain.answers import FILE, Answers
from foodkd.files import whole_file
from foodkd.nets import Pair
from foodkd.train.metrics import judge

MAP_PHOTOS = 303
"""Validation photos for the agreement of maps: three of each of 101 classes."""


TRAINED = ("recipe", "starting_weights", "training", "averaged", "refit")
"""What pair.json says about how networks came about."""
BESIDE = ("README.md", "ablation.json", "playback.npz")


def assemble(joint: Path, alone: Path, began_with: Sequence[Path] = ()) -> Pair:
    """The joint run's pair with the lone student beside it, and how each of the three was trained, all legs of it."""
    pair, other = Pair.load(joint), Pair.load(alone)
    settings = {**pair.settings, "student-alone": other.settings["student"]}
    networks = {**pair.networks, "student-alone": other.networks["student"]}
    temperatures = {**pair.temperatures, "student-alone": other.temperatures["student"]}
    info: dict[str, Any] = {key: pair.info[key] for key in TRAINED if key in pair.info}
    info["student-alone"] = {key: other.info[key] for key in TRAINED if key in other.info}
    for path in began_with:
        before = Pair.load(path).info
        own = {key: before[key] for key in (*TRAINED, "student-alone", "metrics") if key in before}
        info["earlier"] = [*info.get("earlier", []), *before.get("earlier", []), own]
    return Pair(pair.classes, pair.preprocessing, networks, settings, pair.auxiliary, temperatures, info)


def map_agreement(pair: Pair, photos: Photos) -> dict[str, Any]:
    """How alike the two networks' maps are, beside those of mismatched photos, for every stage and method."""
    rows = np.linspace(0, len(photos) - 1, min(MAP_PHOTOS, len(photos))).astype(int)
    measured = measure_agreement(pair, list(photos.read(rows)), photos.labels[rows].tolist())
    return {key: value.to_json() for key, value in measured.items()}


def kept_logits(pair: Pair, folder: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor, list[str]]:
    """Every network's logits on the test photos, their labels and their ids.

    Raises:
        FoodkdError: logits of other weights, or not all on the same photos.
    """
    logits, labels, ids = {}, torch.empty(0), None
    for name in pair.networks:
        kept = np.load(folder / f"{name}.npz")
        if str(kept["sha256"]) != pair.info["networks"][name]["sha256"]:
            raise FoodkdError(f"{folder / name}.npz comes from other weights than {pair.path}; predict again.")
        if ids is not None and ids != kept["ids"].tolist():
            raise FoodkdError(f"{folder / name}.npz is about other photos than the networks before it; predict again.")
        logits[name], labels = torch.from_numpy(kept["logits"]), torch.from_numpy(kept["labels"])
        ids = kept["ids"].tolist()
    return logits, labels, ids or []


def main() -> None:
    """Assemble, save, measure what was saved, save the figures with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("joint", type=Path)
    for option in ("--alone", "--data", "--logits", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--began-with", type=Path, nargs="+", default=[], help="what the runs went on from, in order")
    options = parser.parse_args()
    beside = {name: (options.out / name).read_bytes() for name in BESIDE if (options.out / name).is_file()}
    assemble(options.joint, options.alone, options.began_with).save(options.out, replace=True)
    pair = Pair.load(options.out)  # what is measured is what ships: the fp16 weights
    logits, labels, ids = kept_logits(pair, options.logits)
    pair.info["metrics"] = judge(pair, logits, labels)
    data = pair.info["recipe"]["data"]
    common = {"resolution": data["resolution"], "holdout": data["holdout"]}
    pair.info["agreement"] = map_agreement(pair, open_photos("food101", options.data, "validation", **common))
    pair.save(options.out, replace=True)
    arrays = {name: values.numpy() for name, values in logits.items()}
    # Saving swaps the whole folder, so this comes last.
    for name, content in beside.items():
        with whole_file(options.out / name) as temporary:
            temporary.write_bytes(content)
    Answers.of(pair, arrays, ids, labels.numpy(), dataset="food101", split="test").save(options.out / FILE)


if __name__ == "__main__":
    run_command(main)
