"""Tab 6, Across the test set: what both networks answered on a whole photo set, and on a visitor's own photos.

The answers are read once, when somebody first opens the tab. A visitor's own photos are answered a few at a time: the
browser asks for the next few, so that others get their turn in between and the progress is seen.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from foodkd.errors import FoodkdError
from foodkd.explain.answers import QUADRANTS, Answers, Selection
from foodkd.ui import testset_own as own
from foodkd.ui import testset_panels as panels
from foodkd.ui import widgets as w
from foodkd.ui.downloads import Made
from foodkd.ui.session import Desk, View
from foodkd.ui.testset_board import NAME, PARTS, Choices, Shelf
from foodkd.ui.testset_uploads import PhotosInput, Tray, Trays

TITLE = "Across the test set"
SCRIPT = Path(__file__).resolve().parents[2] / "assets" / "ui" / "testset.js"
SAVE = "watch('value', () => foodkd.save(element));"

Updates = dict[Any, Any]


def choices_of(view: View) -> Choices:
    """What the visitor chose on this tab, or its beginning."""
    kept = view.kept.get(NAME)
    return kept if isinstance(kept, Choices) else Choices()


class Tab:
    """The tab's components; build it inside its `gr.Tab`."""

    def __init__(self, desk: Desk, view: View) -> None:
        """Lay out; nothing is read."""
        self.desk, self.shelf, self.trays = desk, Shelf(desk), Trays()
        titles = [(title, name) for name, title in PARTS.items()]
        self.part = gr.Radio(titles, value="set", label="Which photos", elem_id="fk-testset-part", container=False)
        with gr.Column(elem_id="fk-testset-set") as self.set_part:
            self.head, self.bar = _html("fk-testset-head"), _html("fk-testset-bar")
            with gr.Row(elem_classes="fk-testset-row"):
                self.classes, self.pairs = _html("fk-testset-classes"), _html("fk-testset-pairs")
            self.photos, self.reliability = _html("fk-testset-list"), _html("fk-testset-reliability")
        with gr.Column(elem_id="fk-testset-own", visible=False) as self.own_part:
            gr.HTML(own.INTRODUCTION, elem_classes=["fk-html"], apply_default_css=False, js_on_load=None)
            label = "Photos or a zip of photos"
            self.upload = PhotosInput(label=label, file_count="multiple", height=150, elem_id="fk-testset-upload")
            self.answered = _html("fk-testset-answered")
        self.csv = gr.HTML(
            "", elem_id="fk-testset-csv", elem_classes=["fk-html"], apply_default_css=False, js_on_load=SAVE
        )

    @property
    def _panels(self) -> list[Any]:
        return [self.head, self.bar, self.classes, self.pairs, self.photos, self.reliability]

    @property
    def all(self) -> list[Any]:
        """Every component that events read or draw."""
        return [self.part, self.set_part, self.own_part, *self._panels, self.upload, self.answered, self.csv]

    def drawn(self, view: View) -> Updates:
        """The open part as the view has it."""
        choices = choices_of(view)
        first = choices.part == "set"
        shown: Updates = {self.part: choices.part}
        shown |= {self.set_part: gr.Column(visible=first), self.own_part: gr.Column(visible=not first)}
        return shown | (self._set(choices) if first else self._own(choices))

    def _set(self, choices: Choices) -> Updates:
        """All panels of the test set; a sentence where there are no answers, or none of this pair."""
        empty: Updates = dict.fromkeys(self._panels, "")
        try:
            answers = self.shelf.answers()
        except FoodkdError as error:
            return empty | {self.head: w.notice([str(error)])}
        if answers is None:
            return empty | {self.head: panels.missing(self.shelf)}
        return {
            self.head: panels.head_panel(answers, choices),
            self.bar: panels.bar_panel(answers, choices),
            self.classes: panels.classes_panel(answers, choices),
            self.pairs: panels.pairs_panel(answers, choices),
            self.photos: panels.photos_panel(self.shelf, answers, choices),
            self.reliability: panels.reliability_panel(answers, choices),
        }

    def _own(self, choices: Choices) -> Updates:
        return {self.answered: own.answered_panel(self.desk, choices)}

    def connect(self, on: Callable[..., None], state: gr.State, open_photo: Callable[..., Updates]) -> None:
        """Bind the events: `on(trigger, event, inputs)` calls `event(view, *inputs)` and takes back updates."""
        self._state, self._open_photo = state, open_photo
        on(self.part.input, self.on_part, [self.part])
        for panel in self._panels:
            on(panel.select, self.on_touch, trigger_mode="multiple")
        on(self.upload.upload, self.on_upload, [self.upload], show_progress="minimal")
        on(self.answered.select, self.on_own, trigger_mode="multiple")

    def _keep(self, view: View, choices: Choices) -> Updates:
        return {self._state: view.keeping(NAME, choices)}

    def on_part(self, view: View, part: str) -> Updates:
        """The test set, or one's own photos."""
        choices = replace(choices_of(view), part=part if part in PARTS else "set")
        view = view.keeping(NAME, choices)
        return self.drawn(view) | {self._state: view}

    def on_touch(self, view: View, event: gr.EventData) -> Updates:
        """Something of the test set was touched."""
        data = event._data if isinstance(event._data, dict) else {}
        answers, choices, act = self.shelf.answers(), choices_of(view), str(data.get("act", ""))
        if answers is None:
            return {}
        if act == "csv":
            rows = answers.by_disagreement(choices.selection.mask(answers))
            return {self.csv: saved(answers.to_csv(rows), "foodkd-test-set.csv")}
        if act == "open":
            path = self.shelf.photo(_number(data.get("row")))
            return {} if path is None else self._open_photo(view, self.desk.photo(path), "compare")
        if act == "dish":
            return self._open_class(view, answers, str(data.get("dish", "")))
        chosen = touched(answers, choices, act, data)
        if act == "page":
            return {self.photos: panels.photos_panel(self.shelf, answers, chosen)} | self._keep(view, chosen)
        if act == "sort":
            return {self.classes: panels.classes_panel(answers, chosen)} | self._keep(view, chosen)
        return self._set(chosen) | self._keep(view, chosen)

    def _open_class(self, view: View, answers: Answers, dish: str) -> Updates:
        """The photo at hand, on the second tab, with the maps of a dish that was chosen here."""
        if dish not in answers.classes:
            return {}
        return self._open_photo(view, view.photo, "iam", dish)

    def on_upload(self, view: View, paths: list[str]) -> Updates:
        """Photos arrived: they are taken over, and the browser asks for their answers."""
        if not paths:
            return {}
        tray = self.trays.add(Tray(self.desk, [Path(path) for path in paths]))
        choices = replace(choices_of(view), tray=tray, own_page=0)
        return self._own(choices) | {self.upload: None} | self._keep(view, choices)

    def on_own(self, view: View, event: gr.EventData) -> Updates:
        """The browser asks for the next few answers, or something of one's own photos was touched."""
        data = event._data if isinstance(event._data, dict) else {}
        choices, act = choices_of(view), str(data.get("act", ""))
        tray = choices.tray
        if tray is None:
            return {}
        if act == "ask":
            tray.step()
            self.trays.trim()
            return self._own(choices)
        if act == "page":
            choices = replace(choices, own_page=max(0, _number(data.get("page"))))
            return self._own(choices) | self._keep(view, choices)
        if act == "csv" and tray.answers is not None:
            return {self.csv: saved(tray.answers.to_csv(tray.answers.by_disagreement()), "foodkd-my-photos.csv")}
        row = _number(data.get("row"))
        if act == "open" and 0 <= row < len(tray.kept):
            return self._open_photo(view, tray.kept[row].photo(self.desk), "compare")
        return {}


def touched(answers: Answers, choices: Choices, act: str, data: dict[str, Any]) -> Choices:
    """The choices after a touch; pressing what is chosen takes it back, and what is none of ours changes nothing."""
    selection = choices.selection
    if act == "page":
        return replace(choices, page=max(0, _number(data.get("page"))))
    if act == "sort":
        key = str(data.get("sort", ""))
        numbers_fall = key != "class"  # the largest number is wanted first, the first letter, too
        return replace(choices, sort=key, falling=numbers_fall if key != choices.sort else not choices.falling)
    if act == "cell" and data.get("cell") in QUADRANTS:
        cell = str(data["cell"])
        selection = replace(selection, quadrant="" if cell == selection.quadrant else cell)
    elif act in ("label", "answer"):
        selection = _of_class(answers, selection, act, data)
    elif act == "drop":
        without: dict[str, Selection] = {
            "cell": replace(selection, quadrant=""),
            "label": replace(selection, label=None),
            "answer": replace(selection, answer=None),
        }
        selection = without.get(str(data.get("drop")), selection)
    return replace(choices, selection=selection, page=0)


def _of_class(answers: Answers, selection: Selection, act: str, data: dict[str, Any]) -> Selection:
    """The selection once a dish, or a mix-up of two, was pressed."""
    label, given, network = _number(data.get("label")), _number(data.get("answer")), str(data.get("network", ""))
    known = range(len(answers.classes))
    if label not in known:
        return selection
    if act == "label":
        return replace(selection, label=None if label == selection.label else label, answer=None)
    if given not in known or network not in answers.networks:
        return selection
    if (selection.label, selection.answer) == (label, (network, given)):
        return replace(selection, label=None, answer=None)
    return replace(selection, label=label, answer=(network, given))


def saved(table: str, name: str) -> str:
    """A table as a link that the page's script presses once; the mark at its beginning says UTF-8 to spreadsheets."""
    return Made(name, ("\ufeff" + table).encode("utf-8", errors="replace")).link


def _number(value: Any) -> int:
    return int(value) if str(value).isdecimal() else -1


def _html(name: str) -> gr.HTML:
    script = SCRIPT.read_text(encoding="utf-8")
    return gr.HTML("", elem_id=name, elem_classes=["fk-html"], apply_default_css=False, js_on_load=script)
