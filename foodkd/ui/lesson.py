"""Tab 5, How distillation works: a guided lesson in six steps on the photo at hand.

Everything stands in one HTML component that shows one step. The temperature, the playback and the large type move in
the browser (assets/ui/lesson.js); what takes longer than a moment is asked for by the browser once its step is open.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from foodkd.errors import FoodkdError
from foodkd.ui import lesson_first, lesson_loss, lesson_results, lesson_soft, lesson_training
from foodkd.ui import widgets as w
from foodkd.ui.lesson_board import Board, Choices
from foodkd.ui.session import Desk, View

TITLE = "How distillation works"
NAME = "lesson"
SCRIPT = Path(__file__).resolve().parents[2] / "assets" / "ui" / "lesson.js"
STEPS: tuple[tuple[str, Callable[[Board, View, Choices], str]], ...] = (
    ("Two answers", lesson_first.panel),
    ("Soft labels", lesson_soft.panel),
    ("The loss", lesson_loss.panel),
    ("The training", lesson_training.panel),
    ("What it bought", lesson_results.panel),
    ("Take it along", lesson_results.handout_panel),
)

Updates = dict[Any, Any]


def choices_of(view: View) -> Choices:
    """What the visitor chose in the lesson, or its beginning."""
    kept = view.kept.get(NAME)
    return kept if isinstance(kept, Choices) else Choices()


def lesson_panel(board: Board, view: View) -> str:
    """The whole tab: where one is, the step, and the way on."""
    choices = choices_of(view)
    try:
        inner = STEPS[choices.step - 1][1](board, view, choices)
    except FoodkdError as error:  # a damaged file beside the pair closes one step, not the lesson
        inner = w.notice([str(error)])
    heading = f'<h3 id="fk-lesson-title" tabindex="-1">{choices.step}. {_HEADINGS[choices.step - 1]}</h3>'
    return (
        f'<div class="fk-lesson" data-step="{choices.step}">{_ways(choices.step)}'
        f'<section aria-labelledby="fk-lesson-title">{heading}{inner}</section>{_on(choices.step)}</div>'
    )


_HEADINGS = (
    "Same photo, two answers",
    "What the wrong answers know",
    "What is minimised",
    "The training, played back",
    "What each term bought",
    "Take it along",
)


def _ways(step: int) -> str:
    """The six steps as buttons, and the switch to large type."""
    items = ""
    for number, (title, _) in enumerate(STEPS, start=1):
        current = ' aria-current="step"' if number == step else ""
        items += (
            f'<li><button type="button" id="fk-step-{number}" data-act="step" data-step="{number}"{current}>'
            f"<b>{number}</b><span>{title}</span></button></li>"
        )
    large = '<button type="button" id="fk-large" data-large aria-pressed="false">Large type</button>'
    return f'<nav class="fk-ways" aria-label="Steps of the lesson"><ol>{items}</ol>{large}</nav>'


def _on(step: int) -> str:
    """Back and on."""
    before = _way(step - 1, f"← {STEPS[step - 2][0]}", "fk-before") if step > 1 else "<span></span>"
    after = _way(step + 1, f"{STEPS[step][0]} →", "fk-after") if step < len(STEPS) else "<span></span>"
    return f'<div class="fk-on">{before}{after}</div>'


def _way(step: int, words: str, name: str) -> str:
    return f'<button type="button" id="{name}" class="{name}" data-act="step" data-step="{step}">{words}</button>'


class Tab:
    """The tab's components; build it inside its `gr.Tab`."""

    def __init__(self, desk: Desk, view: View) -> None:
        """Lay out; nothing is computed."""
        self.board = Board(desk)
        script = SCRIPT.read_text(encoding="utf-8")
        self.panel = gr.HTML(
            "", elem_id="fk-lesson-panel", elem_classes=["fk-html"], apply_default_css=False, js_on_load=script
        )

    @property
    def all(self) -> list[Any]:
        """Every component that events read or draw."""
        return [self.panel]

    def drawn(self, view: View) -> Updates:
        """The open step; nothing slow is computed."""
        return {self.panel: lesson_panel(self.board, view)}

    def connect(self, on: Callable[..., None], state: gr.State, open_photo: Callable[..., Updates]) -> None:
        """Bind the events: `on(trigger, event, inputs)` calls `event(view, *inputs)` and takes back updates."""
        self._state, self._open_photo = state, open_photo
        on(self.panel.select, self.on_touch, trigger_mode="multiple")

    def on_touch(self, view: View, event: gr.EventData) -> Updates:
        """Something of the lesson was touched, or the browser asks for what a step still lacks."""
        data = event._data if isinstance(event._data, dict) else {}
        act = str(data.get("act", ""))
        if act == "ask":
            self.board.work(str(data.get("ask", "")), view, choices_of(view))
            return self.drawn(view)
        if act == "photo":
            photo = self.board.desk.example(str(data.get("photo", "")))
            return self._open_photo(view, photo, NAME)
        view = view.keeping(NAME, chosen(self.board, view, choices_of(view), act, data))
        return self.drawn(view) | {self._state: view}


def chosen(board: Board, view: View, choices: Choices, act: str, data: dict[str, Any]) -> Choices:
    """The choices after a touch; what is none of ours changes nothing."""
    desk, value = board.desk, str(data.get(act, ""))
    quiz = str(data.get("quiz", value))
    known = act in ("guess", "reveal", "quiz") and quiz in {question.key for question in lesson_first.questions(board)}
    if act == "step" and value.isdecimal() and 1 <= int(value) <= len(STEPS):
        return replace(choices, step=int(value))
    if act == "guess" and known and value in lesson_first.GUESSES:
        return replace(choices, quiz=quiz, guesses={**choices.guesses, quiz: value})
    if act == "reveal" and known:
        return replace(choices, quiz=value, revealed=choices.revealed | {value})
    if act == "quiz" and known:
        return replace(choices, quiz=value)
    if act == "label" and value in desk.pair.classes:
        return replace(choices, label=(view.photo.key, desk.class_index(view), desk.pair.classes.index(value)))
    if act == "played" and value in board.names:
        return replace(choices, played=value)
    return choices


__all__ = ["TITLE", "Tab", "choices_of", "chosen", "lesson_panel"]
