"""Does a photo of full size score like its 64 px file? What the road from a large photo to the networks costs.

    python -m benchmarks.reduction checkpoints/food101-64 --data DATA --out docs/reduction.json

The dataset at hand holds photos that were already reduced to 64 px and compressed as JPEG; a visitor's photo comes in
full size and is reduced without that compression. Held-out training photos are therefore judged as they are, after one
more JPEG compression at 64 px, and from a photo eight times as large that reduces to them, compressed as a photo of
that size and sent the whole road of an upload. Mere enlargement is judged beside it: it blurs, which no real photo of
full size is. The rendered meals, whose large originals exist, are compared with and without compression at 64 px.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from foodkd.data import open_photo, open_photos
from foodkd.errors import run_command
from foodkd.files import whole_file
from foodkd.nets import Pair
from foodkd.train.metrics import labels_for

ENLARGED = 8


def compressed(small: np.ndarray, quality: int) -> np.ndarray:
    """(R, R, 3) uint8 after one JPEG compression."""
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def enlarged(small: np.ndarray, rounds: int = 4) -> np.ndarray:
    """A photo (8R, 8R, 3) uint8 whose antialiased reduction is `small` (R, R, 3), as that of the unknown original is.

    By iterative back-projection (Irani and Peleg, 1991): what the reduction still lacks is enlarged and added.
    """
    small_side, side = len(small), ENLARGED * len(small)
    large = np.zeros((side, side, 3), np.float32)
    for _ in range(rounds):
        lacking = small - _resized(large, small_side)
        large = (large + _resized(lacking, side)).clip(0, 255)
    return large.round().astype(np.uint8)


def _resized(values: np.ndarray, side: int) -> np.ndarray:
    """(N, N, 3) float32 at another side, by the very filter of the preprocessing."""
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c], np.float32)) for c in range(3)]
    return np.stack([np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC)) for plane in planes], axis=2)


def uploaded(pair: Pair, large: Image.Image) -> np.ndarray:
    """A large photo as its JPEG file would reach the networks: opened, cropped and reduced like any upload."""
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=90)
    buffer.seek(0)
    return pair.preprocessing.small(open_photo(buffer.getvalue(), shorter=pair.preprocessing.enough))


def _stretched(small: np.ndarray) -> Image.Image:
    side = ENLARGED * len(small)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def answers(pair: Pair, name: str, smalls: list[np.ndarray]) -> torch.Tensor:
    """Calibrated probabilities (N, K)."""
    rows = []
    for start in range(0, len(smalls), 64):
        with torch.inference_mode():
            logits = pair.networks[name](pair.tensor(name, np.stack(smalls[start : start + 64]))).logits
        rows.append((logits / pair.temperatures[name]).softmax(1))
    return torch.cat(rows)


def main() -> None:
    """Judge every road, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--examples", type=Path, default=Path("assets/examples"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pair = Pair.load(options.checkpoint)
    settings = pair.info["recipe"]["data"]
    common = {"resolution": settings["resolution"], "holdout": settings["holdout"], "seed": 0}
    held = open_photos("food101", options.data, "validation", **common)
    smalls, labels = list(held.read(np.arange(len(held)))), labels_for(pair, held)
    roads: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as they are": lambda small: small,
        "one more JPEG compression, quality 90": lambda small: compressed(small, 90),
        "one more JPEG compression, quality 75": lambda small: compressed(small, 75),
        "full size, as an upload": lambda small: uploaded(pair, Image.fromarray(enlarged(small))),
        "merely enlarged eight times, as an upload": lambda small: uploaded(pair, _stretched(small)),
    }
    changed = {road: [change(small) for small in smalls] for road, change in roads.items()}
    found: dict[str, Any] = {"photos": len(held), "roads": {}}
    for name in ("teacher", "student"):
        first = None
        for road, photos in changed.items():
            p = answers(pair, name, photos)
            first = p if first is None else first
            rates = {"top1": float((p.argmax(1) == labels).float().mean())}
            rates["same_answer"] = float((p.argmax(1) == first.argmax(1)).float().mean())
            found["roads"].setdefault(road, {})[name] = rates
            print(f"{name}, {road}: top-1 {100 * rates['top1']:.1f} %, same answer {100 * rates['same_answer']:.1f} %")
    pictures = [pair.preprocessing.small(open_photo(path)) for path in sorted(options.examples.glob("*.jpg"))]
    for name in ("teacher", "student"):
        plain, after = (answers(pair, name, ones) for ones in (pictures, [compressed(one, 90) for one in pictures]))
        same = int((plain.argmax(1) == after.argmax(1)).sum())
        most = float((plain - after).abs().max())
        found.setdefault("rendered", {})[name] = {"pictures": len(pictures), "same_answer": same, "most": most}
        print(f"{name}, rendered meals with and without compression: {same} of {len(pictures)} answers the same")
    with whole_file(options.out) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
