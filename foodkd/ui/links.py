"""Links: what of a view stands in the page's address, and how a view is restored from it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from foodkd.errors import FoodkdError
from foodkd.explain import find_class
from foodkd.explain.answers import QUADRANTS, Selection
from foodkd.explain.faithfulness import BASELINES, CONTROLS, UNITS
from foodkd.ui import lesson, testset
from foodkd.ui.session import METHODS, SCALES, TABS, Desk, View, one_of


@dataclass(frozen=True)
class Linked:
    """One thing that a link restores.

    Attributes:
        write: its value in a link to a view; empty as the page opens.
        read: the view that such a value asks for. Raises FoodkdError naming what is allowed.
    """

    write: Callable[[Desk, View], str]
    read: Callable[[Desk, View, str], View]


def query(desk: Desk, view: View) -> str:
    """The query string that restores this view; a visitor's own photo is never part of it."""
    parts = {name: linked.write(desk, view) for name, linked in LINKED.items()}
    return urlencode({name: value for name, value in parts.items() if value})


def restore(desk: Desk, asked: Mapping[str, str], opening: View) -> tuple[View, list[str]]:
    """The view that a link asks for, and a sentence for each part of it that can't be had."""
    view, refused = opening, []
    for name, linked in LINKED.items():
        if not asked.get(name):
            continue
        try:
            view = linked.read(desk, view, asked[name])
        except FoodkdError as error:
            refused.append(str(error))
    return view, refused


# --- what any tab shows


def _plain(name: str, allowed: tuple[str, ...]) -> Linked:
    """A field of the view that is one of a few words."""
    default = View.__dataclass_fields__[name].default

    def write(desk: Desk, view: View) -> str:
        value: str = getattr(view, name)
        return "" if value == default else value

    return Linked(write, lambda desk, view, value: view.change(**{name: one_of(value, allowed, name)}))


def _number(value: str, last: int, what: str) -> int:
    return int(one_of(value, tuple(str(number) for number in range(1, last + 1)), what))


def _read_stage(desk: Desk, view: View, value: str) -> View:
    return view.change(stage=_number(value, desk.stages, "stage") - 1)


def _write_place(desk: Desk, view: View) -> str:
    return "" if view.place is None else " ".join(f"{100 * axis:.1f}" for axis in view.place)


def _read_place(desk: Desk, view: View, value: str) -> View:
    try:
        x, y = (float(number) / 100 for number in value.split())
    except ValueError:
        x = y = math.nan
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise FoodkdError(
            f"'{value}' is no place in a photo; give percent from left and from top, such as place=50+25."
        )
    return view.change(place=(x, y))


def _read_alone(desk: Desk, view: View, value: str) -> View:
    one_of(value, ("yes",), "third column")
    if not desk.has_alone:
        raise FoodkdError("This pair has no student that was trained alone, so there is no third column.")
    return view.change(alone=True)


def _read_beside(desk: Desk, view: View, value: str) -> View:
    one_of(value, ("yes",), "second pair")
    if desk.beside is None:
        raise FoodkdError("No second pair is open here; start the app with --beside CHECKPOINT to see two.")
    return view.change(beside=True)


# --- the step of the lesson


def _write_step(desk: Desk, view: View) -> str:
    step = lesson.choices_of(view).step
    return "" if step == 1 else str(step)


def _read_step(desk: Desk, view: View, value: str) -> View:
    step = _number(value, len(lesson.STEPS), "step")
    return view.keeping(lesson.NAME, replace(lesson.choices_of(view), step=step))


# --- the photos chosen from the test set


def _selection(view: View) -> Selection:
    return testset.choices_of(view).selection


def _selecting(view: View, **chosen: Any) -> View:
    choices = testset.choices_of(view)
    return view.keeping(testset.NAME, replace(choices, selection=replace(choices.selection, **chosen)))


def _write_dish(desk: Desk, view: View) -> str:
    label = _selection(view).label
    return "" if label is None else desk.pair.classes[label]


def _read_dish(desk: Desk, view: View, value: str) -> View:
    return _selecting(view, label=find_class(desk.pair.classes, value))


def _write_taken(desk: Desk, view: View) -> str:
    answer = _selection(view).answer
    return "" if answer is None else f"{answer[0]}:{desk.pair.classes[answer[1]]}"


def _read_taken(desk: Desk, view: View, value: str) -> View:
    network, _, dish = value.partition(":")
    one_of(network, tuple(desk.pair.networks), "network")
    return _selecting(view, answer=(network, find_class(desk.pair.classes, dish)))


# Everything that a link restores, in the order in which it is restored: a name in the query -> how.
LINKED: dict[str, Linked] = {
    "example": Linked(
        lambda desk, view: view.photo.example.name if view.photo.example else "",
        lambda desk, view, value: view.change(photo=desk.example(value)),
    ),
    "class": Linked(
        lambda desk, view: "" if view.choice == "teacher" else view.choice,
        lambda desk, view, value: desk.chosen(view, value),
    ),
    "tab": _plain("tab", TABS),
    "scale": _plain("scale", SCALES),
    "method": _plain("method", tuple(METHODS)),
    "stage": Linked(lambda desk, view: str(view.stage + 1) if view.stage else "", _read_stage),
    "place": Linked(_write_place, _read_place),
    "alone": Linked(lambda desk, view: "yes" if view.alone else "", _read_alone),
    "beside": Linked(lambda desk, view: "yes" if view.beside else "", _read_beside),
    "baseline": _plain("baseline", BASELINES),
    "unit": _plain("unit", UNITS),
    "control": _plain("control", CONTROLS),
    "step": Linked(_write_step, _read_step),
    "right": Linked(
        lambda desk, view: _selection(view).quadrant,
        lambda desk, view, value: _selecting(view, quadrant=one_of(value, QUADRANTS, "choice of who is right")),
    ),
    "dish": Linked(_write_dish, _read_dish),
    "taken": Linked(_write_taken, _read_taken),
}
