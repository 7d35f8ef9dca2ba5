"""Render the app's example pictures: a dozen meals of Food-101's classes, so that no one's photo has to be shipped.

Made with Blender 5.0.1 as a Python module (needs Python 3.11), in an environment of its own:

    pip install bpy==5.0.1 pillow
    python assets/make_examples.py                       # all pictures, into assets/examples/
    python assets/make_examples.py donuts pizza --side 320 --samples 12 --out /tmp/draft

Every random number is seeded and one thread renders: the same version on the same kind of processor gives the same
pictures. The committed ones are what the defaults give, about 17 s each.

No network's answer had a part in designing the scenes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from scenes import studio
from scenes.meals import MEALS

EXAMPLES = Path(__file__).parent / "examples"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Render the example pictures.")
    parser.add_argument("meals", nargs="*", metavar="CLASS", help=f"which (default all): {', '.join(MEALS)}")
    parser.add_argument("--out", type=Path, default=EXAMPLES, help="folder for the pictures and examples.json")
    parser.add_argument("--side", type=int, default=448, help="side of the square picture in pixels")
    parser.add_argument("--samples", type=int, default=12, help="most light paths per pixel")
    chosen = parser.parse_args()
    if unknown := set(chosen.meals) - set(MEALS):
        parser.error(f"no scene for {', '.join(sorted(unknown))}; there are {', '.join(MEALS)}")
    return chosen


def main() -> None:
    """Render the chosen meals, then list those whose picture exists."""
    chosen = arguments()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.meals or MEALS:
        start = time.perf_counter()
        studio.clear()
        MEALS[name].cook()
        studio.photograph(chosen.out / f"{name}.jpg", side=chosen.side, samples=chosen.samples)
        print(f"{name}: {time.perf_counter() - start:.0f} s")
    rows = [meal.row(name) for name, meal in MEALS.items() if (chosen.out / f"{name}.jpg").exists()]
    (chosen.out / "examples.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
