"""The run folder: what a training run leaves on disk, and how it goes on after being stopped anywhere.

    RUN/recipe.json         the resolved recipe; another recipe is refused
    RUN/state.pt            resume state, replaced whole
    RUN/history.jsonl       one line per evaluation
    RUN/weights/0003/       fp16 weights of that evaluation, for playback
    RUN/playback/0003.npz   instance activation maps of a few fixed validation photos
    RUN/tensorboard/        events
    RUN/best, RUN/last      checkpoints (a pair each); RUN/history.png
    RUN/finished            written last
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from foodkd.errors import FoodkdError
from foodkd.files import whole_file
from foodkd.train.recipe import Recipe


class RunFolder:
    """One run's folder; looking at it changes nothing.

    Args:
        path: where.
        recipe: the resolved recipe.
        resume: insist that there is something to go on with.

    Raises:
        FoodkdError: the run is finished, belongs to another recipe, holds something else, or has nothing to resume.
    """

    def __init__(self, path: Path, recipe: Recipe, *, resume: bool = False) -> None:
        self.path = path
        self.text = text = recipe.model_dump_json(indent=1)
        recorded = path / "recipe.json"
        if (path / "finished").exists():
            raise FoodkdError(f"{path} is a finished run; name another with --out, or look at {path / 'best'}.")
        if recorded.exists():
            _refuse_other(recorded, text)
        elif path.exists() and any(path.iterdir()):
            raise FoodkdError(f"{path} exists, is not empty and is no run; name another folder with --out.")
        elif resume:
            raise FoodkdError(f"{path} holds no run to resume; leave out --resume to begin one.")

    def begin(self) -> None:
        """Claim the folder for the recipe: only now, when everything that it names has been found to work."""
        with whole_file(self.path / "recipe.json") as temporary:
            temporary.write_text(self.text)

    def load_state(self) -> dict[str, Any] | None:
        """The resume state, or None at the beginning.

        Raises:
            FoodkdError: the file is there and can't be read.
        """
        path = self.path / "state.pt"
        if not path.exists():
            return None
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
            reason = str(error).splitlines()[0][:120]
            raise FoodkdError(f"{path} can't be read ({reason}); begin again in another folder with --out.") from None

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the resume state: an interruption leaves the old one whole."""
        with whole_file(self.path / "state.pt") as temporary:
            torch.save(state, temporary)

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Rewrite the history: lines of a part that was interrupted before its state was saved disappear."""
        with whole_file(self.path / "history.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in history))

    def finish(self) -> None:
        """Mark the run as finished; the resume state is no longer needed."""
        (self.path / "finished").touch()
        (self.path / "state.pt").unlink(missing_ok=True)


def _refuse_other(recorded: Path, text: str) -> None:
    old, new = json.loads(recorded.read_text()), json.loads(text)
    if old == new:
        return
    key = next(key for key in {**old, **new} if old.get(key) != new.get(key))
    raise FoodkdError(
        f"{recorded.parent} belongs to another recipe (its '{key}' is {json.dumps(old.get(key))[:100]}, not "
        f"{json.dumps(new.get(key))[:100]}); name another folder with --out."
    )
