"""Average the weights at a run's end with those of the pair that it went on from, and calibrate anew.

    python -m benchmarks.average runs/joint/last EARLIER --data DATA --out runs/joint/averaged
    python -m benchmarks.average runs/alone/last EARLIER --data DATA --out runs/alone/averaged --as student-alone

The ends of annealed trainings that each went on from the one before lie in one valley of the loss, and their mean often
lies lower than either (stochastic weight averaging, Izmailov et al., UAI 2018). Weights and the running statistics of
norms are averaged alike. Auxiliary classifiers stay the run's own: they began anew in it.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

from foodkd.data import open_photos
from foodkd.errors import FoodkdError, run_command
from foodkd.nets import Pair
from foodkd.train.metrics import fit_temperature, labels_for, predict


def average(pair: Pair, earlier: Pair, names: dict[str, str]) -> Pair:
    """The pair with the mean of both pairs' weights in some of its networks; neither pair changes.

    Args:
        pair: what a run ended with.
        earlier: what it went on from.
        names: networks of `pair` to average -> their names in `earlier`.

    Raises:
        FoodkdError: networks of other settings.
    """
    networks = dict(pair.networks)
    for name, other in names.items():
        if pair.settings[name] != earlier.settings[other] or pair.classes != earlier.classes:
            raise FoodkdError(f"{earlier.path} has other settings or classes than {pair.path}; give its beginning.")
        networks[name] = copy.deepcopy(pair.networks[name])
        old, new = earlier.networks[other].state_dict(), networks[name].state_dict()
        mean = {key: (value.double() + old[key].double()) / 2 for key, value in new.items()}
        networks[name].load_state_dict({key: value.to(new[key].dtype) for key, value in mean.items()})
    averaged = {"with": {name: earlier.info["networks"][other]["sha256"] for name, other in names.items()}}
    info = {**pair.info, "averaged": averaged}
    return Pair(
        pair.classes, pair.preprocessing, networks, pair.settings, pair.auxiliary, dict(pair.temperatures), info
    )


def main() -> None:
    """Average, fit the temperatures on the validation photos, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--as", dest="name", default="", help="the run's student is this network of the earlier pair")
    options = parser.parse_args()
    pair, earlier = Pair.load(options.run), Pair.load(options.earlier)
    names = {"student": options.name} if options.name else {"teacher": "teacher", "student": "student"}
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
