"""What the lesson keeps: a visitor's choices, and what was computed for all visitors, by content and bounded."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from foodkd.distill.terms import PhotoTerms, StillObjective
from foodkd.errors import FoodkdError
from foodkd.explain import Explanation, find_class, readable
from foodkd.explain.ablation import Ablation
from foodkd.explain.playback import FILE, Playback
from foodkd.ui.session import Desk, Photo, View


@dataclass(frozen=True)
class Choices:
    """What a visitor chose in the lesson.

    `quiz` names a question of step 1, `guesses` what was guessed there, `revealed` which were revealed; `label` is
    (photo's key, the page's class, the label chosen for them): another photo or class takes its own label; `played`
    is the picture of the playback.
    """

    step: int = 1
    quiz: str = ""
    guesses: Mapping[str, str] = field(default_factory=dict)
    revealed: frozenset[str] = frozenset()
    label: tuple[str, int, int] | None = None
    played: str = ""


class Board:
    """Results shared by all visitors.

    Args:
        desk: the pair, its answers and the examples.
        limit: photos and labels whose terms are kept, the latest.
    """

    def __init__(self, desk: Desk, *, limit: int = 128) -> None:
        """An empty board; nothing runs before it is asked for."""
        self.desk = desk
        self._limit = limit
        self._lock = threading.Lock()
        self._terms: OrderedDict[tuple[str, int], PhotoTerms] = OrderedDict()
        self._examples: dict[str, np.ndarray] = {}

    # --- the examples' answers

    @cached_property
    def names(self) -> list[str]:
        """The examples whose dish the pair knows."""
        known = {readable(name) for name in self.desk.pair.classes}
        return [name for name, example in self.desk.examples.items() if readable(example.dish) in known]

    @cached_property
    def photos(self) -> dict[str, Photo]:
        """These examples, opened."""
        return {name: self.desk.example(name) for name in self.names}

    @cached_property
    def dishes(self) -> dict[str, int]:
        """The class index of each of these examples."""
        return {name: find_class(self.desk.pair.classes, self.desk.examples[name].dish) for name in self.names}

    def answers(self, network: str) -> np.ndarray | None:
        """A network's calibrated probabilities over `photos`, (N, K), if they are there."""
        return self._examples.get(network)

    @property
    def unanswered(self) -> str:
        """The first network that has not looked at the examples; empty when all have."""
        names = self.desk.names(alone=True)
        return next((name for name in names if name not in self._examples), "")

    # --- the loss of a photo

    def terms(self, view: View, label: int) -> PhotoTerms | None:
        """The terms of the photo at hand for a label, if they are there."""
        with self._lock:
            return self._terms.get((view.photo.key, label))

    def label(self, view: View, choices: Choices) -> int:
        """The label that step 3 takes as right: the one chosen there, else the page's class."""
        own = self.desk.class_index(view)
        if choices.label is not None and choices.label[:2] == (view.photo.key, own):
            return choices.label[2]
        return own

    @cached_property
    def _objective(self) -> StillObjective:
        return StillObjective(self.desk.pair)

    # --- files beside the pair

    @property
    def _folder(self) -> Path | None:
        return self.desk.pair.path

    @cached_property
    def playback(self) -> Playback | None:
        """The training kept beside the pair, or None; raises FoodkdError for a damaged or another pair's file."""
        if self._folder is None or not (self._folder / FILE).is_file():
            return None
        found = Playback.load(self._folder / FILE)
        if found.classes != self.desk.pair.classes:
            raise FoodkdError(f"{self._folder / FILE} is of a pair that knows other dishes; make it anew for this one.")
        return found

    @cached_property
    def ablation(self) -> Ablation | None:
        """The ablation kept beside the pair, or None; raises FoodkdError for a damaged file."""
        if self._folder is None or not (self._folder / "ablation.json").is_file():
            return None
        return Ablation.load(self._folder / "ablation.json")

    # --- what the browser asks for

    def work(self, asked: str, view: View, choices: Choices) -> None:
        """Compute what an open step lacks: one network's look at the examples, or one photo's terms."""
        if asked == "examples" and self.unanswered:
            self._look(self.unanswered)
        elif asked == "terms":
            for label in dict.fromkeys((self.desk.class_index(view), self.label(view, choices))):
                self._measure(view, label)

    def _look(self, network: str) -> None:
        """Every example through one network; not by the desk, whose store is for the visitors' latest photos."""
        rows = [Explanation.of(self.desk.pair, network, photo.small).probabilities for photo in self.photos.values()]
        self._examples[network] = np.stack(rows) if rows else np.zeros((0, len(self.desk.pair.classes)))

    def _measure(self, view: View, label: int) -> None:
        if self.terms(view, label) is not None:
            return
        found = self._objective.terms(view.photo.small, label)
        with self._lock:
            self._terms[(view.photo.key, label)] = found
            while len(self._terms) > self._limit:
                self._terms.popitem(last=False)


def asking(what: str, words: str) -> str:
    """A line that waits; the browser asks for what is missing when it sees it."""
    return (
        f'<p class="fk-waiting" data-ask="{what}" role="status">{words}<progress aria-label="At work"></progress></p>'
    )
