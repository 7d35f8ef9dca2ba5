"""Runs that are killed (a real kill -9 of a real process) and started again end like unbroken ones, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import Tiny, contents

from foodkd.train.loop import train
from foodkd.train.recipe import Recipe

MODES = {
    "joint": ["augment.mixup=0.4"],
    "head start, no average": ["distill.head_start=0.5", "train.ema=0", "train.recalibrate=2"],
    "one way": ["distill.mode=one-way"],
    "student alone": ["distill.mode=student-alone", "train.norm_batches=2"],
}


def started(processes: ForkServerContext, recipe: Recipe, out: Path, patch: Any = None) -> Any:
    process = processes.Process(target=trained_with, args=(patch, recipe, out))
    process.start()
    return process


def trained_with(patch: Any, recipe: Recipe, out: Path) -> None:
    """What runs in the child: training, with a trap somewhere."""
    if patch is not None:
        name, *arguments = patch
        TRAPS[name](*arguments)
    train(recipe, data=None, out=out, quiet=True)


def finished(processes: ForkServerContext, recipe: Recipe, out: Path) -> dict[str, Any]:
    process = started(processes, recipe, out)
    process.join()
    assert process.exitcode == 0
    return contents(out)


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def trap_half_a_state(number: int) -> None:
    """Killed when half of the number-th resume state is on the disk."""
    whole, count = torch.save, iter(range(1, 1000))

    def save(state: Any, path: Path) -> None:
        whole(state, path)
        if next(count) == number:
            os.truncate(path, path.stat().st_size // 2)
            kill_self()

    torch.save = save


def trap_between_renames(name: str, number: int) -> None:
    """Killed when the old checkpoint has lost its name and the new one has not got it yet."""
    whole, count = Path.rename, iter(range(1, 1000))

    def rename(self: Path, target: Path) -> Path:
        renamed = whole(self, target)
        if self.name == name and next(count) == number:
            kill_self()
        return renamed

    Path.rename = rename  # type: ignore[method-assign]


TRAPS = {"half a state": trap_half_a_state, "between renames": trap_between_renames}


@pytest.fixture(scope="module", params=MODES)
def unbroken(
    request: pytest.FixtureRequest,
    tiny: Tiny,
    learned: Path,
    processes: ForkServerContext,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Recipe, dict[str, Any], float]]:
    """A recipe, what its unbroken run leaves, and how long that took."""
    teacher = [f"teacher_checkpoint={learned / 'best'}"] if request.param == "one way" else []
    recipe = tiny(*MODES[request.param], *teacher)
    begun = time.monotonic()
    left = finished(processes, recipe, tmp_path_factory.mktemp("unbroken") / "run")
    yield recipe, left, time.monotonic() - begun


def test_killed_at_random_moments(
    unbroken: tuple[Recipe, dict[str, Any], float], processes: ForkServerContext, tmp_path: Path
) -> None:
    recipe, left, duration = unbroken
    moments = random.Random(len(left))
    for _ in range(3):
        process = started(processes, recipe, tmp_path / "run")
        process.join(moments.uniform(0.1, 0.6) * duration)
        process.kill()
        process.join()
        if (tmp_path / "run/finished").exists():
            break
    else:
        assert finished(processes, recipe, tmp_path / "run") == left
    assert contents(tmp_path / "run") == left


@pytest.mark.parametrize("trap", [("half a state", 4), ("between renames", "last", 1)], ids=lambda trap: trap[0])
def test_killed_while_saving(trap: Any, tiny: Tiny, processes: ForkServerContext, tmp_path: Path) -> None:
    recipe = tiny()
    run = tmp_path / "run"
    expected = finished(processes, recipe, tmp_path / "unbroken")
    process = started(processes, recipe, run, trap)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert any(run.glob(".*.partial"))
    if trap[0] == "between renames":
        assert not (run / "last").exists()
    assert finished(processes, recipe, run) == expected
    assert not [path for path in run.rglob(".*") if path.suffix in (".partial", ".old")]
    assert not (run / "state.pt").exists()
