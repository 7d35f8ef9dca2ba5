"""What is said about attention follows from the maps: identities, and runs whose answer is known."""

from __future__ import annotations

import argparse
import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import attention
from foodkd.data import open_photos
from foodkd.explain import Explanation
from foodkd.nets import Pair


def _run(row: str, cosines: list[float], right: list[int], *, mismatched: float) -> dict[str, Any]:
    bits = np.packbits(np.array(right, np.uint8)).tobytes().hex()
    per_photo = [round(100 * value) for value in cosines]
    iam = {"matched": float(np.mean(cosines)), "mismatched": mismatched, "per_photo": per_photo}
    return {"row": row, "seed": 3, "share": 0.1, "photos": len(right), "student": {"right": bits}, "iam": iam}


def test_the_gain_of_the_term_is_that_of_runs_that_differ_in_nothing_else(tmp_path: Path) -> None:
    runs = [
        # Six photos judge the answers, four of them the maps, too.
        _run("joint-kd", [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1, 1, 0], mismatched=0.1),
        _run("joint-kd-iam", [0.6, 0.7, 0.3, 0.4], [1, 1, 1, 1, 0, 1], mismatched=0.15),
        _run("full-r-1", [0.5] * 4, [1] * 4, mismatched=0.1),  # nothing to be compared with: no row for it
    ]
    for number, run in enumerate(runs):
        (tmp_path / f"0.1-{number}-x.json").write_text(json.dumps(run))
    attention.terms(argparse.Namespace(source=[tmp_path], out=tmp_path / "out"))
    (found,) = json.loads((tmp_path / "out" / "terms.json").read_text())["pairs"]
    assert (found["with"], found["without"], found["seed"], found["share"]) == ("joint-kd-iam", "joint-kd", 3, 0.1)
    assert found["cosine"] == pytest.approx(0.25) and found["raised"]["value"] == pytest.approx(0.25)
    assert found["raised"]["low"] <= 0.25 <= found["raised"]["high"]
    assert found["mismatched"] == pytest.approx(0.05)
    # The very photos that gained agreement are those that came right.
    assert found["goes_with_right"]["value"] == pytest.approx(1)
    assert "| joint-kd-iam | joint-kd | 3 | 10 % |" in (tmp_path / "out" / "terms.md").read_text()


def test_a_network_beside_itself_looks_where_it_looks(tiny_pair: Pair) -> None:
    same = copy.copy(tiny_pair)
    same.networks = dict.fromkeys(attention.NETWORKS, tiny_pair.networks["student"])
    same.settings = dict.fromkeys(attention.NETWORKS, tiny_pair.settings["student"])
    photos = open_photos("generated", None, "train", resolution=64, limit=3)
    cosine, other, right, labels = attention._per_photo(same, photos)
    assert len(other) == len(photos) and (other < cosine - 1e-3).any()  # each photo's map beside another's
    assert cosine == pytest.approx(np.ones(len(photos)), abs=1e-5)
    assert np.array_equal(right["teacher"], right["student"]) and set(labels) == {0, 1, 2, 3}


def test_what_every_photo_shows_is_no_agreement_about_a_photo(
    tiny_pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = torch.Generator().manual_seed(0)
    middle, photo, other = (torch.randn(n, 36, generator=random) for n in (1, 80, 80))
    maps = {
        "a": {"teacher": 5 * middle + photo, "student": 5 * middle + other},  # alike in what all photos show
        "b": {"teacher": 5 * middle + photo, "student": -5 * middle + photo},
    }  # alike in what is this photo's
    monkeypatch.setattr(attention, "_validation", lambda pair, data: None)
    monkeypatch.setattr(attention, "looked", lambda pair, photos, names: ({}, maps[pair], None))
    monkeypatch.setattr(attention.Pair, "load", lambda path: path.name)
    attention.own(argparse.Namespace(source=[Path("a"), Path("b")], data=None, out=tmp_path, called=["one", "two"]))
    found = json.loads((tmp_path / "own.json").read_text())["pairs"]
    assert found["one"]["cosine"] > 0.9 and abs(found["one"]["own"]["value"]) < 0.1
    assert found["two"]["cosine"] < -0.5 and found["two"]["own"]["value"] == pytest.approx(1, abs=1e-3)
    assert all(abs(one["own_other"]) < 0.1 for one in found.values())
    assert found["two"]["own"]["low"] <= found["two"]["own"]["value"]
    assert "| two | \N{MINUS SIGN}0." in (tmp_path / "own.md").read_text()


def test_what_all_classes_share_is_what_the_usual_map_has_more(tiny_pair: Pair) -> None:
    (small,) = open_photos("generated", None, "train", resolution=64, limit=1).read([0])
    network = tiny_pair.networks["student"]
    with torch.no_grad():
        tapped = network(tiny_pair.tensor("student", small))
        usual = network.head_weight[2] @ tapped.stages[-1][0].flatten(1)  # Zhou et al., CVPR 2016, eq. 2
    iam = Explanation.of(tiny_pair, "student", small).iam(2)
    plain = iam.values + attention._shared(tiny_pair, "student", small)
    np.testing.assert_allclose(plain.ravel(), usual.numpy(), atol=1e-4)
    assert plain.mean() + float(network.head_bias[2]) == pytest.approx(float(tapped.logits[0, 2]), abs=1e-4)


def test_better_is_a_smaller_area_of_deletion_and_a_larger_one_of_insertion(
    tiny_pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = open_photos("generated", None, "train", resolution=64, limit=3)
    monkeypatch.setattr(attention, "_validation", lambda pair, data: photos)
    asked = {"source": tiny_pair.path, "data": None, "photos": 4, "control": "cells"}
    monkeypatch.setattr(attention.Pair, "load", lambda path: tiny_pair)
    attention.faithfulness(argparse.Namespace(**asked, out=tmp_path))
    found = json.loads((tmp_path / "faithfulness-cells.json").read_text())["networks"]
    for one in found.values():
        for kind, sign in (("deletion", -1), ("insertion", 1)):
            assert one[kind]["lead"]["value"] == pytest.approx(sign * (one[kind]["map"] - one[kind]["chance"]))
            assert one[kind]["lead_on_plain"]["value"] == pytest.approx(sign * (one[kind]["map"] - one[kind]["plain"]))
        assert one["shared"] > 0


def test_a_leg_goes_on_where_the_earlier_one_ended(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "run" / "weights" / "0001")
    (tmp_path / "run" / "history.jsonl").write_text(json.dumps({"epoch": 0.5}) + "\n")
    photos = open_photos("generated", None, "train", resolution=64, limit=3)
    monkeypatch.setattr(attention, "_validation", lambda pair, data: photos)
    common = {"source": tmp_path / "run", "data": None, "photos": 6}
    first = argparse.Namespace(**common, out=tmp_path / "a", start=tiny_checkpoint, offset=1.0, after=None)
    attention.epochs(first)
    then = argparse.Namespace(**common, out=tmp_path / "b", start=None, offset=1.5, after=tmp_path / "a/epochs.json")
    attention.epochs(then)
    points = json.loads((tmp_path / "b" / "epochs.json").read_text())["points"]
    assert [point["epoch"] for point in points] == [1.0, 1.5, 2.0]
    assert points[0]["maps"] == points[2]["maps"]  # the same weights each time
    lines = (tmp_path / "b" / "epochs.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 1.00", "| 1.50", "| 2.00"]
