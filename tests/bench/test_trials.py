"""The trials change one thing each, cost the same, and are compared photo by photo."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import trials
from foodkd.errors import FoodkdError
from foodkd.train.recipe import Recipe, load_recipe

SET = ["train.coarse=0.8", "student_learning.frozen_stages=1"]


def _options(tmp_path: Path, **more: object) -> argparse.Namespace:
    given = {"recipe": "food101-64", "set": [*SET], "steps": 400, "out": tmp_path, "results": tmp_path}
    return argparse.Namespace(**(given | more))


@pytest.mark.parametrize("name", trials.TRIALS)
def test_a_trial_changes_only_what_it_says_and_costs_the_same(name: str, tmp_path: Path) -> None:
    options = _options(tmp_path)
    own = trials.options_of(options, name)
    base, tried = load_recipe("food101-64", options.set), load_recipe("food101-64", own.set)
    keys = {setting.partition("=")[0] for setting in trials.TRIALS[name][1]}
    before, after = base.model_dump(), tried.model_dump()
    changed = {f"{part}.{key}" for part in before if isinstance(before[part], dict)
               for key in before[part] if before[part][key] != after[part][key]}  # fmt: skip
    assert changed == keys and (keys or name == trials.BASE)

    def pixels(recipe: Recipe, steps: int) -> float:
        train = recipe.train
        return steps * train.batch_size * (train.coarse * train.coarse_scale**2 + 1 - train.coarse)

    assert pixels(tried, own.steps) == pytest.approx(pixels(base, options.steps), rel=0.003)
    assert own.out != tmp_path and options.set == SET


def test_smaller_inputs_get_more_steps_and_all_at_full_size_fewer(tmp_path: Path) -> None:
    steps = {name: trials.options_of(_options(tmp_path), name).steps for name in ("coarser", "as-it-is", "fine")}
    assert steps == {"coarser": 650, "as-it-is": 400, "fine": 260}


def _call(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    own = ["--recipe", "smoke", "--out", folder / "runs", "--results", folder / "results", "--quiet", "--steps", "3"]
    own += ["--holdout", "0.3", "--set", "train.norm_batches=1", "--set", "train.batch_size=8"]
    own += ["--set", "data.options={classes=3, per_class=10}", *more]
    monkeypatch.setattr(sys, "argv", ["trials.py", *map(str, own)])
    trials.main()


def test_trials_are_trained_once_and_tabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _call(tmp_path, monkeypatch, "--trials", "as-it-is", "batch-16", "smoothing")
    runs = trials.read(tmp_path / "results")
    assert list(runs) == ["as-it-is", "batch-16", "smoothing"]
    assert (runs["as-it-is"]["steps"], runs["batch-16"]["steps"]) == (3, 2)
    assert runs["smoothing"]["training"]["ce_student"] != runs["as-it-is"]["training"]["ce_student"]
    recipes = {path.parts[-3]: json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/*/recipe.json")}
    assert {name: recipe["distill"]["student_smoothing"] for name, recipe in recipes.items()} == {
        "as-it-is": 0.0, "batch-16": 0.0, "smoothing": 0.1,
    }  # fmt: skip
    table = (tmp_path / "results" / "table.md").read_text(encoding="utf-8")
    assert "| 16 photos a step | 2 |" in table and "| the settings as they are | 3 |" in table
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*/*.json")}
    capsys.readouterr()
    _call(tmp_path, monkeypatch, "--table")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*/*.json")} == kept
    assert "label smoothing" in capsys.readouterr().out


def test_a_table_needs_the_recipe_as_it_is_and_one_set_of_photos(tmp_path: Path) -> None:
    def keep(name: str, right: list[int], command: str = "python x --steps 5") -> None:
        bits = np.packbits(np.array(right, np.uint8)).tobytes().hex()
        run = {"seed": 0, "share": 1.0, "photos": len(right), "steps": 5, "command": command}
        run["student"] = {"right": bits, "top1": 0.5, "top5": 0.75}
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "1-0-student-alone.json").write_text(json.dumps(run))

    keep("mixup", [1, 1, 1, 0], "python x --steps 7 --set augment.mixup=0.2")
    with pytest.raises(FoodkdError, match="no trial of the settings as they are"):
        trials.read(tmp_path)
    keep("as-it-is", [0, 1, 1, 0], "python x --head-start 9 --steps 5")
    assert "| +25.0 (+0.0 to +75.0) |" in trials.markdown(trials.read(tmp_path)).splitlines()[-1]
    fine = " --set train.coarse=0"
    for right, command in (([0, 1], "python x" + fine), ([0, 1, 1, 1], "python x --set train.ema=0.9" + fine)):
        keep("fine", right, command)
        with pytest.raises(FoodkdError, match="different settings or photos"):
            trials.read(tmp_path)
    keep("fine", [0, 1, 1, 1], "python x --steps 3" + fine)
    assert set(trials.read(tmp_path)) == {"as-it-is", "fine", "mixup"}
