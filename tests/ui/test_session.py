from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.errors import FoodkdError
from foodkd.ui.session import EXAMPLES, METHODS, Desk, View, fitted, read_examples


def test_the_listed_examples_exist_and_are_described():
    listed = read_examples()
    assert listed, "assets/examples/examples.json lists no example"
    for example in listed:
        assert example.path.is_file()
        assert len(example.alt) > 10
        assert example.name == example.path.stem
    assert EXAMPLES.is_dir()


def test_a_folder_without_a_list_has_no_examples(tmp_path: Path):
    assert read_examples(tmp_path) == ()


def test_without_examples_the_app_opens_on_an_empty_table(tiny_pair):
    opening = Desk(tiny_pair).opening()
    assert opening.photo.small.shape == (64, 64, 3)


def test_a_photo_keeps_its_crop_and_is_no_larger_than_a_screen_needs(desk, tmp_path):
    Image.fromarray(np.full((600, 1200, 3), 90, np.uint8)).save(tmp_path / "wide.png")
    photo = desk.photo(tmp_path / "wide.png")
    assert photo.crop == (0.25, 0.0, 0.75, 1.0)
    assert photo.square.shape == (448, 448, 3)
    assert photo.preview.startswith("data:image/jpeg;base64,")


def test_a_file_that_is_no_photo_is_refused_in_one_sentence(desk, tmp_path):
    (tmp_path / "soup.jpg").write_text("not a photo")
    with pytest.raises(FoodkdError, match=r"soup\.jpg") as caught:
        desk.photo(tmp_path / "soup.jpg")
    assert "\n" not in str(caught.value)


def test_sessions_share_the_opening_photo_and_cannot_change_it(desk):
    from copy import deepcopy
    from dataclasses import FrozenInstanceError

    opening = desk.opening()
    assert deepcopy(opening).photo is opening.photo
    with pytest.raises(FrozenInstanceError):
        opening.stage = 3


def test_a_change_outdates_what_was_drawn_and_a_walk_does_not(desk):
    view = desk.opening().shown("layers")
    assert view.walked(1).drawn == {"layers"}
    assert view.opened("iam").drawn == {"layers"}
    assert view.change(scale="own").drawn == frozenset()


def test_the_same_photo_is_passed_through_a_network_once(desk, photos):
    first, again = desk.photo(photos[1]), desk.photo(photos[1])
    assert desk.answer(first, "teacher") is desk.answer(again, "teacher")
    assert desk.answer(first, "teacher").passes == 1


def test_the_class_follows_the_network_that_was_chosen(desk, photos):
    view = View(desk.photo(photos[2]))
    for choice in ("teacher", "student"):
        assert desk.class_index(desk.chosen(view, choice)) == desk.best(view.photo, choice)[0]
    assert desk.class_index(desk.chosen(view, desk.pair.classes[3])) == 3
    with pytest.raises(FoodkdError, match="gruel"):
        desk.chosen(view, "gruel")


def test_unsure_means_that_neither_network_is_confident(desk, photos, monkeypatch):
    view = View(desk.photo(photos[3]))
    for sure, expected in (((0.3, 0.2), True), ((0.3, 0.6), False), ((0.9, 0.9), False)):
        values = dict(zip(("teacher", "student"), sure, strict=True))
        monkeypatch.setattr(desk, "best", lambda photo, name, values=values: (0, values[name]))
        assert desk.unsure(view.photo) is expected


def test_pictures_are_reduced_but_never_enlarged():
    assert fitted(Image.new("RGB", (100, 50)), 200).size == (100, 50)
    assert fitted(Image.new("RGB", (1000, 500)), 200).size == (200, 100)
    assert fitted(Image.new("RGB", (4000, 1)), 200).size == (200, 1)


def test_the_methods_on_offer_are_those_of_the_library():
    from foodkd.explain import METHODS as KNOWN

    assert set(METHODS) <= set(KNOWN)
