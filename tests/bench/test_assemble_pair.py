"""A pair put together from runs says how each of its networks came about, from the first checkpoint on."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.assemble_pair import assemble
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
