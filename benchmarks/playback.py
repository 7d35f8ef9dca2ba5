"""Keeps a training for playback: what both networks said of the example pictures after every evaluation of a run.

    python -m benchmarks.playback RUN --examples assets/examples --out checkpoints/food101-64/playback.npz
        [--start DIR] [--offset EPOCHS] [--after FILE] [--other TEXT]

RUN is a run folder with its kept weights (train.keep_weights) and history.jsonl; --start adds the pair that it started
from, --offset the epochs that were trained before, --after the points of an earlier leg's playback, --other says what
training it is where it is kept beside a pair that came of another.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from foodkd.errors import FoodkdError, run_command
from foodkd.explain.playback import Picture, Playback, make_playback

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Look at every kept checkpoint and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--examples", type=Path, default=ROOT / "assets/examples")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=None)
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--after", type=Path, default=None)
    parser.add_argument("--other", default="", help="what training this is, if not that of the pair it is kept beside")
    options = parser.parse_args()
    pictures = read_pictures(options.examples)
    with tqdm(unit="checkpoint") as bar:
        play = make_playback(
            options.run, pictures, start=options.start, offset=options.offset, progress=lambda said: bar.update()
        )
    if options.after is not None:
        play = play.after(Playback.load(options.after))
    replace(play, other=options.other).save(options.out)
    size = options.out.stat().st_size
    print(f"{options.out}: {len(play.epochs)} points, {len(play.examples)} pictures, {size / 1000:.0f} kB")


def read_pictures(folder: Path) -> list[Picture]:
    """The pictures that `folder/examples.json` lists.

    Raises:
        FoodkdError: there is no such list.
    """
    try:
        rows = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
        return [Picture(Path(row["file"]).stem, row["class"], folder / row["file"]) for row in rows]
    except (OSError, ValueError, LookupError, TypeError):
        raise FoodkdError(f"{folder} holds no readable examples.json; give a folder like assets/examples.") from None


if __name__ == "__main__":
    run_command(main)
