"""What the shipped pair says to each rendered example, right or wrong; prints a Markdown table for docs/results.md.

    python -m benchmarks.examples [CHECKPOINT]

The pictures were made before the pair was trained and were not changed to suit it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from foodkd.data import open_photo
from foodkd.explain import Explanation, readable
from foodkd.nets import Pair

ROOT = Path(__file__).resolve().parent.parent
LABELS = {"teacher": "teacher", "student": "student", "student-alone": "student alone"}


def main() -> None:
    """Print a row per example."""
    pair = Pair.load(sys.argv[1] if len(sys.argv) > 1 else ROOT / "checkpoints/food101-64")
    names = [name for name in LABELS if name in pair.networks]
    print(f"| example | {' | '.join(LABELS[name] for name in names)} |\n|---|{'---|' * len(names)}")
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
        print(f"| {readable(example['class'])} | {' | '.join(cells)} |")
    print(f"| right | {' | '.join(f'{right[name]} of {len(examples)}' for name in names)} |")


if __name__ == "__main__":
    main()
