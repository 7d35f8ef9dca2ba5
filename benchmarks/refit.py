"""Fit a run's end to the photos it will meet: norms measured anew, another input size, calibrated anew.

    python -m benchmarks.refit runs/joint/last --data DATA --out runs/joint/refit
        [--teacher-size 208] [--student-size 144] [--norms augmented] [--batches 90]

Random crops show a network its subjects larger than whole photos do, so that it does better on whole photos that are
enlarged a little more than in training (Touvron et al., NeurIPS 2019). Norms of "augmented" photos are those that the
weights were trained with, norms of "plain" ones those of photos as they are met afterwards: which serves better depends
on how hard the augmentation was, and is decided on validation photos. Weights stay as they are.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foodkd.data import Augmentation, Augmenter, Photos, batch_order, open_photos
from foodkd.errors import FoodkdError, run_command
from foodkd.nets import Pair
from foodkd.nets.strides import recalibrate
from foodkd.train.metrics import fit_temperature, labels_for, measure, predict

BATCH = 64


def batches(pair: Pair, photos: Photos, size: int, count: int, norms: str) -> Iterator[Tensor]:
    """`count` batches (64, 3, size, size) of training photos, "plain" or "augmented" as the pair's recipe says."""
    settings = Augmentation.none() if norms == "plain" else Augmentation.model_validate(pair.info["recipe"]["augment"])
    augment = Augmenter(settings, pair.preprocessing, classes=len(pair.classes))
    for step, rows in enumerate(_rows(photos, count)):
        batch = augment(photos.read(rows), photos.labels[rows], sizes=(size,), seed=0, step=step)
        yield batch.images[0].contiguous(memory_format=torch.channels_last)


def _rows(photos: Photos, count: int) -> list[np.ndarray]:
    """The photos of each batch: at most `count`, and no photo twice."""
    return list(batch_order(len(photos), BATCH, seed=0, epoch=0)[:count])


def trained(pair: Pair) -> list[str]:
    """Names of the networks that the run trained; of a pair that has shipped, both."""
    return list(pair.info.get("trained", ("teacher", "student")))


def refit(pair: Pair, train: Photos, held: Photos, *, sizes: Mapping[str, int], count: int, norms: str) -> Pair:
    """The pair's trained networks with norms of `count` batches at the training's size, to be shown photos at `sizes`.

    Args:
        pair: what a run ended with; it stays as it is.
        train: the photos it was trained on.
        held: validation photos, for the temperature and the figures in `info["refit"]`.
        sizes: input side of each network from now on; one that is not named keeps the training's.
        count: batches of 64 photos, as far as there are so many; 0 keeps the norms.
        norms: "plain" or "augmented" photos.

    Raises:
        FoodkdError: a size for a network that the run did not train.
    """
    if strangers := sizes.keys() - set(trained(pair)):
        known = " and the ".join(trained(pair))
        raise FoodkdError(f"This run did not train the {min(strangers)}, only the {known}; give no size for it.")
    networks, settings, temperatures = dict(pair.networks), dict(pair.settings), dict(pair.temperatures)
    found: dict[str, object] = {"norms": norms if count else "kept", "photos": sum(map(len, _rows(train, count)))}
    labels = labels_for(pair, held)
    for name in trained(pair):
        networks[name] = copy.deepcopy(pair.networks[name])
        if count:
            recalibrate(networks[name], batches(pair, train, pair.sizes[name], count, norms))
        networks[name].eval()
        settings[name] = settings[name].model_copy(update={"size": sizes.get(name, pair.sizes[name])})
        logits = predict(networks[name], held, pair.preprocessing, settings[name].size)
        temperatures[name] = fit_temperature(logits, labels)
        found[name] = {"trained_at": pair.sizes[name], "size": settings[name].size, **measure(logits, labels)}
    info = pair.info | {"refit": found}
    return replace(pair, networks=networks, settings=settings, temperatures=temperatures, info=info)


def _side(text: str) -> int:
    if not text.isdecimal() or not 32 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text} is no input side: give pixels from 32 to 1024.")
    return int(text)


def main() -> None:
    """Refit, say what came of it, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    for name in ("teacher", "student"):
        parser.add_argument(f"--{name}-size", type=_side, help="input side from now on, by default the training's")
    parser.add_argument("--norms", choices=("plain", "augmented"), default="augmented")
    parser.add_argument("--batches", type=int, default=90, help="of 64 training photos, for the norms; 0 keeps them")
    options = parser.parse_args()
    pair = Pair.load(options.run)
    data = pair.info["recipe"]["data"]
    common = {"resolution": data["resolution"], "holdout": data["holdout"], "seed": 0, **data["options"]}
    train, held = (open_photos(data["dataset"], options.data, split, **common) for split in ("train", "validation"))
    asked = {"teacher": options.teacher_size, "student": options.student_size}
    sizes = {name: size for name, size in asked.items() if size is not None}
    made = refit(pair, train, held, sizes=sizes, count=options.batches, norms=options.norms)
    for name in trained(made):
        one = made.info["refit"][name]
        rates = f"{100 * one['top1']:.1f} % top-1, {100 * one['top5']:.1f} % top-5"
        print(f"{name} at {one['size']} px: {rates} of {len(held):,} validation photos")
    made.save(options.out)


if __name__ == "__main__":
    run_command(main)
