"""Tab 6: its panels, filters, uploads and their limits, over a real pair and a real file of its answers."""

import gc
import io
import re
import shutil
import zipfile
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from foodkd.data import open_photos
from foodkd.errors import FoodkdError
from foodkd.explain import Explanation
from foodkd.explain.answers import QUADRANTS, UNKNOWN, Answers, Selection
from foodkd.nets import Pair
from foodkd.train.metrics import labels_for, predict_pair
from foodkd.ui import testset as tab6
from foodkd.ui import testset_own, testset_panels, testset_rows, testset_uploads
from foodkd.ui.session import Desk, View
from foodkd.ui.testset_board import PAGE, Choices, Shelf, photo_file
from foodkd.ui.testset_uploads import PHOTOS, Kept, Tray, Trays

ODD = "<img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def folder(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkpoint with the answers that its own networks gave, one id of which is hostile."""
    copy = shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("answered") / "tiny")
    pair = Pair.load(copy)
    photos = open_photos("generated", None, "test", resolution=64)
    logits = {name: values.numpy() for name, values in predict_pair(pair, photos).items()}
    ids = [ODD, *photos.ids[1:]]
    Answers.of(pair, logits, ids, labels_for(pair, photos).numpy(), dataset="food101", split="test").save(
        copy / "answers.npz"
    )
    return copy


@pytest.fixture(scope="module")
def desk(folder: Path) -> Desk:
    return Desk(Pair.load(folder))


@pytest.fixture(scope="module")
def answers(desk: Desk) -> Answers:
    found = Shelf(desk).answers()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def view(desk: Desk) -> View:
    return desk.opening()


@pytest.fixture(scope="module")
def tab(desk: Desk, view: View) -> tab6.Tab:
    with gr.Blocks(analytics_enabled=False):
        made = tab6.Tab(desk, view)
    made._state, made._open_photo = "state", lambda *given: {"opened": given[1:]}
    return made


def touch(tab: tab6.Tab, view: View, event: Callable[..., Any], **data: str) -> tuple[View, Any]:
    """The view and the updates after a touch."""
    updates = event(view, SimpleNamespace(_data=data))
    return updates.get("state", view), updates


def png(colour: tuple[int, int, int] = (200, 90, 30), size: tuple[int, int] = (90, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def uploaded(tmp_path: Path, files: dict[str, bytes]) -> list[Path]:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in files]


def finished(tray: Tray) -> Tray:
    while tray.waiting:
        tray.step()
    return tray


# --- the test set


def test_every_panel_shows_what_the_file_says(answers: Answers) -> None:
    choices = Choices()
    head = testset_panels.head_panel(answers, choices)
    for name, rows in answers.quadrants().items():
        cell = re.search(rf'id="fk-cell-{name}".*?</button>', head)
        assert cell and f"{len(rows):,} photos" in cell[0] and 'aria-pressed="false"' in cell[0]
    assert f"{100 * answers.accuracy('teacher'):.1f}" in head and f"{100 * answers.agreement:.1f}" in head
    assert f"All <b>{len(answers)}</b> photos" in testset_panels.bar_panel(answers, choices)
    rows = testset_panels.classes_panel(answers, choices)
    assert rows.count('data-act="label"') == len(answers.classes)
    drawn = testset_panels.reliability_panel(answers, choices)
    counted = [int(count) for count in re.findall(r"<td>(\d+)</td></tr>", drawn)]
    assert sum(counted) == 2 * len(answers) and drawn.count("<svg") == 2


def test_no_name_reaches_the_page_unescaped(desk: Desk, answers: Answers) -> None:
    hostile = replace(answers, classes=(ODD, *answers.classes[1:]), dataset=ODD)
    choices = Choices(selection=Selection("neither", 0, ("teacher", 0)))
    for selection in (choices, Choices()):
        panels = [
            getattr(testset_panels, name)(hostile, selection)
            for name in ("head_panel", "bar_panel", "classes_panel", "pairs_panel", "reliability_panel")
        ]
        panels.append(testset_panels.photos_panel(Shelf(desk), hostile, selection))
        assert "<img src=x" not in "".join(panels)
    assert "&lt;img src=x" in testset_panels.photos_panel(Shelf(desk), hostile, Choices())


def test_a_cell_filters_what_lies_below_and_again_shows_all(tab: tab6.Tab, view: View, answers: Answers) -> None:
    fullest = max(QUADRANTS, key=lambda name: len(answers.quadrants()[name]))
    count = len(answers.quadrants()[fullest])
    chosen, updates = touch(tab, view, tab.on_touch, act="cell", cell=fullest)
    assert f"<b>{count:,}</b> of {len(answers)}" in updates[tab.bar]
    shown = re.findall(r'<span class="fk-id">', updates[tab.photos])
    assert len(shown) == min(PAGE, count)
    for label in range(len(answers.classes)):
        inside = int((answers.labels[answers.quadrants()[fullest]] == label).sum())
        row = re.search(rf'id="fk-dish-{label}".*?</tr>', updates[tab.classes])
        assert row and f"<td>{inside}<small> of" in row[0]
    assert 'aria-pressed="true"' in updates[tab.head]
    back, updates = touch(tab, chosen, tab.on_touch, act="cell", cell=fullest)
    assert tab6.choices_of(back).selection == Selection() and "All <b>" in updates[tab.bar]


def test_a_dish_is_chosen_dropped_and_handed_to_the_app(tab: tab6.Tab, view: View, answers: Answers) -> None:
    chosen, updates = touch(tab, view, tab.on_touch, act="label", label="2")
    assert tab6.choices_of(chosen).selection == Selection(label=2)
    assert f'data-dish="{answers.classes[2]}"' in updates[tab.bar]
    assert "the photos of" in updates[tab.reliability]
    _, opened = touch(tab, chosen, tab.on_touch, act="dish", dish=answers.classes[2])
    assert opened["opened"][1:] == ("iam", answers.classes[2])
    _, refused = touch(tab, chosen, tab.on_touch, act="dish", dish="gruel")
    assert refused == {}
    dropped, _ = touch(tab, chosen, tab.on_touch, act="drop", drop="label")
    assert tab6.choices_of(dropped).selection == Selection()


def test_a_mix_up_shows_its_photos(tab: tab6.Tab, view: View, answers: Answers) -> None:
    worst = answers.confusions("student")[0]
    data = {"network": "student", "label": str(worst.label), "answer": str(worst.answer)}
    chosen, updates = touch(tab, view, tab.on_touch, act="answer", **data)
    assert f"<b>{worst.count}</b> of" in updates[tab.bar]
    assert re.search(rf'id="fk-mix-student-{worst.label}-{worst.answer}".*?aria-pressed="true"', updates[tab.pairs])
    again, _ = touch(tab, chosen, tab.on_touch, act="answer", **data)
    assert tab6.choices_of(again).selection == Selection()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"act": "cell", "cell": "all"},
        {"act": "label", "label": "99"},
        {"act": "label", "label": "-1"},
        {"act": "answer", "label": "0", "answer": "0", "network": "oracle"},
        {"act": "answer", "label": "0", "answer": "x", "network": "teacher"},
        {"act": "drop", "drop": "everything"},
        {"act": "open", "row": "999999"},
        {"act": "open", "row": "../0"},
        {"act": "page", "page": "-5"},
        {"act": "sort", "sort": "colour"},
    ],
)
def test_what_is_none_of_ours_harms_nothing(tab: tab6.Tab, view: View, data: dict[str, str]) -> None:
    after, _ = touch(tab, view, tab.on_touch, **data)
    choices = tab6.choices_of(after)
    assert choices.selection == Selection() and choices.page == 0
    tab.drawn(after)


def test_dishes_are_sorted_by_any_column(answers: Answers) -> None:
    gap = answers.class_accuracy("teacher") - answers.class_accuracy("student")
    order = testset_panels.class_order(answers, Choices(sort="gap", falling=True))
    assert list(gap[order]) == sorted(gap, reverse=True)
    order = testset_panels.class_order(answers, Choices(sort="student"))
    assert list(answers.class_accuracy("student")[order]) == sorted(answers.class_accuracy("student"))
    names = [answers.classes[i] for i in testset_panels.class_order(answers, Choices(falling=True))]
    assert names == sorted(answers.classes, reverse=True)


def test_pages_hold_every_photo_once(tab: tab6.Tab, view: View, answers: Answers) -> None:
    seen: list[str] = []
    for page in range(-(-len(answers) // PAGE)):
        view, updates = touch(tab, view, tab.on_touch, act="page", page=str(page))
        seen += re.findall(r'<span class="fk-id">(.*?)</span>', updates[tab.photos])
    assert len(seen) == len(answers) == len(set(seen))


def table(updates: dict[Any, Any], tab: tab6.Tab) -> str:
    link = re.search(r'download="([\w.-]+\.csv)" href="data:text/csv;base64,([^"]+)"', updates[tab.csv])
    assert link
    return b64decode(link[2]).decode("utf-8-sig")


def test_the_table_holds_what_is_shown(tab: tab6.Tab, view: View, answers: Answers) -> None:
    chosen, _ = touch(tab, view, tab.on_touch, act="label", label="1")
    _, updates = touch(tab, chosen, tab.on_touch, act="csv")
    rows = answers.by_disagreement(answers.labels == 1)
    assert table(updates, tab) == answers.to_csv(rows)


# --- where there is nothing, or something else


def test_without_answers_the_command_is_said(tiny_checkpoint: Path, tiny_pair: Pair) -> None:
    said = testset_panels.missing(Shelf(Desk(Pair.load(tiny_checkpoint))))
    assert f"foodkd evaluate {tiny_checkpoint} --data ROOT --answers {tiny_checkpoint}" in said
    assert "not loaded from a folder" in testset_panels.missing(Shelf(Desk(tiny_pair)))


def test_answers_of_other_weights_get_a_sentence(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "other")
    wrong = replace(Answers.load(copy / "answers.npz"), sha256={"teacher": "0", "student": "0"})
    wrong.save(copy / "answers.npz")
    desk = Desk(Pair.load(copy))
    with gr.Blocks(analytics_enabled=False):
        tab = tab6.Tab(desk, desk.opening())
    drawn = tab.drawn(desk.opening())
    assert "other weights than the teacher" in drawn[tab.head] and drawn[tab.photos] == ""


def test_answers_are_read_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(desk)
    first = shelf.answers()
    monkeypatch.setattr(Answers, "load", None)
    assert shelf.answers() is first


def test_photos_show_where_the_data_is_and_never_from_outside(
    folder: Path, answers: Answers, tmp_path: Path, view: View
) -> None:
    images = tmp_path / "data" / "food-101" / "images"
    name = answers.ids[5]
    (images / name).parent.mkdir(parents=True)
    (images / f"{name}.jpg").write_bytes(png())
    (tmp_path / "data" / "secret.jpg").write_bytes(png())
    desk = Desk(Pair.load(folder), data=tmp_path / "data")
    shelf = Shelf(desk)
    assert shelf.photo(5) == (images / f"{name}.jpg").resolve() and shelf.photo(6) is None
    listed = testset_panels.photos_panel(shelf, answers, Choices(page=0))
    everything = listed + testset_panels.photos_panel(shelf, answers, Choices(page=1))
    assert everything.count("data:image/jpeg;base64,") == 1 and everything.count('data-act="open"') == 1
    for odd in ("../../secret", "/etc/hostname", "..", "", "a\0b", "x" * 5000, "~"):
        assert photo_file(tmp_path / "data", "food101", odd) is None
    assert photo_file(tmp_path / "data", "nothing", name) is None
    with gr.Blocks(analytics_enabled=False):
        tab = tab6.Tab(desk, view)
    tab._state, tab._open_photo = "state", lambda *given: {"opened": given}
    _, updates = touch(tab, view, tab.on_touch, act="open", row="5")
    assert updates["opened"][2] == "compare" and updates["opened"][1].small.shape == (64, 64, 3)


# --- one's own photos


def test_photos_are_answered_as_the_first_tab_would(desk: Desk, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    files = {}
    for number in range(11):
        coarse = random.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((120, 80)).save(buffer, "PNG")
        files[f"{number}.png"] = buffer.getvalue()
    paths = uploaded(tmp_path, files)
    tray = Tray(desk, paths)
    assert not any(path.exists() for path in paths) and tray.waiting == tray.total == 11
    tray.step()
    assert tray.waiting == 3 and tray.answers is None
    assert 'data-ask="8"' in testset_own.answered_panel(desk, Choices(tray=tray))
    finished(tray)
    assert tray.answers is not None and tray.answers.ids == tuple(files) and not tray._folder.exists()
    assert (tray.answers.labels == UNKNOWN).all() and tray.problems == []
    photo = tray.kept[4].photo(desk)
    for name in ("teacher", "student"):
        index, share = Explanation.of(desk.pair, name, photo.small).top(1)[0]
        assert tray.answers.top[name][4, 0] == index
        assert tray.answers.probabilities[name][4, 0] == pytest.approx(share, abs=1e-3)
    np.testing.assert_array_equal(photo.small, desk.photo(Image.open(io.BytesIO(files["4.png"]))).small)


def test_a_folder_in_a_zip_names_the_dish(desk: Desk, tmp_path: Path) -> None:
    dish = desk.pair.classes[1]
    members = {f"set/{dish.upper()}/a.png": png(), "set/gruel/b.png": png((9, 9, 9)), "c.png": png((1, 2, 3))}
    members |= {"__MACOSX/._a.png": b"x", "set/.hidden": b"x"}
    tray = finished(Tray(desk, uploaded(tmp_path, {"my.zip": zipped(members)})))
    assert tray.answers is not None and list(tray.answers.labels) == [1, UNKNOWN, UNKNOWN] and not tray.problems
    panel = testset_own.answered_panel(desk, Choices(tray=tray))
    assert "Of 1 whose folder names a dish" in panel and panel.count('role="img" aria-label=') == 2
    assert panel.count('data-act="open"') == 3 and "not known" in panel


def test_what_cannot_be_read_gets_a_sentence_and_the_others_go_on(desk: Desk, tmp_path: Path) -> None:
    members = {
        "ok.png": png(),
        "../up.png": png(),
        "/etc/x.png": png(),
        "c:\\x.png": png(),
        "big.png": bytes(26_000_000),
    }
    good = zipped({"fine.png": png(), "later.png": png((3, 3, 3))})
    damaged = bytearray(good)
    damaged[45] ^= 0xFF
    files = {"soup.jpg": b"no photo", "empty.png": b"", "fine.png": png(), "evil.zip": zipped(members)}
    files |= {"not.zip": b"no zip", "damaged.zip": bytes(damaged), ODD.replace("/", "") + ".png": b"x"}
    tray = finished(Tray(desk, uploaded(tmp_path, files)))
    assert tray.answers is not None and set(tray.answers.ids) >= {"fine.png", "ok.png", "later.png"}
    said = "\n".join(tray.problems)
    for name in ("soup.jpg", "empty.png", "../up.png", "/etc/x.png", "big.png", "not.zip", "damaged.zip"):
        assert name in said, name
    assert len(tray.problems) == 9 and not any("\n" in problem or "/tmp" in problem for problem in tray.problems)
    panel = testset_own.answered_panel(desk, Choices(tray=tray))
    assert "<img src=x" not in panel and "9 remarks" in panel


def test_a_zip_that_lies_about_its_size_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"a.png": bytes(100_000)}))
    monkeypatch.setattr(testset_uploads, "FILE_BYTES", 50_000)
    with pytest.raises(FoodkdError, match="unpacks to more than"):
        testset_uploads._read_member(path, "bomb.zip", "a.png")
    monkeypatch.setattr(testset_uploads, "ENTRIES", 3)
    path.write_bytes(zipped({f"{i}.png": b"x" for i in range(4)}))
    with pytest.raises(FoodkdError, match="more than 3 entries"):
        testset_uploads._listed(path, "bomb.zip")


def test_locked_and_strangely_packed_members_are_refused() -> None:
    locked, strange = zipfile.ZipInfo("a.png"), zipfile.ZipInfo("b.png")
    locked.flag_bits, strange.compress_type = 1, zipfile.ZIP_LZMA
    for member, said in ((locked, "password"), (strange, "unusual")):
        with pytest.raises(FoodkdError, match=said):
            testset_uploads._judge(member, "my.zip")


def test_at_most_so_many_photos(desk: Desk, tmp_path: Path) -> None:
    many = zipped({f"{i}.png": b"x" for i in range(PHOTOS + 3)})
    tray = Tray(desk, uploaded(tmp_path, {"many.zip": many}))
    assert tray.total == PHOTOS and tray.problems == ["203 photos were given; only the first 200 are answered."]


def test_nothing_readable_is_said_and_nothing_at_all_is_nothing(desk: Desk, tmp_path: Path) -> None:
    tray = finished(Tray(desk, uploaded(tmp_path, {"a.jpg": b"x"})))
    assert "None of these files" in testset_own.answered_panel(desk, Choices(tray=tray))
    assert testset_own.answered_panel(desk, Choices()) == ""


def test_a_visit_that_ends_takes_its_photos_along(desk: Desk, tmp_path: Path) -> None:
    tray = Tray(desk, uploaded(tmp_path, {"a.png": png()}))
    where = tray._folder
    assert where.is_dir()
    del tray
    gc.collect()
    assert not where.exists()


def test_the_oldest_pictures_make_room(desk: Desk, tmp_path: Path) -> None:
    trays, made = Trays(limit=3), []
    for number in range(3):
        members = {f"{i}.png": png((number, i, 9)) for i in range(2)}
        made.append(trays.add(finished(Tray(desk, uploaded(tmp_path, {f"{number}.zip": zipped(members)})))))
    trays.trim()
    assert [len(tray.kept) for tray in made] == [0, 0, 2] and made[0].answers is not None
    panel = testset_own.answered_panel(desk, Choices(tray=made[0]))
    assert "had to make room" in panel and 'data-act="open"' not in panel


def test_uploading_asking_opening_and_saving(tab: tab6.Tab, view: View, tmp_path: Path) -> None:
    paths = uploaded(tmp_path, {"a.png": png(), "b.png": png((0, 80, 0)), "c.jpg": b"x"})
    updates = tab.on_upload(view, [str(path) for path in paths])
    view = updates["state"]
    assert "0 of 3" in updates[tab.answered] and updates[tab.upload] is None
    view, updates = touch(tab, view, tab.on_own, act="ask")
    assert "2 photos answered" in updates[tab.answered] and "data-ask" not in updates[tab.answered]
    _, updates = touch(tab, view, tab.on_own, act="open", row="1")
    assert updates["opened"][0].small[30, 30].tolist() == [0, 80, 0]
    _, updates = touch(tab, view, tab.on_own, act="csv")
    assert {"a.png", "b.png"} <= set(re.findall(r"[ab]\.png", table(updates, tab)))
    assert tab.on_upload(view, []) == {} and touch(tab, view, tab.on_own, act="open", row="9")[1] == {}


def test_the_switch_shows_one_part(tab: tab6.Tab, view: View) -> None:
    for part, first in (("own", False), ("set", True), ("else", True)):
        updates = tab.on_part(view, part)
        assert updates[tab.set_part].visible is first and updates[tab.own_part].visible is not first


def test_a_photo_is_kept_small(desk: Desk, tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, (900, 1600, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(random).save(buffer, "PNG")
    tray = finished(Tray(desk, uploaded(tmp_path, {"large.png": buffer.getvalue()})))
    kept: Kept = tray.kept[0]
    assert max(kept.picture().size) == 320 and len(kept.jpeg) < 120_000
    assert testset_rows.PAGE <= 40
