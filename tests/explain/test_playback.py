"""A training played back: made from a run's kept weights, saved and loaded whole, and nothing else taken for it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain import Explanation, compare
from foodkd.explain.playback import Picture, Playback, make_playback
from foodkd.nets import Pair

BOTH = ("teacher", "student")
LINES = (
    {"step": 10, "epoch": 0.5, "kd": 0.9, "mld/1": 4.0, "teacher": {"top1": 0.3}, "student": {"top1": 0.2}},
    {"step": 20, "epoch": 1.0, "kd": 0.4, "gradient/student": 2.5, "teacher": {"top1": 0.4}, "student": {"top1": 0.35}},
)


@pytest.fixture(scope="module")
def pictures(tiny_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for number, dish in enumerate([*tiny_pair.classes[:2], "gruel"]):
        coarse = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 64)).save(folder / f"{number}.png")
        found.append(Picture(f"meal-{number}", dish, folder / f"{number}.png"))
    return found


@pytest.fixture(scope="module")
def run(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder as training leaves it; both evaluations kept the same weights."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    for number in (1, 2):
        shutil.copytree(tiny_checkpoint, folder / "weights" / f"{number:04d}")
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return folder


@pytest.fixture(scope="module")
def play(run: Path, pictures: list[Picture], tiny_checkpoint: Path) -> Playback:
    return make_playback(run, pictures, start=tiny_checkpoint, offset=2.0)


def test_every_figure_is_the_networks_own(play: Playback, tiny_checkpoint: Path, pictures: list[Picture]) -> None:
    pair = Pair.load(tiny_checkpoint)
    assert play.examples == ("meal-0", "meal-1") and play.classes == pair.classes and list(play.dishes) == [0, 1]
    small = pair.preprocessing.small(open_photo(pictures[1].path))
    explained = {name: Explanation.of(pair, name, small) for name in BOTH}
    for name, explanation in explained.items():
        own, kept = explanation.iam(1), play.iam(name, 2, 1)
        np.testing.assert_allclose(kept.values, own.values, rtol=1e-6)
        assert (kept.start, kept.step, kept.size, kept.class_index) == (own.start, own.step, own.size, 1)
        answer, sure = explanation.top(1)[0]
        assert play.answers[name][2, 1] == answer and play.sure[name][2, 1] == pytest.approx(sure)
        assert play.dish[name][2, 1] == pytest.approx(explanation.probabilities[1])
    agree = compare(*(explained[name].iam(1) for name in BOTH)).cosine_centred
    assert play.cosine[2, 1] == pytest.approx(agree)


def test_the_history_stands_beside_its_points(play: Playback) -> None:
    np.testing.assert_allclose(play.epochs, [2.0, 2.5, 3.0])
    np.testing.assert_allclose(play.history["kd"], [np.nan, 0.9, 0.4], rtol=1e-6)
    np.testing.assert_allclose(play.history["student/top1"], [np.nan, 0.2, 0.35], rtol=1e-6)
    np.testing.assert_allclose(play.history["gradient/student"], [np.nan, np.nan, 2.5])
    assert set(play.history) == {"kd", "mld/1", "gradient/student", "teacher/top1", "student/top1"}


def test_it_is_saved_small_and_loaded_whole(play: Playback, tmp_path: Path) -> None:
    path = play.save(tmp_path / "playback.npz")
    loaded = Playback.load(path)
    assert path.stat().st_size < 20_000 and (loaded.examples, loaded.classes) == (play.examples, play.classes)
    np.testing.assert_allclose(loaded.cosine, play.cosine, atol=1e-3)
    for name in BOTH:
        np.testing.assert_array_equal(loaded.answers[name], play.answers[name])
        np.testing.assert_allclose(loaded.maps[name], play.maps[name], rtol=1e-3, atol=1e-3)
        assert loaded.iam(name, 0, 0).positions[0] == pytest.approx(play.iam(name, 0, 0).positions[0])
    assert loaded.history.keys() == play.history.keys()


def test_a_later_leg_goes_on_where_the_earlier_one_ended(
    play: Playback, run: Path, pictures: list[Picture], tmp_path: Path
) -> None:
    earlier = replace(Playback.load(play.save(tmp_path / "leg.npz")), epochs=np.array([1.0, 2.0, 2.5], np.float32))
    own = make_playback(run, pictures, offset=2.0)
    whole = own.after(earlier)
    np.testing.assert_allclose(whole.epochs, [1.0, 2.0, 2.5, 3.0])  # 2.5 stands once, as the later leg saw it
    np.testing.assert_allclose(whole.history["kd"], [np.nan, 0.9, 0.9, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(whole.maps["student"][2:], own.maps["student"])
    np.testing.assert_array_equal(whole.answers["teacher"][:2], earlier.answers["teacher"][:2])
    assert Playback.load(whole.save(tmp_path / "whole.npz")).cosine.shape == (4, 2)
    with pytest.raises(FoodkdError, match="other classes, pictures or sizes of maps"):
        own.after(replace(earlier, examples=("meal-0", "tea")))


def _garbled(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def _foreign(path: Path) -> None:
    path.write_text("dear diary")


def _pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, format=np.array([{"a": 1}], dtype=object))


def _newer(path: Path) -> None:
    with np.load(path) as file, path.with_suffix(".tmp").open("wb") as out:
        np.savez(out, **({name: file[name] for name in file.files} | {"format": np.array(2)}))
    path.with_suffix(".tmp").replace(path)


def _without(part: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with np.load(path) as file, path.with_suffix(".tmp").open("wb") as out:
            np.savez(out, **{name: file[name] for name in file.files if name != part})
        path.with_suffix(".tmp").replace(path)

    return damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (Path.unlink, "is missing"),
        (_garbled, "no readable playback"),
        (_foreign, "no readable playback"),
        (_pickled, "no readable playback"),
        (_newer, "format 2, not 1"),
        (_without("student.maps"), "student.maps"),
        (_without("cosine"), "cosine"),
    ],
)
def test_foreign_files_are_refused(play: Playback, tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    path = play.save(tmp_path / "playback.npz")
    damage(path)
    with pytest.raises(FoodkdError, match=says) as refused:
        Playback.load(path)
    assert "benchmarks.playback" in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": np.array([1.0, 0.5, 2.0])},
        {"dishes": np.array([0, 9])},
        {"cosine": np.zeros((2, 2))},
        {"history": {"kd": np.zeros(3), "iam": np.zeros(3)}, "epochs": np.zeros(0)},
        {"place": {name: np.array([0.0, 0.0, 64.0]) for name in BOTH}},
    ],
)
def test_arrays_that_contradict_each_other_are_refused(play: Playback, tmp_path: Path, wrong: dict) -> None:
    broken = replace(play, **{name: value for name, value in wrong.items() if name != "history"})
    if len(broken.epochs) == 0:
        broken = replace(broken, history={})
    path = broken.save(tmp_path / "playback.npz")
    with pytest.raises(FoodkdError, match="lacks or garbles a part"):
        Playback.load(path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, pictures: list[Picture], run: Path) -> None:
    with pytest.raises(FoodkdError, match=r"history\.jsonl is missing"):
        make_playback(tmp_path, pictures)
    (tmp_path / "history.jsonl").write_text(json.dumps(LINES[0]) + "\n")
    with pytest.raises(FoodkdError, match="no checkpoint yet"):
        make_playback(tmp_path, pictures)
    (tmp_path / "history.jsonl").write_text("[1]\n")
    with pytest.raises(FoodkdError, match="no history of a run"):
        make_playback(tmp_path, pictures)
    with pytest.raises(FoodkdError, match="None of the examples"):
        make_playback(run, pictures[2:])


def test_the_command_reads_the_list_of_examples(tmp_path: Path, pictures: list[Picture]) -> None:
    place = Path(__file__).resolve().parents[2] / "benchmarks" / "playback.py"
    spec = importlib.util.spec_from_file_location("benchmark_playback", place)
    assert spec is not None and spec.loader is not None
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    rows = [{"file": picture.path.name, "class": picture.dish} for picture in pictures]
    (tmp_path / "examples.json").write_text(json.dumps(rows))
    found = command.read_pictures(tmp_path)
    assert [(one.name, one.dish) for one in found] == [("0", pictures[0].dish), ("1", pictures[1].dish), ("2", "gruel")]
    with pytest.raises(FoodkdError, match=r"examples\.json"):
        command.read_pictures(tmp_path / "nowhere")
