"""Photos that stand in the data twice: how many, and what the test figures are without them.

    python -m benchmarks.duplicates --data DATA --logits runs/logits --out docs/duplicates.json

Two files are duplicates when they hold the same bytes. A test photo whose duplicate is a training photo was learned
from; the accuracy of every network is therefore told with and without those.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from foodkd.errors import run_command
from foodkd.files import whole_file


def groups(data: Path) -> list[list[tuple[str, str]]]:
    """Groups of two or more equal photos; each photo as (split, id)."""
    root = data / "food-101"
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for split in ("train", "test"):
        for photo in (root / "meta" / f"{split}.txt").read_text(encoding="utf-8").split():
            digest = hashlib.sha256((root / "images" / f"{photo}.jpg").read_bytes()).hexdigest()
            found[digest].append((split, photo))
    return sorted(group for group in found.values() if len(group) > 1)


def rates(path: Path, left_out: set[str]) -> dict[str, Any]:
    """One network's top-1 and top-5 on all test photos and without those left out."""
    kept = np.load(path)
    ids = [str(one).removesuffix(".jpg") for one in kept["ids"]]
    best = np.argsort(-kept["logits"], axis=1, kind="stable")[:, :5] == kept["labels"][:, None]
    clean = np.array([one not in left_out for one in ids])
    if clean.all() and left_out:
        raise SystemExit(f"{path} names photos otherwise than {sorted(left_out)[0]}; nothing could be left out.")
    return {
        name: {"photos": int(rows.sum()), "top1": float(best[rows, 0].mean()), "top5": float(best[rows].any(1).mean())}
        for name, rows in (("all", np.ones_like(clean)), ("without", clean))
    }


def main() -> None:
    """Find the duplicates, tell the figures, write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option in ("--data", "--logits", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    found = groups(options.data)
    across = [group for group in found if {split for split, _ in group} == {"train", "test"}]
    learned = {photo for group in across for split, photo in group if split == "test"}
    labels = [group for group in found if len({photo.partition("/")[0] for _, photo in group}) > 1]
    told: dict[str, Any] = {"groups": len(found), "across_the_split": len(across), "differently_labelled": len(labels)}
    told["test_photos_with_a_training_twin"] = sorted(learned)
    told["rates"] = {path.stem: rates(path, learned) for path in sorted(options.logits.glob("*.npz"))}
    with whole_file(options.out) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} groups of equal photos, {len(across)} across the split, {len(labels)} with different labels.")
    for name, one in told["rates"].items():
        pair = (f"{100 * one[key]['top1']:.2f} / {100 * one[key]['top5']:.2f} %" for key in ("all", "without"))
        print(f"{name}: {' with all, '.join(pair)} without the {len(learned)} test photos that have a training twin")


if __name__ == "__main__":
    run_command(main)
