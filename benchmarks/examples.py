"""What the shipped pair says to each rendered example, right or wrong: a Markdown table for docs/results.md.

    python -m benchmarks.examples [CHECKPOINT] [--out docs/examples.md]

The pictures were made before the pair was trained and were not changed to suit it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from foodkd.data import open_photo
from foodkd.errors import run_command
from foodkd.explain import Explanation, readable
from foodkd.files import whole_file
from foodkd.nets import Pair

ROOT = Path(__file__).resolve().parent.parent
LABELS = {"teacher": "teacher", "student": "student", "student-alone": "student alone"}


def main() -> None:
    """Print, or write, a row per example."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", default=ROOT / "checkpoints/food101-64")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table = _table(Pair.load(options.checkpoint))
    print(table)
    if options.out:
        with whole_file(options.out) as temporary:
            temporary.write_text(table + "\n", encoding="utf-8")


def _table(pair: Pair) -> str:
    names = [name for name in LABELS if name in pair.networks]
    lines = [f"| example | {' | '.join(LABELS[name] for name in names)} |", f"|---|{'---|' * len(names)}"]
    right = dict.fromkeys(names, 0)
    examples = json.loads((ROOT / "assets/examples/examples.json").read_text(encoding="utf-8"))
    for example in examples:
        small = pair.preprocessing.small(open_photo(ROOT / "assets/examples" / example["file"]))
        cells = []
        for name in names:
            answer, probability = Explanation.of(pair, name, small).top(1)[0]
            hit = pair.classes[answer] == example["class"]
            right[name] += hit
            mark = "**" if hit else ""
            cells.append(f"{mark}{readable(pair.classes[answer])}{mark} {probability:.0%}")
        lines.append(f"| {readable(example['class'])} | {' | '.join(cells)} |")
    lines.append(f"| right | {' | '.join(f'{right[name]} of {len(examples)}' for name in names)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
