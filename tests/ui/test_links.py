"""A link holds what was chosen, and nothing of a visitor's own."""

from copy import copy
from dataclasses import fields, replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foodkd.explain.answers import QUADRANTS, Selection
from foodkd.explain.faithfulness import BASELINES, CONTROLS, UNITS
from foodkd.nets import Pair
from foodkd.ui import lesson, links, testset
from foodkd.ui.lesson_board import Choices as LessonChoices
from foodkd.ui.links import LINKED
from foodkd.ui.session import METHODS, SCALES, TABS, Desk, View, read_examples
from foodkd.ui.testset_board import Choices as SetChoices


@pytest.fixture(scope="module")
def desk_with_alone(tiny_pair: Pair) -> Desk:
    """A desk whose student has a twin that was trained alone."""
    pair = copy(tiny_pair)
    pair.networks = tiny_pair.networks | {"student-alone": tiny_pair.networks["student"]}
    pair.settings = tiny_pair.settings | {"student-alone": tiny_pair.settings["student"]}
    return Desk(pair, read_examples())


def test_a_link_restores_the_view_that_it_was_copied_from(desk):
    opening = desk.opening()
    other = list(desk.examples)[1]
    dish = desk.pair.classes[2]
    view = View(desk.example(other), choice=dish, tab="layers", scale="own", method="mean", stage=2)
    restored, refused = links.restore(desk, dict(parse_qsl(links.query(desk, view))), opening)
    assert refused == []
    assert restored.photo.example == view.photo.example
    same = ("choice", "tab", "scale", "method", "stage")
    assert [getattr(restored, name) for name in same] == [getattr(view, name) for name in same]


def views(desk: Desk) -> st.SearchStrategy[View]:
    """Views of the examples with anything chosen that a link can hold; places are clicked to a tenth of a percent."""
    steps = st.builds(LessonChoices, step=st.integers(1, 6))
    dish = st.sampled_from(range(len(desk.pair.classes)))
    answer = st.none() | st.tuples(st.sampled_from(list(desk.pair.networks)), dish)
    of = st.builds(Selection, quadrant=st.sampled_from(["", *QUADRANTS]), label=st.none() | dish, answer=answer)
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
        kept=st.fixed_dictionaries({}, optional={"lesson": steps, "testset": st.builds(SetChoices, selection=of)}),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_was_chosen_a_link_restores_it(desk_with_alone: Desk, data: st.DataObject) -> None:
    desk, view = desk_with_alone, data.draw(views(desk_with_alone))
    restored, refused = links.restore(desk, dict(parse_qsl(links.query(desk, view))), desk.opening())
    assert refused == []
    chosen = {field.name for field in fields(View)} - {"photo", "place", "covered", "drawn", "kept"}
    assert {name: getattr(restored, name) for name in chosen} == {name: getattr(view, name) for name in chosen}
    assert restored.place == (view.place and pytest.approx(view.place))
    assert restored.photo.example == view.photo.example and links.query(desk, restored) == links.query(desk, view)
    assert lesson.choices_of(restored) == lesson.choices_of(view)
    assert testset.choices_of(restored) == testset.choices_of(view)


def test_a_link_holds_nothing_that_is_as_the_page_opens(desk):
    assert links.query(desk, View(desk.opening().photo)) == f"example={next(iter(desk.examples))}"


def test_the_third_column_is_refused_where_it_does_not_ship(desk):
    view, refused = links.restore(desk, {"alone": "yes"}, desk.opening())
    assert not view.alone and len(refused) == 1 and "trained alone" in refused[0]


@pytest.mark.parametrize("place", ["50", "50 50 50", "101 0", "-1 0", "nan 0", "a b", "1e400 0"])
def test_a_place_outside_the_photo_is_refused(desk, place):
    view, refused = links.restore(desk, {"place": place}, desk.opening())
    assert view.place is None and len(refused) == 1 and place in refused[0]


def test_a_mask_and_what_was_drawn_are_never_part_of_the_link(desk):
    view = desk.opening()
    changed = replace(view, covered=(view.photo.key, "abcd"), drawn=frozenset({"iam"}))
    assert links.query(desk, changed) == links.query(desk, view)


@pytest.mark.parametrize("part", list(LINKED))
def test_a_link_with_an_unknown_part_says_so_and_keeps_the_rest(desk, part):
    asked = {"scale": "own", "method": "mean"} | {part: "nonsense"}
    view, refused = links.restore(desk, asked, desk.opening())
    assert len(refused) == 1
    assert "nonsense" in refused[0]
    kept = {"scale", "method"} - {part}
    assert all(getattr(view, name) == asked[name] for name in kept)


def test_an_own_photo_is_never_part_of_the_link(desk, photos):
    assert links.query(desk, View(desk.photo(photos[0]))) == ""


def test_an_empty_table_needs_no_link(tiny_pair: Pair) -> None:
    desk = Desk(tiny_pair)
    assert links.query(desk, desk.opening()) == ""
