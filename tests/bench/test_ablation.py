"""The ablation runs for real on generated photos, repeats nothing, and its arithmetic is that of the definition."""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foodkd.errors import FoodkdError
from foodkd.explain.ablation import Ablation
from foodkd.train.recipe import load_recipe

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "ablation.py"


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablation"] = module
    spec.loader.exec_module(module)
    return module


def _call(ablation: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    own = ["--recipe", "smoke", "--out", folder / "runs", "--results", folder / "results", "--quiet"]
    own += ["--steps", "3", "--holdout", "0.3", "--set", "train.norm_batches=1"]
    own += ["--set", "data.options={classes=3, per_class=10}", "--set", "train.batch_size=8", *more]
    monkeypatch.setattr(sys, "argv", ["ablation.py", *map(str, own)])
    ablation.main()


def _run(right: list[int], seed: int = 0) -> dict[str, Any]:
    bits = np.packbits(np.array(right, np.uint8)).tobytes().hex()
    return {"seed": seed, "photos": len(right), "student": {"right": bits}}


def test_runs_are_made_once_and_tabled(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("--rows", "student-alone", "one-way", "full")
    _call(ablation, tmp_path, monkeypatch, *rows)
    results = tmp_path / "results"
    # One-way distillation needs a teacher of its own seed: its run came along.
    assert {path.stem for path in results.glob("1-*.json")} == {
        f"1-0-{row}" for row in ("student-alone", "teacher-alone", "one-way", "full")
    }
    full = json.loads((results / "1-0-full.json").read_text())
    assert full["steps"] == 3 and len(full["iam"]["per_photo"]) == full["photos"]
    assert -1 <= full["iam"]["matched"] <= 1 and set(full["training"]) >= {"kd", "mld", "iam", "ce_student"}
    assert 0 <= full["student"]["top1"] <= full["student"]["top5"] <= 1
    made = json.loads((results / "table.json").read_text())
    assert [row["row"] for row in made["rows"]] == ["student-alone", "one-way", "full", "teacher-alone"]
    assert made["rows"][2]["difference"]["low"] <= made["rows"][2]["difference"]["mean"]
    assert made["command"].startswith("python -m benchmarks.ablation --data DATA --recipe smoke")
    assert made["command"].endswith("--set 'data.options={classes=3, per_class=10}' --set train.batch_size=8")
    assert (results / "gains.png").read_bytes().startswith(b"\x89PNG")
    written = {path: path.stat().st_mtime_ns for path in results.glob("1-*.json")}
    capsys.readouterr()
    _call(ablation, tmp_path, monkeypatch, *rows)
    assert {path: path.stat().st_mtime_ns for path in results.glob("1-*.json")} == written
    assert "Joint + MLD + IAM" in capsys.readouterr().out


def test_photos_that_a_share_leaves_judge_a_finished_run_too(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = ("--rows", "full", "--shares", "0.5")
    _call(ablation, tmp_path, monkeypatch, *half)
    capsys.readouterr()
    _call(ablation, tmp_path, monkeypatch, *half, "--results", str(tmp_path / "more"), "--unused", "3")
    assert "training" not in capsys.readouterr().out  # the finished run is only judged anew
    held, more = (json.loads((tmp_path / name / "0.5-0-full.json").read_text()) for name in ("results", "more"))
    assert (held["photos"], more["photos"]) == (6, 6 + 3 * 3)
    assert list(ablation.was_right(more)[:6]) == list(ablation.was_right(held))
    assert ablation.was_right(more).mean() == pytest.approx(more["student"]["top1"])
    assert more["iam"] == held["iam"]  # the maps are those of the photos held out
    assert "--unused 3" in more["command"] and "--unused" not in held["command"]


def test_photos_left_over_are_none_that_were_learned_from(ablation: ModuleType) -> None:
    recipe = load_recipe("smoke", ["data.options={classes=3, per_class=10}", "data.limit=4"])
    held, left = ablation._judges(Namespace(unused=99, data=None), recipe)
    learned = ablation._photos(recipe, None, "train", 4)
    assert len(left) == 3 * (10 - 4)  # all there are
    assert not {*held.ids, *learned.ids} & {*left.ids}


def test_with_all_labels_in_use_none_are_left_to_judge(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FoodkdError, match="no photos are left for --unused"):
        _call(ablation, tmp_path, monkeypatch, "--rows", "student-alone", "--unused", "3")
    assert not (tmp_path / "runs").exists()  # said before anything is trained


@pytest.mark.parametrize("other", [{"budget": {"batch_size": 32}}, {"command": "python y"}, {"steps": 6}])
def test_other_budgets_are_not_put_into_one_table(other: dict[str, Any], ablation: ModuleType, tmp_path: Path) -> None:
    common = {"row": "full", "share": 1.0, "budget": {"batch_size": 16}, "command": "python x", "steps": 5}
    for seed, changed in enumerate(({}, other)):
        run = _run([1, 0], seed) | common | changed
        (tmp_path / f"1-{seed}-full.json").write_text(json.dumps(run))
    with pytest.raises(FoodkdError, match="different budgets or commands"):
        ablation.table(tmp_path)
    with pytest.raises(FoodkdError, match="holds no results"):
        ablation.table(tmp_path / "elsewhere")


def test_a_finished_run_of_other_settings_is_not_taken_for_ours(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(ablation, tmp_path, monkeypatch, "--rows", "student-alone")
    (kept,) = (tmp_path / "results").glob("1-*.json")
    kept.unlink()
    with pytest.raises(FoodkdError, match="1-0-student-alone was trained with other settings"):
        _call(ablation, tmp_path, monkeypatch, "--rows", "student-alone", "--set", "student_learning.rate=1e-4")
    assert not kept.exists()
    _call(ablation, tmp_path, monkeypatch, "--rows", "student-alone", "--set", "student_learning.precision=float32")
    assert "precision" not in json.loads(kept.read_text())["command"]


def test_each_share_of_the_labels_is_compared_with_its_own_student_alone(ablation: ModuleType, tmp_path: Path) -> None:
    budget = {
        "rates": {"student": 1e-3},
        "batch_size": 8,
        "coarse": 0.0,
        "head_start": 9,
        "sizes": {"student": 64},
        "frozen_stages": {"student": 0},
    }
    rights = {(1.0, "student-alone"): [1, 1, 0, 0], (1.0, "student-alone-compute"): [1, 1, 1, 1]}
    rights |= {(1.0, "one-way"): [1, 0, 0, 0], (1.0, "joint-kd"): [1, 1, 1, 0]}
    rights |= {(0.25, "student-alone"): [0, 0, 0, 0], (0.25, "joint-kd"): [1, 1, 0, 0]}
    for (share, row), right in rights.items():
        run = _run(right) | {"row": row, "share": share, "budget": budget, "command": "python x"}
        run["steps"] = round(5 * ablation.ROWS[row].longer)
        for network in ("student", "teacher"):
            run[network] = {**run["student"], "top1": float(np.mean(right)), "top5": 1.0}
        (tmp_path / f"{share:g}-0-{row}.json").write_text(json.dumps(run))
    made = ablation.table(tmp_path)
    assert [(row["share"], row["row"]) for row in made["rows"]] == list(rights)
    gains = [row["difference"]["mean"] for row in made["rows"] if row["difference"]]
    assert gains == pytest.approx([0.5, -0.25, 0.25, 0.5])
    at_equal_compute = {row["share"]: row["beyond_compute"] for row in made["rows"] if row["row"] == "joint-kd"}
    assert at_equal_compute[1.0]["mean"] == pytest.approx(-0.25) and at_equal_compute[0.25] is None
    on_one_way = {(row["share"], row["row"]): row["beyond_one_way"] for row in made["rows"]}
    assert on_one_way.pop((1.0, "joint-kd"))["mean"] == pytest.approx(0.5)
    assert set(on_one_way.values()) == {None}  # of a quarter of the labels there is no such run to compare with
    assert "after 9 steps of the teacher alone" in made["setting"]
    assert (made["title"], made["rate"]) == ("5 steps", 1e-3)
    (tmp_path / "ablation.json").write_text(json.dumps(made))
    read = Ablation.load(tmp_path / "ablation.json")
    assert [row.share for row in read.rows] == [1, 1, 1, 1, 0.25, 0.25]
    assert "| Joint, 25 % of the labels | 1 | 50.0 |" in ablation.markdown(made)


def _keep(folder: Path, rights: dict[str, tuple[list[int], list[int]]]) -> None:
    """A result of each row: which photos its student and its teacher are right on."""
    budget = {"batch_size": 8, "coarse": 0.0, "head_start": 0, "sizes": {"student": 64}, "frozen_stages": {"s": 0}}
    budget["rates"] = {"student": 5e-4}
    for row, both in rights.items():
        run = _run(both[0]) | {"row": row, "share": 1.0, "budget": budget, "steps": 5, "command": "python x"}
        for network, right in zip(("student", "teacher"), both, strict=True):
            run[network] = {**_run(right)["student"], "top1": float(np.mean(right)), "top5": 1.0}
        (folder / f"1-0-{row}.json").write_text(json.dumps(run))


def test_a_teacher_that_learns_beside_a_student_is_compared_with_the_teacher_alone(
    ablation: ModuleType, tmp_path: Path
) -> None:
    nobody = [0, 0, 0, 0]
    rights = {"student-alone": (nobody, nobody), "one-way": (nobody, nobody), "teacher-alone": (nobody, [1, 1, 0, 0])}
    rights |= {"joint-kd": ([1, 1, 1, 0], nobody), "joint-kd-r-1": ([1, 0, 0, 0], nobody)}
    rights |= {"full": ([1, 0, 0, 0], [1, 0, 0, 0]), "full-r-1": ([1, 1, 0, 0], [1, 1, 1, 0])}
    rights |= {"full-strong-r-1": ([1, 0, 0, 0], [1, 1, 0, 0])}
    _keep(tmp_path, rights)
    made = ablation.table(tmp_path)
    rows = {row["row"]: row for row in made["rows"]}
    assert {name: row["teacher_difference"] and row["teacher_difference"]["mean"] for name, row in rows.items()} == {
        **dict.fromkeys(("student-alone", "one-way", "teacher-alone")),
        **{"joint-kd": -0.5, "joint-kd-r-1": -0.5, "full": -0.25, "full-r-1": 0.25, "full-strong-r-1": 0.0},
    }
    # What the terms add is asked among rows that treat the teacher alike.
    on_joint = {name: (row["beyond_joint"]["to"], row["beyond_joint"]["mean"]) for name, row in rows.items()
                if row["beyond_joint"]}  # fmt: skip
    assert on_joint == {"joint-kd-r-1": ("joint-kd", -0.5), "full": ("joint-kd", -0.5),
                        "full-r-1": ("joint-kd-r-1", 0.25), "full-strong-r-1": ("joint-kd-r-1", 0.0)}  # fmt: skip
    assert rows["full-r-1"]["beyond_full"]["mean"] == 0.25 and rows["full"]["beyond_full"] is None
    strong = rows["full-strong-r-1"]
    assert (strong["beyond_full"]["to"], strong["beyond_full"]["mean"]) == ("full-r-1", -0.25)
    said = ablation.markdown(made)
    assert "its gain on the teacher alone (95 %)" in said and "on it at equal compute" not in said
    assert len({line.count("|") for line in said.splitlines()}) == 1


def test_both_ways_alike_differs_in_nothing_else(ablation: ModuleType) -> None:
    common = {"recipe": "smoke", "data": None, "set": [], "steps": 3, "head_start": 2, "holdout": 0.3}
    for row in ("joint-kd", "full"):
        made = [ablation.recipe_of(Namespace(**common), name, 1, 1.0, Path("runs")).model_dump()
                for name in (row, f"{row}-r-1")]  # fmt: skip
        assert (made[0]["distill"].pop("reverse"), made[1]["distill"].pop("reverse")) == (0.1, 1.0)
        assert made[0] == made[1]


def test_weights_tried_stand_in_the_table_and_not_in_the_app(ablation: ModuleType, tmp_path: Path) -> None:
    rights = {"student-alone": [0, 0], "joint-kd": [1, 0], "joint-kd-iam-0.3": [1, 1]}
    _keep(tmp_path, {row: (right, right) for row, right in rights.items()})
    made = ablation.write_table(tmp_path, None)
    assert [row["title"] for row in made["rows"]] == ["Student alone", "Joint", "Joint + IAM at weight 0.3"]
    assert "Joint + IAM at weight 0.3 | 1 | 100.0 |" in (tmp_path / "table.md").read_text()
    ablation.write_table(tmp_path, tmp_path, [tmp_path])
    told = Ablation.load(tmp_path / "ablation.json")
    assert [row.row for one in (told, *told.also) for row in one.rows] == ["student-alone", "joint-kd"] * 2
    assert [one.title for one in (told, *told.also)] == ["5 steps with all labels"] * 2


@pytest.mark.parametrize("row", ["one-way", "full"])
def test_a_row_with_other_weights_of_the_answers_differs_in_nothing_else(ablation: ModuleType, row: str) -> None:
    common = {"recipe": "smoke", "data": None, "set": [], "steps": 3, "head_start": 2, "holdout": 0.3}
    made = [
        ablation.recipe_of(Namespace(**common), name, 1, 1.0, Path("runs")).model_dump()
        for name in (row, f"{row}-kd-3-tau-4")
    ]
    assert (made[1]["distill"].pop("kd"), made[1]["distill"].pop("temperature")) == (3.0, 4.0)
    assert made[0]["distill"].pop("kd") == 1.0 and made[0]["distill"].pop("temperature") != 4.0
    assert made[0] == made[1]  # the frozen teacher, too, is that seed's own
    expected = {"one-way": "1-1-teacher-alone", "full": "1-0-head-start"}[row]
    assert made[0]["teacher_checkpoint"] == Path("runs") / expected / "last"


def test_titles_tell_tables_of_other_rates_apart(ablation: ModuleType) -> None:
    tables = [{"title": "5 steps", "rate": rate, "rows": []} for rate in (5e-4, 1e-3)]
    told = [made["title"] for made in ablation._told(tables)]
    assert told == ["5 steps, at a learning rate of 0.0005", "5 steps, at a learning rate of 0.001"]


def test_a_head_start_is_trained_once_and_given_to_every_teacher(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(ablation, tmp_path, monkeypatch, "--head-start", "2", "--rows", "teacher-alone", "joint-kd")
    begun = {run: json.loads((tmp_path / "runs" / run / "recipe.json").read_text())["teacher_checkpoint"] for run in
             ("1-0-teacher-alone", "1-0-joint-kd")}  # fmt: skip
    assert set(begun.values()) == {str(tmp_path / "runs" / "1-0-head-start" / "last")}
    results = tmp_path / "results"
    assert not (results / "1-0-head-start.json").exists()  # what comes before the comparison is no row of it
    assert json.loads((results / "1-0-joint-kd.json").read_text())["budget"]["head_start"] == 2


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_the_difference_is_the_gain_of_paired_photos(ablation: ModuleType, pairs: list[tuple[int, int]]) -> None:
    own, other = (list(side) for side in zip(*pairs, strict=True))
    found = ablation.difference([_run(own)], [_run(other)], samples=200)
    assert found["mean"] == pytest.approx(np.mean(own) - np.mean(other))
    assert found["low"] <= found["high"]
    if own == other:
        assert found["low"] == found["mean"] == found["high"] == 0


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (2, 0.0), (2, 0.02), (3, 0.02), (5, 0.02)])
def test_the_interval_holds_what_it_should(ablation: ModuleType, seeds: int, spread: float) -> None:
    random, inside, photos = np.random.default_rng(1), 0, 400
    for _ in range(100):
        easy = random.random(photos) / 2 + 0.2  # a photo is as easy for all seeds
        gained = 0.05 + random.normal(0, spread, (seeds, 1))
        own, other = (random.random((seeds, photos)) < rate for rate in (easy + gained, easy))
        runs, others = ([_run(list(right), seed) for seed, right in enumerate(rights)] for rights in (own, other))
        found = ablation.difference(runs, others, samples=400)
        inside += found["low"] <= 0.05 <= found["high"]
    assert 88 <= inside <= 100


def test_seeds_that_disagree_widen_the_interval(ablation: ModuleType) -> None:
    right, wrong = [[1] * 300 + [0] * 700, [1] * 400 + [0] * 600], [0] * 1000
    others = [_run(wrong, seed) for seed in (0, 1)]
    alike = ablation.difference([_run(right[0], 0), _run(right[0], 1)], others)
    apart = ablation.difference([_run(right[0], 0), _run(right[1], 1)], others)
    alone = ablation.difference([_run(right[0], 0)], others)
    assert (alike["mean"], alike["low"], alike["high"]) == (alone["mean"], alone["low"], alone["high"])
    assert apart["by_seed"] == pytest.approx([0.3, 0.4]) and apart["mean"] == pytest.approx(0.35)
    assert apart["low"] < 0.3 < alike["high"] < 0.4 < apart["high"]


def test_without_a_common_seed_there_is_no_difference(ablation: ModuleType) -> None:
    assert ablation.difference([_run([1], seed=1)], [_run([1], seed=0)]) is None
