"""What all networks answered on a photo set: held to small maths, kept in a file, written as a table."""

from __future__ import annotations

import csv
import io
import math
import sys
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foodkd import cli
from foodkd.data import open_photos
from foodkd.errors import FoodkdError
from foodkd.explain import answers as module
from foodkd.explain.answers import QUADRANTS, UNKNOWN, Answers, Selection, jensen_shannon, labels_by_name, predict_batch
from foodkd.nets import Pair
from foodkd.train.metrics import judge, labels_for, measure, predict_pair

CLASSES = ("soup", "pie", "rice", "=SUM(A1)", "ramen", "tart")
NAMES = ("teacher", "student", "student-alone")
# Five photos by hand: true class, and what teacher and student say.
LABELS, TEACHER, STUDENT = [0, 0, 1, 2, UNKNOWN], [0, 0, 2, 1, 4], [0, 1, 1, 1, 3]


def fake_pair(temperatures: dict[str, float] | None = None, sha: str = "a") -> Any:
    """All that Answers need of a pair."""
    networks = {name: {"sha256": f"{sha}-{name}"} for name in NAMES}
    temperatures = temperatures or dict.fromkeys(NAMES, 1.0)
    return SimpleNamespace(classes=CLASSES, temperatures=temperatures, info={"networks": networks}, name="fake")


def by_hand() -> Answers:
    """Every first answer has logit 3 above the others'."""
    logits = {name: 3.0 * np.eye(6)[said] for name, said in zip(NAMES, (TEACHER, STUDENT, TEACHER), strict=True)}
    ids = ["soup/1", "soup/2", "pie/1", "rice/1", "?"]
    return Answers.of(fake_pair(), logits, ids, np.array(LABELS), dataset="folder", split="test")


@pytest.fixture(scope="module")
def random_logits() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {name: random.normal(0, 2, (400, 6)).astype(np.float32) for name in NAMES}


@pytest.fixture(scope="module")
def many(random_logits: dict[str, np.ndarray]) -> Answers:
    labels = np.random.default_rng(4).integers(0, 6, 400)
    temperatures = {"teacher": 1.3, "student": 0.8, "student-alone": 1.0}
    return Answers.of(fake_pair(temperatures), random_logits, [f"photo {i}" for i in range(400)], labels)


# --- right and wrong


def test_five_photos_by_hand() -> None:
    answers = by_hand()
    assert [answers.accuracy(name) for name in NAMES] == [0.5, 0.5, 0.5]
    assert answers.agreement == 2 / 5
    assert {name: list(rows) for name, rows in answers.quadrants().items()} == {
        "both": [0],
        "teacher": [1],
        "student": [2],
        "neither": [3],
    }
    np.testing.assert_array_equal(answers.class_counts(), [2, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(answers.class_accuracy("teacher"), [1, 0, 0, *[math.nan] * 3])
    np.testing.assert_array_equal(answers.class_accuracy("student"), [0.5, 1, 0, *[math.nan] * 3])
    assert [(c.label, c.answer, c.count) for c in answers.confusions("teacher")] == [(1, 2, 1), (2, 1, 1)]
    sure = math.exp(3) / (math.exp(3) + 5)
    np.testing.assert_allclose(answers.probabilities["teacher"][:, 0], sure, atol=1e-5)
    np.testing.assert_allclose(answers.true["teacher"][:2], sure, atol=1e-5)
    assert math.isnan(answers.true["teacher"][4])
    assert list(answers.by_disagreement())[-2:] == [0, 3] and answers.divergence[0] == 0


def test_a_selection_holds_what_it_says_and_nothing_chosen_is_all() -> None:
    answers = by_hand()
    assert Selection().mask(answers).all()
    assert list(np.flatnonzero(Selection(label=0).mask(answers))) == [0, 1]
    assert list(np.flatnonzero(Selection("student").mask(answers))) == [2]
    assert list(np.flatnonzero(Selection("neither", 2, ("student", 1)).mask(answers))) == [3]
    assert not Selection("both", 2).mask(answers).any()
    assert list(answers.by_disagreement(Selection(answer=("student", 1)).mask(answers))) == [1, 2, 3]


def test_the_cells_part_the_known_photos(many: Answers) -> None:
    cells = many.quadrants()
    assert tuple(cells) == QUADRANTS
    assert sorted(np.concatenate(list(cells.values()))) == list(range(400))
    assert (len(cells["both"]) + len(cells["teacher"])) / 400 == pytest.approx(many.accuracy("teacher"))
    wrong = 400 - many.right("student").sum()
    assert sum(c.count for c in many.confusions("student")) == wrong
    assert many.accuracy("student", 5) == (many.top["student"] == many.labels[:, None]).any(1).mean()


def test_figures_are_those_of_the_evaluation(many: Answers, random_logits: dict[str, np.ndarray]) -> None:
    labels = torch.from_numpy(many.labels)
    for name, temperature in {"teacher": 1.3, "student": 0.8}.items():
        rates = measure(torch.from_numpy(random_logits[name]), labels, temperature)
        assert many.accuracy(name) == pytest.approx(rates["top1"])
        assert many.accuracy(name, 5) == pytest.approx(rates["top5"])
        assert many.reliability(name).ece == pytest.approx(rates["ece"], abs=1e-4)


def test_reliability_counts_every_photo_once(many: Answers) -> None:
    found = many.reliability("teacher")
    assert found.counts.sum() == 400 and len(found.counts) == 15
    filled = found.counts > 0
    assert np.isnan(found.accuracy[~filled]).all()
    edges = np.arange(16) / 15
    assert (found.confidence[filled] >= edges[:-1][filled] - 1e-6).all()
    assert (found.confidence[filled] <= edges[1:][filled] + 1e-6).all()
    some = many.reliability("teacher", many.labels == 2)
    assert some.counts.sum() == (many.labels == 2).sum()
    nobody = many.reliability("teacher", np.zeros(400, bool))
    assert math.isnan(nobody.ece)


def test_an_answer_of_probability_one_falls_into_the_last_bin() -> None:
    answers = by_hand()
    sure = replace(answers, probabilities={name: np.ones((5, 5), np.float32) for name in NAMES})
    assert sure.reliability("teacher").counts[-1] == 4


shares = hnp.arrays(np.float64, (4, 5), elements=st.floats(0, 1))
rows_of_shares = shares.map(lambda a: (a + 1e-300) / (a + 1e-300).sum(1)[:, None])


@given(rows_of_shares, rows_of_shares)
@settings(max_examples=60, deadline=None)
def test_disagreement_is_symmetric_bounded_and_nothing_between_equals(one: np.ndarray, other: np.ndarray) -> None:
    found = jensen_shannon(one, other)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, jensen_shannon(other, one), atol=1e-12)
    np.testing.assert_allclose(jensen_shannon(one, one), 0, atol=1e-12)


def test_disagreement_by_hand() -> None:
    apart, half = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert jensen_shannon(apart, apart[:, ::-1])[0] == pytest.approx(1)
    # middle (3/4, 1/4): (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2
    assert jensen_shannon(apart, half)[0] == pytest.approx((math.log2(4 / 3) + (math.log2(2 / 3) + 1) / 2) / 2)


def test_folder_names_become_labels() -> None:
    names = ["Apple pie", "apple-pie", "APPLE_PIE ", "gruel", ""]
    assert list(labels_by_name(("soup", "apple_pie"), names)) == [1, 1, 1, UNKNOWN, UNKNOWN]


# --- the file


def test_a_file_gives_back_exactly_what_was_saved(many: Answers, tmp_path: Path) -> None:
    for answers in (many, by_hand()):
        loaded = Answers.load(answers.save(tmp_path / "answers.npz"))
        for name, value in vars(answers).items():
            if name.startswith("_") or name == "known":
                continue
            np.testing.assert_equal(getattr(loaded, name), value, err_msg=name)


def test_ids_may_hold_anything_that_a_file_name_can(tmp_path: Path) -> None:
    odd = ("a\nb", "日本/そば", "\udcff", '"><script>', "")
    path = replace(by_hand(), ids=odd).save(tmp_path / "answers.npz")
    assert Answers.load(path).ids == odd


def test_a_quarter_of_food101s_test_set_takes_less_than_a_quarter_of_3_mb(tmp_path: Path) -> None:
    count, random = 25_247 // 4, np.random.default_rng(0)
    pair = fake_pair()
    pair.classes = tuple(f"a_dish_called_{i}" for i in range(101))
    logits = {name: random.normal(0, 2, (count, 101)).astype(np.float32) for name in NAMES}
    ids = [f"{pair.classes[i % 101]}/{random.integers(10_000, 4_000_000)}" for i in range(count)]
    path = Answers.of(pair, logits, ids, random.integers(0, 101, count)).save(tmp_path / "answers.npz")
    assert path.stat().st_size < 3_000_000 / 4


def broken_files(whole: Path) -> dict[str, bytes]:
    data = whole.read_bytes()
    other = io.BytesIO()
    np.savez(other, something=np.arange(3))
    pickled = io.BytesIO()
    np.savez(pickled, about=np.array([{"a": 1}], dtype=object))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", bytes(130_000_000))
    middle = bytearray(data)
    middle[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    parts = {"truncated": data[: len(data) // 2], "altered": bytes(middle), "empty": b"", "text": b"no archive"}
    buffers = {"foreign": other, "pickled": pickled, "bomb": bomb}
    return parts | {name: buffer.getvalue() for name, buffer in buffers.items()}


def test_whatever_is_no_such_file_gets_one_sentence(many: Answers, tmp_path: Path) -> None:
    for name, data in broken_files(many.save(tmp_path / "whole.npz")).items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(data)
        with pytest.raises(FoodkdError, match=r"foodkd evaluate .* --answers") as refused:
            Answers.load(path)
        assert str(path) in str(refused.value) and "\n" not in str(refused.value), name
    with pytest.raises(FoodkdError, match="is missing"):
        Answers.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"labels": np.full(5, 6)}, "a label that is no class"),
        ({"labels": np.zeros(4, int)}, "another length"),
        ({"top": {name: np.full((5, 5), 9) for name in NAMES}}, "an answer that is no class"),
        ({"probabilities": {name: np.zeros((5, 2)) for name in NAMES}}, "another shape"),
        ({"ids": ("one",)}, "another length"),
        ({"sha256": {"teacher": ""}}, "no teacher or no student"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = replace(by_hand(), **wrong).save(tmp_path / "answers.npz")
    with pytest.raises(FoodkdError, match=said):
        Answers.load(path)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "FORMAT", 2)
        path = by_hand().save(tmp_path / "answers.npz")
    with pytest.raises(FoodkdError, match="format 2, not 1"):
        Answers.load(path)


def test_answers_of_other_weights_are_refused() -> None:
    by_hand().insist_on(fake_pair())
    with pytest.raises(FoodkdError, match="other weights than the teacher of fake"):
        by_hand().insist_on(fake_pair(sha="b"))
    other = fake_pair()
    del other.info["networks"]["student-alone"]
    with pytest.raises(FoodkdError, match="student-alone"):
        by_hand().insist_on(other)


# --- the table


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_the_table_says_what_was_answered() -> None:
    head, *rows = read(by_hand().to_csv())
    assert head[:5] == ["id", "label", "teacher answer", "teacher probability", "teacher top 5"]
    assert head[-1] == "disagreement in bits" and len(rows) == 5 and {len(row) for row in rows} == {12}
    assert rows[1][:4] == ["soup/2", "soup", "soup", "0.80069"] and rows[1][5] == "pie"
    assert rows[1][4].startswith("soup 0.80069; ") and rows[1][4].count(";") == 4
    assert rows[4][1] == "" and rows[4][5] == "'=SUM(A1)"
    chosen = read(by_hand().to_csv(np.array([2, 0])))
    assert [row[0] for row in chosen[1:]] == ["pie/1", "soup/1"]


@given(st.lists(st.text(max_size=12), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_no_cell_begins_like_a_formula_and_every_photo_keeps_its_line(ids: list[str]) -> None:
    rows = read(replace(by_hand(), ids=tuple(ids)).to_csv())
    assert len(rows) == 6
    for row in rows:
        assert not [cell for cell in row if unicodedata.normalize("NFKC", cell.strip()[:1])[:1] in set("=+-@|%")]


# --- real networks


def test_batches_answer_as_the_evaluation_does(tiny_pair: Pair) -> None:
    photos = open_photos("generated", None, "test", resolution=64)
    logits = predict_pair(tiny_pair, photos)
    got = predict_batch(tiny_pair, photos.read(np.arange(4)), ("student",))
    assert set(got) == {"student"}
    np.testing.assert_allclose(got["student"], logits["student"][:4].numpy(), atol=1e-4)


def evaluate(*options: object) -> int | str | None:
    argv = ["foodkd", "evaluate", *map(str, options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return ended.value.code


def test_the_command_writes_both_files_and_never_over_others(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npz, table = tmp_path / "a/answers.npz", tmp_path / "answers.csv"
    options = (tiny_checkpoint, "--dataset", "generated", "--answers", npz, "--csv", table)
    assert evaluate(*options) == 0
    pair, answers = Pair.load(tiny_checkpoint), Answers.load(npz)
    answers.insist_on(pair)
    photos = open_photos("generated", None, "test", resolution=64)
    assert answers.ids == tuple(photos.ids) and (answers.dataset, answers.split) == ("generated", "test")
    figures = judge(pair, predict_pair(pair, photos), labels_for(pair, photos))
    assert answers.accuracy("student") == pytest.approx(figures["student"]["top1"])
    assert answers.agreement == pytest.approx(figures["agreement"])
    assert table.read_bytes().startswith(b"\xef\xbb\xbf") and len(read(table.read_text("utf-8-sig"))) == len(photos) + 1
    before = npz.read_bytes()
    capsys.readouterr()
    npz.write_bytes(b"kept")
    assert evaluate(*options) == 1
    assert npz.read_bytes() == b"kept" != before and "exists and stays as it is" in capsys.readouterr().err
