"""The command line: statuses, one line on stderr for every mistake, and what each command leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from foodkd import cli
from foodkd.data import open_photos
from foodkd.explain.answers import Answers
from foodkd.nets import Pair
from foodkd.train import bundled_recipes
from foodkd.train.metrics import evaluate_pair

ROOT = Path(__file__).resolve().parent.parent

RECIPE = """
name = "tiny"
[data]
dataset = "generated"
resolution = 32
options = { classes = 3, per_class = 12 }
[teacher]
backbone = "shufflenet_v2_x1_0"
size = 32
output_stride = 16
[student]
backbone = "shufflenet_v2_x0_5"
size = 32
output_stride = 16
[distill]
mld_width = 8
[train]
epochs = 2
batch_size = 12
save_every = 0.00001
"""


class Ended(NamedTuple):
    status: int | str | None
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run("evaluate", ...): the command line in this process."""

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["foodkd", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended, torch.random.fork_rng():
            cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two of the pair's four classes, ten each."""
    photos = open_photos("generated", None, "test", resolution=64, per_class=20)
    root = tmp_path_factory.mktemp("photos")
    for index, label in enumerate(photos.labels):
        if photos.classes[label] in ("disc_0", "triangle_2"):
            path = root / photos.classes[label] / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(photos.read([index])[0]).save(path)
    return root


def failed(ended: Ended, *parts: str) -> None:
    """Status 1 and one line on stderr that says why."""
    assert ended.status == 1, ended
    assert ended.err.startswith("foodkd: ") and ended.err.count("\n") == 1, ended.err
    assert all(part in ended.err for part in parts), ended.err


def weights(run: Path) -> dict[str, str]:
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in run.rglob("*.safetensors")}


# train


def test_a_killed_command_goes_on_and_its_checkpoint_serves_every_other_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    words = ["train", tmp_path / "tiny.toml", "--out", tmp_path / "killed", "--set", "distill.kd=0.5"]
    command = [sys.executable, "-m", "foodkd", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "killed/state.pt").exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()  # SIGKILL
    assert not (tmp_path / "killed/finished").exists()

    ended = run(*words, "--resume")
    assert ended.status == 0 and str(tmp_path / "killed/best") in ended.out
    assert run(*words[:3], tmp_path / "unbroken", *words[4:]).status == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "unbroken") != {}
    histories = [(tmp_path / name / "history.jsonl").read_text() for name in ("killed", "unbroken")]
    assert histories[0] == histories[1]

    failed(run(*words), "is a finished run")
    ended = run("evaluate", tmp_path / "killed/best")  # its own kind of photos lies nowhere: no --data
    assert ended.status == 0 and "18 photos" in ended.out
    picture = tmp_path / "picture.png"
    Image.fromarray(np.full((40, 60, 3), 128, np.uint8)).save(picture)
    assert run("explain", tmp_path / "killed/best", picture, "--out", tmp_path / "maps").status == 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["smok"], ["smok", "smoke", ".toml"]),
        (["smoke", "--set", "distill.iamm=0"], ["distill.iamm", "distill.iam"]),
        (["smoke", "--set", "train.epochs=-1"], ["train.epochs = -1", "greater than 0"]),
        (["food101-64"], ["--data"]),
        (["food101-64", "--data", "nowhere"], ["nowhere"]),
        (["smoke", "--resume"], ["no run to resume"]),
    ],
)
def test_a_training_that_can_not_begin_says_why_and_leaves_nothing(
    words: list[str], parts: list[str], run: Run, tmp_path: Path
) -> None:
    failed(run("train", *words, "--out", tmp_path / "run"), *parts)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_can_not_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    failed(run("train", tmp_path / "tiny.toml", "--out", tmp_path / "file/run"), "file")


# evaluate


def test_a_folder_of_some_classes_is_judged_whole_against_all(
    run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    ended = run(
        "evaluate", tiny_checkpoint, "--data", folder, "--dataset", "folder", "--json", tmp_path / "a/figures.json"
    )
    assert ended.status == 0 and "20 photos" in ended.out
    figures = json.loads((tmp_path / "a/figures.json").read_text())
    assert set(figures) == {"photos", "teacher", "student", "agreement"}
    for name in ("teacher", "student"):
        assert set(figures[name]) == {"top1", "top5", "ece", "nll", "parameters", "bytes"}
        assert all(0 <= figures[name][key] <= 1 for key in ("top1", "top5", "ece"))
        assert figures[name]["bytes"] == (tiny_checkpoint / f"{name}.safetensors").stat().st_size
    pair = Pair.load(tiny_checkpoint)
    assert figures == evaluate_pair(pair, open_photos("folder", folder, "all", resolution=64))


def as_trained_on(checkpoint: Path, dataset: str, to: Path) -> Path:
    """The same checkpoint, as if its pair had learned from another dataset."""
    shutil.copytree(checkpoint, to)
    info = json.loads((to / "pair.json").read_text())
    info["recipe"] = {"data": {"dataset": dataset, "holdout": 0.2}}
    (to / "pair.json").write_text(json.dumps(info))
    return to


@pytest.mark.parametrize("words", [[], ["--dataset", "folder"]])
def test_a_pair_is_never_judged_on_the_folder_it_learned_from_unasked(
    words: list[str], run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    own = as_trained_on(tiny_checkpoint, "folder", tmp_path / "own")
    assert "4 photos" in run("evaluate", own, "--data", folder, *words).out  # the fifth that training leaves out
    assert "20 photos" in run("evaluate", own, "--data", folder, "--split", "all", *words).out


def test_a_folder_given_to_a_pair_of_generated_pictures_is_what_is_judged(
    run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    own = as_trained_on(tiny_checkpoint, "generated", tmp_path / "own")
    assert "20 photos" in run("evaluate", own, "--data", folder).out


def test_a_folder_given_to_a_pair_of_food101_must_be_called_one(
    run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    own = as_trained_on(tiny_checkpoint, "food101", tmp_path / "own")
    failed(run("evaluate", own, "--data", folder), "is not food101", "--dataset folder")
    assert "20 photos" in run("evaluate", own, "--data", folder, "--dataset", "folder").out
    (tmp_path / "empty").mkdir()
    failed(run("evaluate", own, "--data", tmp_path / "empty"), "Food-101 was not found")


def test_answers_name_the_split_that_was_judged(run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    assert run("evaluate", tiny_checkpoint, "--data", folder, "--answers", tmp_path / "a.npz").status == 0
    assert Answers.load(tmp_path / "a.npz").split == "all"


def test_what_can_not_be_written_is_told_before_the_networks_start(
    run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pair, "load", lambda _: pytest.fail("the networks started"))
    kept = tmp_path / "kept.json"
    kept.write_text("mine")
    for option, end in (("--json", "json"), ("--answers", "npz"), ("--csv", "csv")):
        other = tmp_path / f"other.{end}"
        other.write_text("mine")
        failed(run("evaluate", tiny_checkpoint, "--data", folder, option, other), f"other.{end} exists")
        failed(run("evaluate", tiny_checkpoint, "--data", folder, option, kept / f"new.{end}"), "kept.json is a file")
        assert other.read_text() == kept.read_text() == "mine"


def test_evaluate_says_what_is_wrong_in_one_line(run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    failed(run("evaluate", tmp_path / "none", "--data", folder), str(tmp_path / "none"), "pair.json is missing")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/pair.json").write_text("{}")
    failed(run("evaluate", tmp_path / "foreign", "--data", folder), "format")
    altered = tmp_path / "altered"
    shutil.copytree(tiny_checkpoint, altered)
    content = bytearray((altered / "student.safetensors").read_bytes())
    content[-1] ^= 1
    (altered / "student.safetensors").write_bytes(content)
    failed(run("evaluate", altered, "--data", folder), "student.safetensors", "altered")
    failed(run("evaluate", tiny_checkpoint), "--data ROOT")
    failed(run("evaluate", tiny_checkpoint, "--data", tmp_path / "none"), str(tmp_path / "none"))
    strange = tmp_path / "strange"
    shutil.copytree(folder / "disc_0", strange / "pizza")
    failed(run("evaluate", tiny_checkpoint, "--data", strange), "'pizza' is not one of the 4 classes")


# explain


def test_explain_writes_pictures_arrays_and_a_manifest(
    run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    photo = next((folder / "disc_0").iterdir())
    ended = run("explain", tiny_checkpoint, photo, "--class", "disc_0", "--out", tmp_path / "maps")
    assert ended.status == 0 and str(tmp_path / "maps") in ended.out
    text = (tmp_path / "maps/manifest.json").read_text()
    files = {path.suffix for path in (tmp_path / "maps").rglob("*") if path.is_file()}
    assert {".png", ".npy", ".json"} <= files
    for kind in ("iam", "layer", "teacher", "student", "disc_0"):
        assert f'"{kind}"' in text
    failed(run("explain", tiny_checkpoint, photo, "--out", tmp_path / "maps"), "maps")


def test_explain_says_what_is_wrong_in_one_line(run: Run, tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    photo = next((folder / "disc_0").iterdir())
    failed(run("explain", tiny_checkpoint, photo, "--class", "pizza", "--out", tmp_path / "maps"), "pizza")
    note = tmp_path / "note.jpg"
    note.write_text("no photo")
    failed(run("explain", tiny_checkpoint, note, "--out", tmp_path / "maps"), "note.jpg")
    failed(run("explain", tiny_checkpoint, tmp_path / "none.jpg", "--out", tmp_path / "maps"), "none.jpg")
    assert not (tmp_path / "maps").exists()


# The command line itself.


@pytest.mark.parametrize(
    "words",
    [
        ["teach"],
        ["train"],
        ["train", "smoke", "--colour", "red"],
        ["evaluate"],
        ["evaluate", "x", "--split", "some"],
        ["evaluate", "x", "--dataset", "menu"],
        ["evaluate", "x", "--batch-size", "0"],
        ["explain", "x", "y"],
    ],
    ids=" ".join,
)
def test_bad_arguments_are_status_2(words: list[str], run: Run) -> None:
    ended = run(*words)
    assert ended.status == 2 and ended.err and "Traceback" not in ended.err


def test_help_names_every_command_and_every_bundled_recipe(run: Run) -> None:
    ended = run("--help")
    assert ended.status == 0
    assert all(command in ended.out for command in ("train", "evaluate", "explain", "export", "bench"))
    shown = " ".join(run("train", "--help").out.split())
    assert f"Bundled recipes: {', '.join(bundled_recipes())}." in shown


def test_help_loads_no_large_library() -> None:
    code = "import sys, foodkd.cli; print(sorted({'torch', 'numpy', 'gradio', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_stop_by_hand_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("foodkd.train.loop.train", stopped)
    assert run("train", "smoke") == (130, "", "foodkd: stopped; the same command goes on from the last save.\n")
