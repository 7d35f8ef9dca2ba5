"""One run folder out of two runs that each trained one network alone, so that their maps can be compared as they learn.

    python -m benchmarks.side_by_side runs/teacher runs/student --out runs/side-by-side

For every epoch at which both runs were evaluated and kept their weights, the teacher of the one stands beside the
student of the other; `benchmarks.playback` and `benchmarks.attention epochs` read the folder like any run's. Its
history says "apart": 1 of every point, so that a playback can tell it from what was learned together. The last point
is also written as OUT/last: what a joint training can go on from.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from foodkd.errors import FoodkdError, run_command
from foodkd.files import whole_file
from foodkd.nets import Pair


def together(teacher: Pair, student: Pair) -> Pair:
    """The teacher of one run and the student of another, with the recipe of the teacher's run.

    Raises:
        FoodkdError: they learned other classes, or from other photos.
    """
    if _photos(teacher) != _photos(student):
        raise FoodkdError(f"{student.path} learned from other photos than {teacher.path}; give two runs on the same.")
    sides = {"teacher": teacher, "student": student}
    return Pair(
        teacher.classes,
        teacher.preprocessing,
        {name: pair.networks[name] for name, pair in sides.items()},
        {name: pair.settings[name] for name, pair in sides.items()},
        temperatures={name: pair.temperatures[name] for name, pair in sides.items()},
        info={"recipe": teacher.info["recipe"]},
    )


def _photos(pair: Pair) -> tuple[Any, ...]:
    return pair.classes, pair.preprocessing, pair.info["recipe"]["data"]


def points(run: Path) -> dict[float, tuple[Path, dict[str, Any]]]:
    """What a run kept of each evaluation: epoch -> its folder of weights and its line of the history.

    Raises:
        FoodkdError: no run folder.
    """
    if not (run / "history.jsonl").is_file():
        raise FoodkdError(f"{run} holds no history.jsonl; give a folder that `foodkd train` wrote.")
    lines = map(json.loads, (run / "history.jsonl").read_text(encoding="utf-8").splitlines())
    kept = {}
    for number, line in enumerate(lines, start=1):
        folder = run / "weights" / f"{number:04d}"
        if folder.is_dir():
            kept[round(line["epoch"], 4)] = (folder, line)
    return kept


def merge(teacher: Path, student: Path, out: Path) -> int:
    """Write the merged run folder; returns how many points it has.

    Raises:
        FoodkdError: the runs have no epoch in common, or the folder has one already.
    """
    one, two = points(teacher), points(student)
    common = sorted(one.keys() & two.keys())
    if not common:
        raise FoodkdError(f"{teacher} and {student} kept weights at no common epoch; evaluate both equally often.")
    history = []
    for number, epoch in enumerate(common, start=1):
        pair = together(Pair.load(one[epoch][0]), Pair.load(two[epoch][0]))
        pair.save(out / "weights" / f"{number:04d}")
        line = {**two[epoch][1], **one[epoch][1], "epoch": epoch, "apart": 1}
        history.append({key: value for key, value in line.items() if key != "loss"})  # one network's says nothing here
    pair.save(out / "last")
    with whole_file(out / "history.jsonl") as temporary:
        temporary.write_text("".join(f"{json.dumps(line)}\n" for line in history), encoding="utf-8")
    return len(common)


def main() -> None:
    """Merge, say how many points there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("teacher", type=Path, help="run of the teacher alone")
    parser.add_argument("student", type=Path, help="run of the student alone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print(f"{options.out}: {merge(options.teacher, options.student, options.out)} points")


if __name__ == "__main__":
    run_command(main)
