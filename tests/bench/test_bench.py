"""Benchmarks run on any pair and give figures; how fast anything is, no test decides."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from foodkd import bench
from foodkd.errors import FoodkdError
from foodkd.nets import Pair

EXPECTED = {
    "forward": {"teacher_pass_s", "student_pass_s", "teacher_to_student_ratio"},
    "train": {"teacher_bare_s", "student_bare_s", "joint_step_s", "photos_per_s", "joint_to_bare_ratio"},
    "app": {
        *("first_answer_ratio", "new_photo_ratio", "new_small_photo_ratio", "new_photo_of_aim_ratio"),
        *("class_compare_ratio", "class_iam_ratio", "class_layers_ratio", "class_faithfulness_ratio"),
        "class_curves_ratio",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(bench.BENCHMARKS))
def test_a_benchmark_gives_finite_positive_figures_and_prints_them(
    name: str, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = bench.run_benchmark(name, checkpoint=tiny_checkpoint, repeats=1)
    assert list(results) == [name] and EXPECTED[name] <= set(results[name])
    assert all(math.isfinite(value) and value > 0 for value in results[name].values())
    printed = capsys.readouterr().out
    assert printed.startswith(name) and all(figure in printed for figure in results[name])


def test_without_a_name_all_run(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {name: lambda pair, repeats, name=name: {f"{name}_ratio": float(repeats)} for name in ("one", "two")}
    monkeypatch.setattr(bench, "BENCHMARKS", quick)
    results = bench.run_benchmark(None, checkpoint=tiny_checkpoint, repeats=3)
    assert results == {"one": {"one_ratio": 3.0}, "two": {"two_ratio": 3.0}}


def test_an_unknown_benchmark_is_named_with_those_there_are(tiny_checkpoint: Path) -> None:
    with pytest.raises(FoodkdError, match=r"'fast'.*forward, train, app"):
        bench.run_benchmark("fast", checkpoint=tiny_checkpoint)


def test_figures_say_their_unit() -> None:
    assert bench._written("pass_s", 0.0123) == "12.3 ms"
    assert bench._written("photos_per_s", 45.67) == "45.7 /s"
    assert bench._written("joint_to_bare_ratio", 1.234) == "1.23 x"


def test_training_is_measured_on_copies_with_the_pairs_own_recipe(
    tiny_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {k: v.clone() for name in bench.BOTH for k, v in tiny_pair.networks[name].state_dict(prefix=name).items()}
    seen: list[Any] = []
    built = bench.JointDistiller

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append((arguments[2], options["precision"]))
        return built(*arguments, **options)

    monkeypatch.setattr(bench, "JointDistiller", watched)
    network = {"backbone": "resnet18", "size": 64}
    recipe = {"name": "own", "data": {"dataset": "generated"}, "teacher": network, "student": network}
    recipe |= {"distill": {"iam": 0.0, "kd": 0.25}, "train": {"batch_size": 2}}
    recipe |= {"teacher_learning": {"precision": "bfloat16"}}
    monkeypatch.setitem(tiny_pair.info, "recipe", recipe)
    bench.train(tiny_pair, 1)
    assert (seen[0][0].iam, seen[0][0].kd, seen[0][1]) == (0.0, 0.25, ("bfloat16", "float32"))
    after = {k: v for name in bench.BOTH for k, v in tiny_pair.networks[name].state_dict(prefix=name).items()}
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(p.requires_grad for p in tiny_pair.networks["teacher"].parameters())
