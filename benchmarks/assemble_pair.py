"""Put a shipped pair together from two runs and measure it.

    python benchmarks/assemble_pair.py runs/joint/last --alone runs/alone/last --data DATA --out checkpoints/food101-64

Takes teacher, student and auxiliary classifiers from the joint run and the student that learned alone from the other.
Agreement of the maps is measured on validation photos, accuracy on the whole official test split (by the very code
behind `foodkd evaluate`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from foodkd.data import Photos, open_photos
from foodkd.explain import measure_agreement
from foodkd.nets import Pair
from foodkd.train.metrics import evaluate_pair

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


def main() -> None:
    """Assemble, save, measure what was saved, save the figures with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("joint", type=Path)
    parser.add_argument("--alone", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    assemble(options.joint, options.alone).save(options.out, replace=True)
    pair = Pair.load(options.out)  # what is measured is what ships: the fp16 weights
    data = pair.info["recipe"]["data"]
    common = {"resolution": data["resolution"], "holdout": data["holdout"]}
    pair.info["agreement"] = map_agreement(pair, open_photos("food101", options.data, "validation", **common))
    test = open_photos("food101", options.data, "test", **common)
    with tqdm(total=len(test) * len(pair.networks), unit="photo") as bar:
        done: dict[str, int] = {}

        def progress(name: str, count: int) -> None:
            bar.update(count - done.get(name, 0))
            done[name] = count

        pair.info["metrics"] = evaluate_pair(pair, test, progress=progress)
    pair.save(options.out, replace=True)


if __name__ == "__main__":
    main()
