"""The loop: it learns, it keeps what it promises, and every setting does what it says."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from training_runs import Tiny

from foodkd.data import open_photos
from foodkd.errors import FoodkdError
from foodkd.nets import Pair
from foodkd.train.loop import Trainer, train
from foodkd.train.metrics import measure, predict
from foodkd.train.recipe import Recipe
from foodkd.train.run import RunFolder


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def trainer(recipe: Recipe, out: Path) -> Trainer:
    photos = [open_photos("generated", None, s, resolution=32, **recipe.data.options) for s in ("train", "validation")]
    return Trainer(recipe, *photos, RunFolder(out, recipe), quiet=True)


# What a run leaves.


def test_training_lowers_every_term_and_beats_chance(learned: Path) -> None:
    first, last = history(learned)
    for term in ("loss", "ce_teacher", "ce_student", "mld", "iam"):
        assert last[term] < first[term], term
    assert last["teacher"]["top1"] > 0.8 and last["student"]["top1"] > 0.8  # chance: 0.33


def test_the_best_checkpoint_is_what_the_history_says(learned: Path) -> None:
    pair = Pair.load(learned / "best")
    photos = open_photos("generated", None, "validation", resolution=32, classes=3, per_class=48)
    line = pair.info["training"]["validation"]
    best = max(entry["student"]["top1"] for entry in history(learned))
    for name in ("teacher", "student"):
        logits = predict(pair.networks[name], photos, pair.preprocessing, pair.sizes[name])
        found = measure(logits, torch.from_numpy(photos.labels))
        assert found["top1"] == pytest.approx(line[name]["top1"], abs=1 / len(photos) + 1e-6)
        assert found["nll"] == pytest.approx(line[name]["nll"], abs=0.02)  # weights were rounded to 16 bits
        assert pair.temperatures[name] == line[name]["temperature"]
    assert line["student"]["top1"] == best
    assert set(pair.auxiliary) == {"teacher", "student"}
    assert str(learned) not in (learned / "best/pair.json").read_text()


def test_the_run_folder_holds_what_the_pages_promise(learned: Path) -> None:
    names = {path.name for path in learned.iterdir()}
    assert names == {
        "recipe.json", "history.jsonl", "history.png", "weights", "playback", "tensorboard", "best", "last", "finished"
    }  # fmt: skip
    with Image.open(learned / "history.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5
    assert [p.name for p in sorted((learned / "weights").iterdir())] == ["0001", "0002"]
    assert Pair.load(learned / "weights/0001").info["training"]["validation"]["step"] == history(learned)[0]["step"]


def test_playback_holds_the_additive_maps_of_a_few_fixed_photos(learned: Path) -> None:
    first, last = (np.load(learned / f"playback/000{i}.npz") for i in (1, 2))
    pair = Pair.load(learned / "last")
    photos = open_photos("generated", None, "validation", resolution=32, classes=3, per_class=48)
    labels = np.array([photos.labels[photos.ids.index(one)] for one in last["ids"]])
    assert (first["ids"] == last["ids"]).all() and len(labels) == 8
    for name in ("teacher", "student"):
        bias = pair.networks[name].centred_head[1].numpy()[labels]
        logits = last[f"{name}_logits"][np.arange(8), labels]
        assert np.allclose(last[f"{name}_maps"].mean((1, 2)) + bias, logits, atol=2e-2)
        assert not np.allclose(first[f"{name}_maps"], last[f"{name}_maps"])


def test_tensorboard_reads_the_events(learned: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(learned / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/loss")] == [20, 40, 60]
    found = [event.value for event in events.Scalars("validation/student/top1")]
    assert found == pytest.approx([line["student"]["top1"] for line in history(learned)])


# Modes.


def test_a_frozen_teacher_stays_bit_identical_and_is_judged(learned: Path, tiny: Tiny, tmp_path: Path) -> None:
    recipe = tiny("distill.mode=one-way", f"teacher_checkpoint={learned / 'best'}", "train.norm_batches=2")
    taught = trainer(recipe, tmp_path / "run")
    before = {k: v.clone() for k, v in taught.distiller.networks["teacher"].state_dict().items()}
    auxiliary = [p.clone() for p in taught.distiller.auxiliary["teacher"].parameters()]
    taught.run_all()
    after = taught.distiller.networks["teacher"].state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not all(map(torch.equal, auxiliary, taught.distiller.auxiliary["teacher"].parameters()))
    files = [load_file(run / "best/teacher.safetensors") for run in (learned, tmp_path / "run")]
    assert all(torch.equal(value, files[1][key]) for key, value in files[0].items())
    assert history(tmp_path / "run")[-1]["teacher"]["top1"] > 0.5
    assert Pair.load(tmp_path / "run/best").info["starting_weights"]["teacher"].keys() == {"checkpoint"}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("teacher.output_stride=8", "output_stride 16, the recipe wants 8"),
        ("teacher.backbone=shufflenet_v2_x0_5", "backbone shufflenet_v2_x1_0"),
        ("data.options.classes=4", "other classes"),
        ("data.mean=[0.5, 0.5, 0.5]", "mean"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    override: str, sentence: str, learned: Path, tiny: Tiny, tmp_path: Path
) -> None:
    recipe = tiny("distill.mode=one-way", f"teacher_checkpoint={learned / 'best'}", override)
    with pytest.raises(FoodkdError, match=sentence):
        train(recipe, data=None, out=tmp_path / "run", quiet=True)


def test_one_seed_gives_one_student_whatever_the_teacher(learned: Path, tiny: Tiny, tmp_path: Path) -> None:
    variants = [
        [],
        ["teacher.backbone=shufflenet_v2_x0_5"],
        ["distill.mode=student-alone"],
        ["distill.mode=one-way", f"teacher_checkpoint={learned / 'best'}"],
    ]
    students = []
    for number, sets in enumerate(variants):
        built = trainer(tiny(*sets), tmp_path / str(number)).distiller
        students.append(built.networks["student"].state_dict())
    for other in students[1:]:
        assert all(torch.equal(value, other[key]) for key, value in students[0].items())
    different = trainer(tiny("seed=1"), tmp_path / "seed").distiller.networks["student"].state_dict()
    assert not torch.equal(different["network.fc.weight"], students[0]["network.fc.weight"])


def test_a_network_that_is_left_out_never_moves(tiny: Tiny, tmp_path: Path) -> None:
    alone = trainer(tiny("distill.mode=teacher-alone", "train.epochs=1", "train.keep_weights=false"), tmp_path / "run")
    before = {k: v.clone() for k, v in alone.distiller.networks["student"].state_dict().items()}
    alone.run_all()
    after = alone.distiller.networks["student"].state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    (line,) = history(tmp_path / "run")
    assert "student" not in line and "ce_student" not in line and line["teacher"]["top1"] >= 0
    assert (tmp_path / "run/best").is_dir() and not (tmp_path / "run/weights").exists()


def test_means_count_only_the_steps_that_had_the_term(tiny: Tiny, tmp_path: Path) -> None:
    taught = trainer(tiny("distill.head_start=0.5", "train.evaluate_every=2"), tmp_path / "run")
    seen: list[dict[str, float]] = []
    taught.report.step, told = lambda step, values: (seen.append(values), told(step, values)), taught.report.step  # type: ignore[assignment]
    taught.run_all()
    (line,) = history(tmp_path / "run")
    assert ["ce_student" in values for values in seen] == [False] * 3 + [True] * 3
    assert line["ce_student"] == pytest.approx(np.mean([v["ce_student"] for v in seen[3:]]))
    assert line["ce_teacher"] == pytest.approx(np.mean([v["ce_teacher"] for v in seen]))


def test_a_network_without_class_maps_trains_and_plays_back_without_them(tiny: Tiny, tmp_path: Path) -> None:
    sets = ["student.backbone=mobilenet_v3_small", "distill.iam=0", "distill.mld=0", "train.epochs=0.34"]
    train(tiny(*sets), data=None, out=tmp_path / "run", quiet=True)
    arrays = np.load(tmp_path / "run/playback/0001.npz")
    assert set(arrays) == {"ids", "teacher_maps", "teacher_logits", "student_logits"}


# Settings of the loop.


@settings(deadline=None, max_examples=30)
@given(every=st.floats(0.01, 4), per_epoch=st.integers(1, 900), epochs=st.integers(1, 12))
def test_evaluations_never_drift(every: float, per_epoch: int, epochs: int) -> None:
    recipe = SimpleNamespace(train=SimpleNamespace(evaluate_every=every))
    run: Any = SimpleNamespace(recipe=recipe, per_epoch=per_epoch, steps=epochs * per_epoch)
    due = [step for step in range(1, run.steps + 1) if Trainer._evaluation_due(run, step)]
    interval = max(1.0, every * per_epoch)
    expected = {round(k * interval) for k in range(1, int(run.steps / interval) + 2)}
    assert due == sorted({step for step in expected if step <= run.steps} | {run.steps})


def test_fractions_of_epochs_count_in_steps(tiny: Tiny, tmp_path: Path) -> None:
    for epochs, steps in ((2, 6), (1.5, 4), (0.01, 1)):
        assert trainer(tiny(f"train.epochs={epochs}"), tmp_path / str(epochs)).steps == steps


def test_coarse_inputs_are_smaller_then_full(tiny: Tiny, tmp_path: Path) -> None:
    sets = ["train.coarse=0.5", "train.coarse_scale=0.75", "teacher.size=64"]
    taught = trainer(tiny(*sets), tmp_path / "run")
    photos, labels = taught._read(0)
    for progress, sizes in ((0.0, (48, 24)), (0.49, (48, 24)), (0.5, (64, 32)), (1.0, (64, 32))):
        batch = taught._batch(0, photos, labels, progress)
        assert tuple(images.shape[-1] for images in batch.images) == sizes


def test_each_network_is_coarse_for_its_share_of_its_own_steps(learned: Path, tiny: Tiny, tmp_path: Path) -> None:
    coarse = ["train.coarse=0.5", "train.coarse_scale=0.75"]
    joined = trainer(tiny(*coarse, "distill.head_start=0.5"), tmp_path / "joined")  # the student's own: from a half on
    found = [joined._sizes(progress) for progress in (0.0, 0.5, 0.74, 0.75)]
    assert found == [(24, 24), (32, 24), (32, 24), (32, 32)]
    # A frozen teacher knows less of small inputs than it was measured to know, and has no training to hasten.
    taught = trainer(
        tiny(*coarse, "distill.mode=one-way", f"teacher_checkpoint={learned / 'best'}"), tmp_path / "taught"
    )
    assert [taught._sizes(progress) for progress in (0.0, 0.5)] == [(32, 24), (32, 32)]


def test_a_student_that_has_not_begun_is_no_best_to_beat(tiny: Tiny, tmp_path: Path) -> None:
    taught = trainer(tiny("distill.head_start=0.5", "train.evaluate_every=0.34"), tmp_path / "run")
    flawless = taught._judge
    taught._judge = lambda judged, name, line: (  # type: ignore[method-assign]
        flawless(judged, name, line),
        line["student"].update(top1=1.0) if taught.step <= 3 and "student" in line else None,
    )[0]
    taught.run_all()
    found = [(line["step"], line["student"]["top1"]) for line in history(tmp_path / "run")]
    assert found[0][1] == 1.0 and max(step for step, _ in found) == 6
    assert Pair.load(tmp_path / "run/best").info["training"]["steps"] > 3


def test_a_run_does_not_go_on_with_other_photos(tiny: Tiny, tmp_path: Path) -> None:
    recipe = tiny("train.keep_weights=false")
    begun = trainer(recipe, tmp_path / "run")
    begun._save()
    begun.run.release()
    state = (tmp_path / "run/state.pt").read_bytes()
    fewer = {**recipe.data.options, "per_class": 9}
    photos = [open_photos("generated", None, s, resolution=32, **fewer) for s in ("train", "validation")]
    with pytest.raises(FoodkdError, match="was trained on other photos or classes than these"):
        Trainer(recipe, *photos, RunFolder(tmp_path / "run", recipe), quiet=True)
    assert (tmp_path / "run/state.pt").read_bytes() == state


def test_precision_is_each_networks_own(tiny: Tiny, tmp_path: Path) -> None:
    taught = trainer(tiny("student_learning.precision=bfloat16"), tmp_path / "run")
    photos, labels = taught._read(0)
    batch = taught._batch(0, photos, labels, 1.0)
    taught.distiller.train()
    found = [
        taught.distiller._run(n, x).stages[-1].dtype for n, x in zip(("teacher", "student"), batch.images, strict=True)
    ]
    assert found == [torch.float32, torch.bfloat16]
    assert all(value.dtype == torch.float32 for value in taught.distiller(batch.images, batch.targets).values())


def first_norm(network: torch.nn.Module) -> torch.nn.BatchNorm2d:
    return next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))


def mean_of_first(network: torch.nn.Module, batches: list[torch.Tensor]) -> torch.Tensor:
    """What the first norm meets, on average."""
    convolution = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        return torch.stack([convolution(x).mean((0, 2, 3)) for x in batches]).mean(0)


def test_recalibration_measures_the_training_photos(tiny: Tiny, tmp_path: Path) -> None:
    taught = trainer(tiny(), tmp_path / "run")
    network = taught.distiller.networks["student"]
    taught._recalibrate(taught.distiller, 3, "augmented")
    inputs = [taught._batch(s, *taught._read(s), 1.0).images[1] for s in range(3)]
    first = first_norm(network)
    assert torch.allclose(first.running_mean, mean_of_first(network, inputs), atol=1e-5)
    assert first.momentum == 0.1


@pytest.mark.parametrize(("photos", "more"), [("plain", []), ("augmented", ["train.norm_photos=augmented"])])
def test_what_is_judged_is_measured_on_photos_as_asked_for(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: str, more: list[str]
) -> None:
    recipe = tiny("train.norm_batches=2", "train.coarse=0.9", "augment.scale=[0.2,0.3]", *more)
    taught = trainer(recipe, tmp_path / "run")
    kept: list[Any] = []
    monkeypatch.setattr(taught, "_keep", lambda judged, *_: kept.append(judged))
    monkeypatch.setattr(taught.report, "evaluated", lambda *_: None)
    taught._evaluate()
    network = kept[0].networks["student"]
    batches = [taught._read(step) for step in range(2)]
    inputs = {
        "plain": [taught.preprocessing.tensor(torch.from_numpy(one), recipe.student.size) for one, _ in batches],
        "augmented": [taught._batch(step, *batches[step], 1.0).images[1] for step in range(2)],
    }
    found = first_norm(network).running_mean
    alike = {key: torch.allclose(found, mean_of_first(network, x), atol=1e-5) for key, x in inputs.items()}
    assert alike == {key: key == photos for key in inputs}


def test_a_loss_that_is_no_number_ends_in_a_sentence(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = trainer(tiny(), tmp_path / "run")
    with torch.no_grad():
        taught.distiller.networks["teacher"].network.fc.weight.fill_(float("nan"))
    with pytest.raises(FoodkdError, match="not a number at step 0; lower the learning rates"):
        taught.run_all()


# Several processes.


def join(rank: int, port: int, recipe: Recipe, out: Path) -> None:
    """One of two processes, as torchrun would start it."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in place.items()} | {"ACCELERATE_USE_CPU": "true"})
    train(recipe, data=None, out=out, quiet=True)


@pytest.mark.parametrize(
    "mode", [["distill.head_start=0.4"], ["distill.mode=student-alone", "data.options.per_class=5"]]
)
def test_two_processes_train_one_run_and_one_of_them_writes(
    mode: list[str], tiny: Tiny, processes: Any, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    recipe = tiny("train.batch_size=9", *mode)
    places = [tmp_path / "first", tmp_path / "second"]
    both = [processes.Process(target=join, args=(rank, port, recipe, places[rank])) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert (places[0] / "finished").exists() and not places[1].exists()
    per_epoch = 2 if "head_start" in mode[0] else 1  # of 36 photos, or of 15: fewer than the two batches
    assert [line["step"] for line in history(places[0])] == [per_epoch, 2 * per_epoch]
    assert all(np.isfinite(line["loss"]) for line in history(places[0]))
    Pair.load(places[0] / "best")
