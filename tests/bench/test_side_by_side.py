"""Two runs of one network each become one run folder, point by point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.side_by_side import merge
from foodkd.errors import FoodkdError
from foodkd.explain.playback import Picture, make_playback
from foodkd.nets import Pair

RECIPE = {"data": {"dataset": "generated"}}


def run(folder: Path, tiny: Path, network: str, epochs: list[float], **changed: object) -> Path:
    """A run that kept weights at some epochs: point P has P added to the network's first bias."""
    folder.mkdir()
    for number, epoch in enumerate(epochs, start=1):
        pair = Pair.load(tiny)
        pair.info = {**pair.info, "recipe": {**RECIPE, **changed}}
        with torch.no_grad():
            next(p for n, p in pair.networks[network].named_parameters() if n.endswith("bias")).add_(number)
        pair.save(folder / "weights" / f"{number:04d}")
        with (folder / "history.jsonl").open("a", encoding="utf-8") as history:
            history.write(json.dumps({"epoch": epoch, network: {"top1": number / 10}}) + "\n")
    return folder


def test_points_are_matched_by_epoch(tiny_checkpoint: Path, tmp_path: Path) -> None:
    teacher = run(tmp_path / "teacher", tiny_checkpoint, "teacher", [1.0, 2.0])
    student = run(tmp_path / "student", tiny_checkpoint, "student", [0.5, 1.00001, 2.0])
    out = tmp_path / "out"
    assert merge(teacher, student, out) == 2
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [(line["teacher"]["top1"], line["student"]["top1"]) for line in lines] == [(0.1, 0.2), (0.2, 0.3)]
    for number, points in ((1, {"teacher": 1, "student": 2}), (2, {"teacher": 2, "student": 3})):
        made = Pair.load(out / "weights" / f"{number:04d}")
        for name, point in points.items():
            own = Pair.load(tmp_path / name / "weights" / f"{point:04d}").networks[name].state_dict()
            assert all(torch.equal(value, own[key]) for key, value in made.networks[name].state_dict().items())
    Image.new("RGB", (64, 64), "brown").save(tmp_path / "meal.png")
    play = make_playback(out, [Picture("meal", made.classes[0], tmp_path / "meal.png")], offset=3)
    assert play.epochs.tolist() == [4.0, 5.0] and play.history["student/top1"].tolist() == pytest.approx([0.2, 0.3])
    assert play.apart.all()
    assert Pair.load(out / "last").info["networks"] == made.info["networks"]


def test_runs_that_do_not_belong_together_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    teacher = run(tmp_path / "teacher", tiny_checkpoint, "teacher", [1.0])
    elsewhere = run(tmp_path / "a", tiny_checkpoint, "student", [1.0], data={"dataset": "folder"})
    with pytest.raises(FoodkdError, match="other photos"):
        merge(teacher, elsewhere, tmp_path / "out")
    with pytest.raises(FoodkdError, match="no common epoch"):
        merge(teacher, run(tmp_path / "b", tiny_checkpoint, "student", [0.5]), tmp_path / "out")
    with pytest.raises(FoodkdError, match="holds no history"):
        merge(teacher, tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()
