"""The run folder refuses what it must, claims nothing in vain, and keeps the old state until the new one is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import Tiny

from foodkd.errors import FoodkdError
from foodkd.train.loop import Trainer, train
from foodkd.train.recipe import Recipe
from foodkd.train.run import RunFolder


def begun(path: Path, recipe: Recipe) -> None:
    """What a run that was stopped at once leaves."""
    run = RunFolder(path, recipe)
    run.begin()
    run.release()


def test_a_finished_run_is_refused(learned: Path, tiny: Tiny) -> None:
    before = (learned / "history.jsonl").read_bytes()
    with pytest.raises(FoodkdError, match="is a finished run"):
        train(tiny(), data=None, out=learned, quiet=True)
    assert (learned / "history.jsonl").read_bytes() == before


def test_another_recipes_run_is_refused_and_the_setting_named(tiny: Tiny, tmp_path: Path) -> None:
    begun(tmp_path / "run", tiny())
    with pytest.raises(FoodkdError, match=r"another recipe \(its 'distill.kd' is 1.0, not 0.5\)"):
        train(tiny("distill.kd=0.5"), data=None, out=tmp_path / "run", quiet=True)
    assert json.loads((tmp_path / "run/recipe.json").read_text())["distill"]["kd"] == 1.0


def test_a_run_begun_before_a_setting_existed_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    begun(tmp_path / "run", tiny())
    path = tmp_path / "run/recipe.json"
    recorded = json.loads(path.read_text())
    del recorded["train"]["norm_batches"]
    path.write_text(json.dumps(recorded))
    RunFolder(tmp_path / "run", tiny())
    with pytest.raises(FoodkdError, match="norm_batches"):
        RunFolder(tmp_path / "run", tiny("train.norm_batches=3"))


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"name": "x"}'])
def test_a_foreign_recipe_file_is_refused(content: str, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(FoodkdError, match="name another folder with --out"):
        train(tiny(), data=None, out=tmp_path, quiet=True)
    assert (tmp_path / "recipe.json").read_text() == content


def test_a_foreign_folder_or_file_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    for place in (tmp_path, note):
        with pytest.raises(FoodkdError, match="is no run"):
            train(tiny(), data=None, out=place, quiet=True)
    assert note.read_text() == "mine"


def test_resume_insists_on_a_run(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(FoodkdError, match="no run to resume"):
        train(tiny(), data=None, out=tmp_path / "run", resume=True, quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("student.backbone=mobilenet_v9", "mobilenet_v9"),
        ("student.output_stride=5", "output_stride"),
        ("teacher.weights=nowhere.safetensors", "nowhere.safetensors"),
        ("teacher_checkpoint=nowhere", "nowhere"),
        ("distill.mld_stages=[0, 1]", "mld_stages"),
        ("data.options.classes=1000", "1000"),
        ("data.options.classes=many", "data.options"),
        ("data.options.seed=3", "data.options"),
        ("data.options.colour=red", "colour"),
        ("teacher.backbone=inception_v3", "larger"),
    ],
)
def test_a_recipe_that_can_not_work_claims_no_folder(override: str, sentence: str, tiny: Tiny, tmp_path: Path) -> None:
    recipe = tiny(override, *(["teacher.output_stride=32"] if "inception" in override else []))
    with pytest.raises(FoodkdError, match=sentence):
        train(recipe, data=None, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_missing_photos_claim_no_folder(tiny: Tiny, tmp_path: Path) -> None:
    recipe = tiny("data.dataset=folder", "data.options={}")
    with pytest.raises(FoodkdError, match="photos"):
        train(recipe, data=tmp_path / "photos", out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def interrupted(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after two of its six steps."""
    whole = Trainer._one_step

    def one_step(self: Trainer, step: int, *arguments: Any) -> dict[str, float]:
        if step == 2:
            raise KeyboardInterrupt
        return whole(self, step, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_one_step", one_step)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(), data=None, out=tmp_path / "run", quiet=True)
    return tmp_path / "run"


def test_a_damaged_state_gets_a_sentence_and_stays(interrupted: Path, tiny: Tiny) -> None:
    state = interrupted / "state.pt"
    whole = state.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no state at all"):
        state.write_bytes(damaged)
        with pytest.raises(FoodkdError, match=r"state\.pt can't be read .* begin again in another folder"):
            train(tiny(), data=None, out=interrupted, quiet=True)
        assert state.read_bytes() == damaged


def test_a_state_of_other_photos_gets_a_sentence(interrupted: Path, tiny: Tiny) -> None:
    state = torch.load(interrupted / "state.pt")
    key = "networks.student.network.fc.bias"
    state["model"][key] = torch.zeros(7)
    torch.save(state, interrupted / "state.pt")
    with pytest.raises(FoodkdError, match="does not fit these photos"):
        train(tiny(), data=None, out=interrupted, quiet=True)


def test_a_full_disk_keeps_the_old_state(interrupted: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (interrupted / "state.pt").read_bytes()

    def full(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0")

    with monkeypatch.context() as patch, pytest.raises(FoodkdError, match=r"can't be written .* goes on"):
        patch.setattr("foodkd.train.run.torch.save", full)
        train(tiny(), data=None, out=interrupted, quiet=True)
    assert (interrupted / "state.pt").read_bytes() == before
    assert not list(interrupted.glob(".*.partial"))
    assert torch.load(interrupted / "state.pt")["step"] == 2


def test_two_processes_never_share_a_run(tiny: Tiny, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run", tiny())
    first.begin()
    with pytest.raises(FoodkdError, match="Another process is training"):
        begun(tmp_path / "run", tiny())
    first.release()
    second = RunFolder(tmp_path / "run", tiny())
    second.begin()
    second.release()


def test_what_a_kill_left_is_cleared_and_a_lost_checkpoint_found(tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun(run, tiny())
    for name in (".best.ab_12.old", ".last.cd_34.old", "last", ".best.ab_12.partial", "weights/.0001.x.partial"):
        (run / name).mkdir(parents=True)
        (run / name / "pair.json").write_text(name)
    (run / ".state.pt.1-2.partial").write_bytes(b"half")
    begun(run, tiny())
    assert (run / "best/pair.json").read_text() == ".best.ab_12.old"
    assert (run / "last/pair.json").read_text() == "last"
    assert {path.name for path in run.rglob("*")} == {"best", "last", "weights", "recipe.json", "pair.json"}
