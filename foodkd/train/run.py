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

import fcntl
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

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
        self._lock: int | None = None
        recorded = path / "recipe.json"
        if (path / "finished").exists():
            raise FoodkdError(f"{path} is a finished run; name another with --out, or look at {path / 'best'}.")
        if recorded.exists():
            _refuse_other(recorded, text)
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FoodkdError(f"{path} exists, is not empty and is no run; name another folder with --out.")
        elif resume:
            raise FoodkdError(f"{path} holds no run to resume; leave out --resume to begin one.")

    def begin(self) -> None:
        """Claim the folder for the recipe: only now, when everything that it names has been found to work.

        Raises:
            FoodkdError: another process is at work in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._hold()
        _mend(self.path)
        _mend(self.path / "weights")
        _mend(self.path / "playback")
        with whole_file(self.path / "recipe.json") as temporary:
            temporary.write_text(self.text)

    def _hold(self) -> None:
        """Keep others out until `release`, or until this process ends in whatever way."""
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            sentence = f"Another process is training in {self.path}; wait for it, or name another folder with --out."
            raise FoodkdError(sentence) from None
        except OSError:  # a file system without locks
            self.release()

    def release(self) -> None:
        """Let others in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

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
        except (RuntimeError, EOFError, pickle.UnpicklingError, OSError, ValueError, LookupError) as error:
            reason = _first_line(error)
            raise FoodkdError(f"{path} can't be read ({reason}); begin again in another folder with --out.") from None

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the resume state: an interruption leaves the old one whole.

        Raises:
            FoodkdError: it can't be written, for example because the disk is full; the old one is still there.
        """
        try:
            with whole_file(self.path / "state.pt") as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise FoodkdError(
                f"{self.path / 'state.pt'} can't be written ({_first_line(error)}); make room, and the same command "
                "goes on from the last save."
            ) from error

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Rewrite the history: lines of a part that was interrupted before its state was saved disappear."""
        with whole_file(self.path / "history.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in history))

    def finish(self) -> None:
        """Mark the run as finished; the resume state is no longer needed."""
        (self.path / "finished").touch()
        (self.path / "state.pt").unlink(missing_ok=True)


def _refuse_other(recorded: Path, text: str) -> None:
    old, new = _recorded(recorded), dict(_flat(json.loads(text)))
    if old == new:
        return
    key = next(key for key in {**old, **new} if old.get(key) != new.get(key))
    raise FoodkdError(
        f"{recorded.parent} belongs to another recipe (its '{key}' is {json.dumps(old.get(key))[:100]}, not "
        f"{json.dumps(new.get(key))[:100]}); name another folder with --out."
    )


def _recorded(path: Path) -> dict[str, Any]:
    """A run's settings by dotted name; those that have come since take their defaults, as when the run was begun."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise FoodkdError(f"{path} is not a recipe that foodkd wrote; name another folder with --out.")
    with suppress(ValidationError):  # then it is compared as it stands
        content = Recipe.model_validate(content).model_dump(mode="json")
    return dict(_flat(content))


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        yield from _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [(f"{prefix}{key}", value)]


def _mend(folder: Path) -> None:
    """Clear away what a kill in the middle of a save left: half-written files, and a checkpoint that was being swapped.

    A kill between the two renames of a swap leaves the older checkpoint under `.NAME.*.old` and none under NAME: it
    gets its name back.
    """
    for old in folder.glob(".*.*.old"):
        name = folder / old.name[1:].rsplit(".", 2)[0]
        if old.is_dir() and not name.exists():
            old.rename(name)
    for left in [*folder.glob(".*.partial"), *folder.glob(".*.*.old")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
