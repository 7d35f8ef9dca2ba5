"""Average the weights at a run's end with earlier ones of the same training, and calibrate anew.

    python -m benchmarks.average runs/joint/last EARLIER ... --data DATA --out runs/joint/averaged
    python -m benchmarks.average runs/alone/last EARLIER ... --data DATA --out runs/alone/averaged --as student-alone

The ends of annealed trainings that each went on from the one before lie in one valley of the loss, as do the points of
one training at a constant rate, and their mean often lies lower than any (stochastic weight averaging, Izmailov et al.,
UAI 2018). Weights and the running statistics of norms are averaged alike. A network that the run did not train, and the
auxiliary classifiers, which began anew in it, stay the run's own.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from foodkd.data import open_photos
from foodkd.errors import FoodkdError, run_command
from foodkd.nets import Pair
from foodkd.train.metrics import fit_temperature, labels_for, predict


def average(pair: Pair, earlier: Sequence[Pair], names: dict[str, str]) -> Pair:
    """The pair with the mean of all pairs' weights in some of its networks; no pair changes.

    Args:
        pair: what a run ended with.
        earlier: what came before it in the same training, one pair or more.
        names: networks of `pair` to average -> their names in `earlier`.

    Raises:
        FoodkdError: networks of other settings.
    """
    for other in earlier:
        if pair.classes != other.classes or any(pair.settings[a] != other.settings[b] for a, b in names.items()):
            raise FoodkdError(f"{other.path} has other settings or classes than {pair.path}; give what came before it.")
    networks = dict(pair.networks)
    for name, other_name in names.items():
        networks[name] = copy.deepcopy(pair.networks[name])
        own = networks[name].state_dict()
        states = [own, *(other.networks[other_name].state_dict() for other in earlier)]
        mean = {key: torch.stack([state[key].double() for state in states]).mean(0) for key in own}
        networks[name].load_state_dict({key: value.to(own[key].dtype) for key, value in mean.items()})
    hashes = {name: [e.info["networks"][other]["sha256"] for e in earlier] for name, other in names.items()}
    return replace(
        pair, networks=networks, temperatures=dict(pair.temperatures), info=pair.info | {"averaged": {"with": hashes}}
    )


def main() -> None:
    """Average, fit the temperatures on the validation photos, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("earlier", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--as", dest="name", default="", help="the run's student is this network of the earlier pair")
    options = parser.parse_args()
    pair, earlier = Pair.load(options.run), [Pair.load(path) for path in options.earlier]
    trained = pair.info.get("trained", ["teacher", "student"])
    names = {"student": options.name} if options.name else {name: name for name in trained}
    made = average(pair, earlier, names)
    data = pair.info["recipe"]["data"]
    common = {"resolution": data["resolution"], "holdout": data["holdout"], "seed": 0}
    held = open_photos(data["dataset"], options.data, "validation", **common, **data["options"])
    labels = labels_for(pair, held)
    for name in names:
        logits = predict(made.networks[name], held, made.preprocessing, made.sizes[name])
        made.temperatures[name] = fit_temperature(logits, labels)
        right = float((logits.argmax(1) == labels).float().mean())
        print(f"{name}: top-1 {100 * right:.1f} % of {len(held):,} validation photos")
        made.info["averaged"][name] = {"top1": right}
    made.save(options.out)


if __name__ == "__main__":
    run_command(main)
