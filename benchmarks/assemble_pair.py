"""Put a shipped pair together from two runs and measure it.

    python benchmarks/predict.py runs/joint/last teacher --data DATA --out runs/logits/teacher.npz
    python benchmarks/predict.py runs/joint/last student --data DATA --out runs/logits/student.npz
    python benchmarks/predict.py runs/alone/last student --data DATA --out runs/logits/student-alone.npz
    python benchmarks/assemble_pair.py runs/joint/last --alone runs/alone/last --data DATA --logits runs/logits \\
        --out checkpoints/food101-64

Takes teacher, student and auxiliary classifiers from the joint run and the student that learned alone from the other.
Agreement of the maps is measured on validation photos, accuracy on the whole official test split, by the code behind
`foodkd evaluate`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError
from foodkd.explain import measure_agreement
from foodkd.nets import Pair
from foodkd.train.metrics import judge

MAP_PHOTOS = 303
"""Validation photos for the agreement of maps: three of each of 101 classes."""


def assemble(joint: Path, alone: Path) -> Pair:
    """The joint run's pair with the lone student beside it, and how each of the three was trained."""
    pair, other = Pair.load(joint), Pair.load(alone)
    settings = {**pair.settings, "student-alone": other.settings["student"]}
    networks = {**pair.networks, "student-alone": other.networks["student"]}
    temperatures = {**pair.temperatures, "student-alone": other.temperatures["student"]}
    kept = ("recipe", "starting_weights", "training")
    info: dict[str, Any] = {key: pair.info[key] for key in kept}
    info["student-alone"] = {key: other.info[key] for key in kept}
    return Pair(pair.classes, pair.preprocessing, networks, settings, pair.auxiliary, temperatures, info)


def map_agreement(pair: Pair, photos: Photos) -> dict[str, Any]:
    """How alike the two networks' maps are, beside those of mismatched photos, for every stage and method."""
    rows = np.linspace(0, len(photos) - 1, min(MAP_PHOTOS, len(photos))).astype(int)
    measured = measure_agreement(pair, list(photos.read(rows)), photos.labels[rows].tolist())
    return {key: value.to_json() for key, value in measured.items()}


def metrics(pair: Pair, folder: Path) -> dict[str, Any]:
    """The test figures, from logits that these very weights gave.

    Raises:
        FoodkdError: logits of other weights.
    """
    logits, labels = {}, torch.empty(0)
    for name in pair.networks:
        kept = np.load(folder / f"{name}.npz")
        if str(kept["sha256"]) != pair.info["networks"][name]["sha256"]:
            raise FoodkdError(f"{folder / name}.npz comes from other weights than {pair.path}; predict again.")
        logits[name], labels = torch.from_numpy(kept["logits"]), torch.from_numpy(kept["labels"])
    return judge(pair, logits, labels)


def main() -> None:
    """Assemble, save, measure what was saved, save the figures with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("joint", type=Path)
    for option in ("--alone", "--data", "--logits", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    assemble(options.joint, options.alone).save(options.out, replace=True)
    pair = Pair.load(options.out)  # what is measured is what ships: the fp16 weights
    pair.info["metrics"] = metrics(pair, options.logits)
    data = pair.info["recipe"]["data"]
    common = {"resolution": data["resolution"], "holdout": data["holdout"]}
    pair.info["agreement"] = map_agreement(pair, open_photos("food101", options.data, "validation", **common))
    pair.save(options.out, replace=True)


if __name__ == "__main__":
    main()
