from copy import copy
from dataclasses import fields, replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foodkd.errors import FoodkdError
from foodkd.explain.faithfulness import BASELINES, CONTROLS, UNITS
from foodkd.nets import Pair
from foodkd.ui.session import EXAMPLES, LINKED, METHODS, SCALES, TABS, Desk, View, fitted, read_examples


@pytest.fixture(scope="module")
def desk_with_alone(tiny_pair: Pair) -> Desk:
    """A desk whose student has a twin that was trained alone."""
    pair = copy(tiny_pair)
    pair.networks = tiny_pair.networks | {"student-alone": tiny_pair.networks["student"]}
    pair.settings = tiny_pair.settings | {"student-alone": tiny_pair.settings["student"]}
    return Desk(pair, read_examples())


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
    assert opening.query == ""


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


def test_a_link_restores_the_view_that_it_was_copied_from(desk):
    opening = desk.opening()
    other = list(desk.examples)[1]
    dish = desk.pair.classes[2]
    view = View(desk.example(other), choice=dish, tab="layers", scale="own", method="mean", stage=2)
    restored, refused = desk.restore(dict(parse_qsl(view.query)), opening)
    assert refused == []
    assert restored.photo.example == view.photo.example
    same = ("choice", "tab", "scale", "method", "stage", "query")
    assert [getattr(restored, name) for name in same] == [getattr(view, name) for name in same]


def views(desk: Desk) -> st.SearchStrategy[View]:
    """Views of the examples with anything chosen that a link can hold; places are clicked to a tenth of a percent."""
    place = st.tuples(*[st.integers(0, 1000).map(lambda tenths: tenths / 1000)] * 2)
    return st.builds(
        View,
        photo=st.sampled_from(list(desk.examples)).map(desk.example),
        choice=st.sampled_from(["teacher", "student", *desk.pair.classes]),
        tab=st.sampled_from(TABS),
        scale=st.sampled_from(SCALES),
        method=st.sampled_from(list(METHODS)),
        stage=st.integers(0, desk.stages - 1),
        place=st.none() | place,
        alone=st.booleans() if desk.has_alone else st.just(False),
        baseline=st.sampled_from(BASELINES),
        unit=st.sampled_from(UNITS),
        control=st.sampled_from(CONTROLS),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_was_chosen_a_link_restores_it(desk_with_alone: Desk, data: st.DataObject) -> None:
    view = data.draw(views(desk_with_alone))
    restored, refused = desk_with_alone.restore(dict(parse_qsl(view.query)), desk_with_alone.opening())
    assert refused == []
    chosen = {field.name for field in fields(View)} - {"photo", "place", "covered", "drawn"}
    assert {name: getattr(restored, name) for name in chosen} == {name: getattr(view, name) for name in chosen}
    assert restored.place == (view.place and pytest.approx(view.place))
    assert restored.photo.example == view.photo.example and restored.query == view.query


def test_a_link_holds_nothing_that_is_as_the_page_opens(desk):
    assert View(desk.opening().photo).query == f"example={next(iter(desk.examples))}"


def test_the_third_column_is_refused_where_it_does_not_ship(desk):
    view, refused = desk.restore({"alone": "yes"}, desk.opening())
    assert not view.alone and len(refused) == 1 and "trained alone" in refused[0]


@pytest.mark.parametrize("place", ["50", "50 50 50", "101 0", "-1 0", "nan 0", "a b", "1e400 0"])
def test_a_place_outside_the_photo_is_refused(desk, place):
    view, refused = desk.restore({"place": place}, desk.opening())
    assert view.place is None and len(refused) == 1 and place in refused[0]


def test_a_mask_and_what_was_drawn_are_never_part_of_the_link(desk):
    view = desk.opening()
    assert replace(view, covered=(view.photo.key, "abcd"), drawn=frozenset({"iam"})).query == view.query


@pytest.mark.parametrize("part", list(LINKED))
def test_a_link_with_an_unknown_part_says_so_and_keeps_the_rest(desk, part):
    asked = {"scale": "own", "method": "mean"} | {part: "nonsense"}
    view, refused = desk.restore(asked, desk.opening())
    assert len(refused) == 1
    assert "nonsense" in refused[0]
    kept = {"scale", "method"} - {part}
    assert all(getattr(view, name) == asked[name] for name in kept)


def test_an_own_photo_is_never_part_of_the_link(desk, photos):
    assert View(desk.photo(photos[0])).query == ""


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
