"""A second pair beside the first: the same photo and class, each pair with its own eyes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from foodkd.data import Preprocessing
from foodkd.explain import compare as compare_maps
from foodkd.nets import Pair
from foodkd.ui import beside, compare, links
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, Desk, View


def _changed(pair: Pair, **fields: object) -> Pair:
    other = copy.copy(pair)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


@pytest.fixture(scope="module")
def other(tiny_pair: Pair) -> Pair:
    """Another size of picture, the classes in another order and one of another name."""
    first, second, *_ = tiny_pair.classes
    changed = {"classes": (second, first, "soup", "salad"), "preprocessing": Preprocessing(resolution=32)}
    return _changed(tiny_pair, **changed, info={"name": "my own dishes"})


@pytest.fixture(scope="module")
def desk(tiny_pair: Pair, other: Pair) -> Desk:
    return Desk(tiny_pair, beside=other)


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 255, (90, 120, 3)).astype(np.uint8))


@pytest.fixture
def view(desk: Desk, picture: Image.Image) -> View:
    return View(desk.photo(picture), beside=True)


def test_each_pair_sees_the_photo_as_it_was_trained_to(desk: Desk, view: View, picture: Image.Image) -> None:
    assert view.photo.small.shape == (64, 64, 3)
    assert desk.beside is not None
    seen, alone = desk.seen_beside(view), Desk(desk.beside.pair).photo(picture)
    assert np.array_equal(seen.photo.small, alone.small) and seen.photo.small.shape == (32, 32, 3)
    for name in BOTH:
        assert desk.beside.best(seen.photo, name) == Desk(desk.beside.pair).best(alone, name)


def test_both_show_the_class_of_that_name_wherever_it_stands_in_their_lists(desk: Desk, view: View) -> None:
    for index, name in enumerate(desk.pair.classes[:2]):
        chosen = desk.chosen(view, name)
        assert desk.beside is not None and desk.class_index(chosen) == index
        assert desk.beside.class_index(desk.seen_beside(chosen)) == 1 - index
        cosine = compare_maps(desk.iam(chosen, "student"), desk.beside.iam(desk.seen_beside(chosen), "student")).cosine
        assert w.signed(cosine) in beside.panel(desk, chosen)


def test_a_dish_that_it_does_not_know_is_not_compared(desk: Desk, view: View) -> None:
    panel = beside.panel(desk, desk.chosen(view, desk.pair.classes[3]))
    assert "does not know the dish chosen above" in panel and "cosine" not in panel
    assert "my own dishes" in panel and "data-pick" not in panel  # its bars choose nothing


def test_without_a_second_pair_nothing_of_it_is_there(tiny_pair: Pair, desk: Desk, view: View) -> None:
    assert beside.panel(desk, replace(view, beside=False)) == ""
    one = Desk(tiny_pair)
    assert beside.panel(one, View(view.photo, beside=True)) == ""
    restored, refused = links.restore(one, {"beside": "yes"}, View(view.photo))
    assert not restored.beside and len(refused) == 1 and "--beside CHECKPOINT" in refused[0]


def test_the_link_restores_it(desk: Desk, view: View) -> None:
    assert "beside=yes" in links.query(desk, view)
    assert links.restore(desk, {"beside": "yes"}, replace(view, beside=False))[0].beside


def test_the_same_pair_beside_itself_agrees_with_itself(tiny_pair: Pair) -> None:
    desk = Desk(tiny_pair, beside=tiny_pair)
    pixels = np.random.default_rng(3).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    view = View(desk.photo(Image.fromarray(pixels)), beside=True)
    panel = beside.panel(desk, view)
    assert panel.count("both say") == 2 and panel.count("+1.00") == 2
    assert compare.card(desk, view, "student", pickable=False).split("This photo, here")[0] in panel
