"""A pair put together from runs says how each of its networks came about, from the first checkpoint on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.assemble_pair import assemble
from benchmarks.roles import exchange
from foodkd.errors import FoodkdError
from foodkd.nets import Pair


def checkpoint(folder: Path, tiny: Path, steps: int, earlier: list[int] | None = None) -> Path:
    """The tiny pair with a training of its own, saved."""
    pair = Pair.load(tiny)
    pair.info = {**pair.info, "training": {"steps": steps}}
    if earlier is not None:
        pair.info["earlier"] = [{"training": {"steps": before}} for before in earlier]
    pair.save(folder)
    return folder


def test_what_the_runs_began_with_is_kept_in_order(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = checkpoint(tmp_path / "first", tiny_checkpoint, 2, earlier=[1])
    trunk = checkpoint(tmp_path / "trunk", tiny_checkpoint, 3)
    joint, alone = (checkpoint(tmp_path / name, tiny_checkpoint, steps) for name, steps in (("joint", 4), ("alone", 5)))
    pair = assemble(joint, alone, [first, trunk])
    assert [leg["training"]["steps"] for leg in pair.info["earlier"]] == [1, 2, 3]
    assert (pair.info["training"], pair.info["student-alone"]["training"]) == ({"steps": 4}, {"steps": 5})
    assert "earlier" not in assemble(joint, alone).info


def test_the_lone_student_is_the_other_runs_student(tiny_checkpoint: Path, tmp_path: Path) -> None:
    joint = checkpoint(tmp_path / "joint", tiny_checkpoint, 1)
    other = Pair.load(tiny_checkpoint)
    with torch.no_grad():
        other.networks["student"].network.classifier[1].bias.add_(2)
    other.save(tmp_path / "alone")
    assembled = assemble(joint, tmp_path / "alone")
    alone, student = (assembled.networks[name].network.classifier[1].bias for name in ("student-alone", "student"))
    assert torch.allclose(alone, student + 2, atol=2e-3)  # weights ship in half precision


def taught_run(folder: Path, tiny: Path) -> Path:
    """A run in which the tiny pair's teacher learned on from its student, at another size."""
    made = exchange(Pair.load(tiny))
    made.info["training"] = {"steps": 9}
    made.settings["student"] = made.settings["student"].model_copy(update={"size": made.sizes["student"] + 32})
    with torch.no_grad():
        made.networks["student"].head_bias.add_(2)
    made.temperatures["student"] = 1.5
    return made.save(folder)


def test_a_teacher_that_its_student_taught_takes_the_teachers_place(tiny_checkpoint: Path, tmp_path: Path) -> None:
    joint = checkpoint(tmp_path / "joint", tiny_checkpoint, 1)
    before = Pair.load(joint)
    made = assemble(joint, joint, taught=taught_run(tmp_path / "taught", tiny_checkpoint))
    assert torch.allclose(made.networks["teacher"].head_bias, before.networks["teacher"].head_bias + 2)
    assert made.sizes == before.sizes | {
        "teacher": before.sizes["teacher"] + 32,
        "student-alone": before.sizes["student"],
    }
    assert made.temperatures["teacher"] == 1.5
    assert (made.info["training"], made.info["taught-by-student"]["training"]) == ({"steps": 1}, {"steps": 9})
    small = torch.zeros(1, *2 * [before.preprocessing.resolution], 3, dtype=torch.uint8)
    answers = [one.networks["student"](one.tensor("student", small)).logits for one in (made, before)]
    assert torch.equal(*answers)


def test_a_teacher_taught_by_another_student_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    taught = taught_run(tmp_path / "taught", tiny_checkpoint)
    other = Pair.load(tiny_checkpoint)
    with torch.no_grad():
        other.networks["student"].head_bias.add_(1)
    other.save(tmp_path / "joint")
    with pytest.raises(FoodkdError, match="was not taught by the student of"):
        assemble(tmp_path / "joint", tmp_path / "joint", taught=taught)
