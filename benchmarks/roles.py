"""Exchange a pair's teacher and student: then a network learns from its own student, by the recipes that there are.

    python -m benchmarks.roles checkpoints/food101-64 --out runs/exchanged
    python -m foodkd train RECIPE --data DATA --out runs/taught --set teacher_checkpoint=runs/exchanged \\
        --set distill.mode=one-way --set student.weights=TEACHER.safetensors ...

Whichever network is stronger can teach, whatever their sizes. What pair.json tells of the training stays as it was
trained, in the roles of that training, and says so ("exchanged").
"""

from __future__ import annotations

import argparse
from pathlib import Path

from foodkd.errors import run_command
from foodkd.nets import Pair

OTHER = {"teacher": "student", "student": "teacher"}


def exchange(pair: Pair) -> Pair:
    """A pair of the same two networks in each other's role; a network that was trained alone is left out."""
    return Pair(
        pair.classes,
        pair.preprocessing,
        {name: pair.networks[other] for name, other in OTHER.items()},
        {name: pair.settings[other] for name, other in OTHER.items()},
        {name: pair.auxiliary[other] for name, other in OTHER.items() if other in pair.auxiliary},
        {name: pair.temperatures[other] for name, other in OTHER.items()},
        _told(pair),
    )


def _told(pair: Pair) -> dict[str, object]:
    """What is known of the training, without what was measured of the networks in their roles."""
    told = ("name", "recipe", "starting_weights", "training", "refit")
    kept = {key: pair.info[key] for key in told if key in pair.info}
    trained = [OTHER[name] for name in pair.info.get("trained", OTHER)]
    return {**kept, "trained": trained, "exchanged": not pair.info.get("exchanged", False)}


def main() -> None:
    """Load, exchange, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pair", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    made = exchange(Pair.load(options.pair))
    made.save(options.out)
    print(f"{options.out}: " + ", ".join(f"{name} {made.settings[name].backbone}" for name in OTHER))


if __name__ == "__main__":
    run_command(main)
