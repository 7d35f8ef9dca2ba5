"""What each term of the objective asks of the student: how strongly it pulls, and whether it pulls the same way.

    python -m benchmarks.gradients checkpoints/food101-64 --data DATA --out docs/gradients

For batches of training photos (augmented as in training) the gradient of every weighted term is taken alone, into the
backbone that both the term and the cross entropy reach: its norm beside that of the student's cross entropy, and the
cosine with it. A cosine near 0 means that the term adds something the label does not say; below 0 that it costs the
label. The teacher is measured the same way: how hard does learning together pull at it?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foodkd.data import Augmentation, Augmenter, batch_order, open_photos
from foodkd.distill import JointDistiller
from foodkd.distill.terms import StillObjective, term_weights
from foodkd.errors import run_command
from foodkd.files import whole_file
from foodkd.nets import Pair

BOTH = ("teacher", "student")


def measured(pair: Pair, data: Path | None, *, batches: int, size: int, seed: int = 0) -> dict[str, Any]:
    """Gradient norms and cosines of every term, each as a list with a value per batch.

    Returns:
        {"teacher"/"student": {term: {"norm": [...], "cosine": [...]}}}; the cosine is with its own cross entropy.
    """
    distiller = StillObjective(pair).distiller.requires_grad_(True)
    found: dict[str, Any] = {name: {} for name in BOTH}
    for batch in _batches(pair, data, batches, size, seed):
        terms = distiller(list(batch.images), batch.targets, 1.0)
        parts = {
            name: weight * terms[name] for name, weight in term_weights(distiller.settings).items() if name in terms
        }
        for name in BOTH:
            gradients = _gradients(parts, _backbone(distiller, name))
            own = gradients[f"ce_{name}"]
            for term, gradient in gradients.items():
                line = found[name].setdefault(term, {"norm": [], "cosine": []})
                line["norm"].append(float(gradient.norm()))
                line["cosine"].append(float(nn.functional.cosine_similarity(gradient, own, dim=0)))
    return found


def _batches(pair: Pair, data: Path | None, batches: int, size: int, seed: int) -> Any:
    recipe = pair.info["recipe"]
    common: dict[str, Any] = {"resolution": recipe["data"]["resolution"], "holdout": recipe["data"]["holdout"]}
    photos = open_photos(recipe["data"]["dataset"], data, "train", seed=0, **common, **recipe["data"]["options"])
    augment = Augmenter(Augmentation(**recipe["augment"]), pair.preprocessing, classes=len(photos.classes))
    order = batch_order(len(photos), size, seed=seed, epoch=0)
    sizes = (pair.sizes["teacher"], pair.sizes["student"])
    for step in range(batches):
        labels = torch.from_numpy(photos.labels[order[step]])
        yield augment(photos.read(order[step]), labels, sizes=sizes, seed=seed, step=step)


def _backbone(distiller: JointDistiller, name: str) -> list[nn.Parameter]:
    """The weights of one network's convolutions: what maps, stages and answers have in common."""
    return [p for module in distiller.networks[name].modules() if isinstance(module, nn.Conv2d)
            for p in module.parameters()]  # fmt: skip


def _gradients(parts: Mapping[str, Tensor], into: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """The gradient of each term that reaches these weights, as one vector."""
    found = {}
    for name, part in parts.items():
        pieces = torch.autograd.grad(part, into, retain_graph=True, allow_unused=True)
        if any(piece is not None for piece in pieces):
            found[name] = torch.cat(
                [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(into, pieces, strict=True)]
            ).double()  # sums over millions of squares: in single precision a cosine came out at 1.005
    return found


def markdown(found: Mapping[str, Any]) -> str:
    """Means over the batches."""
    lines = ["| network | term | gradient, beside its cross entropy’s | cosine with it |", "|---|---|--:|--:|"]
    for name in BOTH:
        own = np.mean(found[name][f"ce_{name}"]["norm"])
        for term, line in found[name].items():
            if term == f"ce_{name}":
                continue
            cosine = f"{np.mean(line['cosine']):+.2f} ± {np.std(line['cosine'], ddof=1):.2f}"
            lines.append(
                f"| {name} | {term} | {np.mean(line['norm']) / own:.2f} | {cosine.replace('-', chr(0x2212))} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write gradients.json and gradients.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--size", type=int, default=32, help="photos in a batch")
    options = parser.parse_args()
    found = measured(Pair.load(options.checkpoint), options.data, batches=options.batches, size=options.size)
    options.out.mkdir(parents=True, exist_ok=True)
    content = {"batches": options.batches, "batch_size": options.size, **found}
    with whole_file(options.out / "gradients.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with whole_file(options.out / "gradients.md") as temporary:
        temporary.write_text(markdown(found), encoding="utf-8")
    print(markdown(found))


if __name__ == "__main__":
    run_command(main)
