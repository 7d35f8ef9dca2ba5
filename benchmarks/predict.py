"""One network's logits on the official test photos, kept in a file, so that several can be computed side by side.

python -m benchmarks.predict runs/joint/last teacher --data DATA --out runs/logits/teacher.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from foodkd.data import open_photos
from foodkd.errors import run_command
from foodkd.files import sha256, whole_file
from foodkd.nets import Pair
from foodkd.train.metrics import labels_for, predict


def main() -> None:
    """Predict and write: "logits" (N, K) float32, "labels" (N,), "ids" (N,), and "sha256" of the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("network")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pair = Pair.load(options.checkpoint)
    photos = open_photos("food101", options.data, "test", resolution=pair.preprocessing.resolution)
    name = options.network
    with tqdm(total=len(photos), unit="photo") as bar:
        logits = predict(
            pair.networks[name],
            photos,
            pair.preprocessing,
            pair.sizes[name],
            progress=lambda done: bar.update(done - bar.n),
        )
    weights = sha256(options.checkpoint / pair.info["networks"][name]["file"])
    with whole_file(options.out) as temporary, temporary.open("wb") as file:
        labels = labels_for(pair, photos).numpy()
        np.savez(file, logits=logits.numpy(), labels=labels, ids=np.array(photos.ids), sha256=np.array(weights))


if __name__ == "__main__":
    run_command(main)
