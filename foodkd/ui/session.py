"""What one visitor looks at, and what all visitors share.

A visitor's `View` (photo, class, tab, stage, method, scale) is an immutable value kept in a `gr.State`; the loaded pair
and a bounded store of explanations, keyed by the photo's content, live in the one `Desk`. Nothing else lasts.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain import (
    METHOD_TITLES,
    ActivationMap,
    Agreement,
    Explanation,
    Explanations,
    agreement,
    find_class,
    readable,
    shipped_agreement,
)
from foodkd.explain.faithfulness import BASELINES, CONTROLS, UNITS
from foodkd.explain.render import data_uri as data_uri
from foodkd.files import sha256
from foodkd.nets import Pair

TABS = ("compare", "iam", "layers", "faithfulness", "lesson", "testset")
BOTH = ("teacher", "student")
SCALES = ("shared", "own")
METHODS = {name: METHOD_TITLES[name] for name in ("mean", "gradcam", "layercam", "eigencam")}
SQUARE = 448  # side, in pixels, of the square that maps are drawn on: sharp at 1280 px, small over a phone's connection
PREVIEW = 640  # longest side of the original as shown
# Both networks' calibrated confidence below this: "not sure". A choice; docs/results.md says how often it is right.
UNSURE_BELOW = 0.35
EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """A picture that ships with the app; `dish` is what it was made to show."""

    name: str
    path: Path
    dish: str
    title: str
    alt: str


def read_examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """The examples listed in `folder/examples.json`; empty if there is no such list."""
    listing = folder / "examples.json"
    if not listing.is_file():
        return ()
    rows = json.loads(listing.read_text(encoding="utf-8"))
    return tuple(
        Example(Path(row["file"]).stem, folder / row["file"], row["class"], row["title"], row["alt"]) for row in rows
    )


@dataclass(frozen=True)
class Photo:
    """One opened photo, no larger than a screen needs.

    `small` (R, R, 3) is what the networks see, `square` (448, 448, 3) or less what maps are drawn on, `preview` a URL
    holding the whole photo, `crop` the square's left, top, right, bottom as fractions of it. `name` is what downloads
    call it, without folder or ending; `sha256` is its file's, where it came from one. `beside` is what the networks of
    a second pair see, where one is open.
    """

    small: np.ndarray
    square: np.ndarray
    preview: str
    crop: tuple[float, float, float, float]
    example: Example | None = None
    name: str = "photo"
    sha256: str = ""
    beside: np.ndarray | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Photo":
        """Itself: a Photo never changes, so sessions may share the opening one."""
        return self

    @cached_property
    def key(self) -> str:
        """Names the photo by what the networks see of it."""
        return hashlib.sha256(self.small.tobytes()).hexdigest()[:24]


@dataclass(frozen=True)
class View:
    """Everything a visitor has chosen. `choice` is "teacher", "student" (their answer) or a class name.

    `place` is the clicked point as fractions (x, y) of the square, `alone` and `beside` whether the student trained
    alone and the second pair are shown. `baseline`, `unit` and `control` are tab 4's choices, `covered` a photo's key
    and the mask painted on it. `drawn` names the tabs whose panels show this view, `kept` holds what single tabs
    remember of their own, by the tab's name.
    """

    photo: Photo
    choice: str = "teacher"
    tab: str = TABS[0]
    scale: str = SCALES[0]
    method: str = "gradcam"
    stage: int = 0
    place: tuple[float, float] | None = None
    alone: bool = False
    beside: bool = False
    baseline: str = BASELINES[0]
    unit: str = UNITS[0]
    control: str = CONTROLS[0]
    covered: tuple[str, str] = ("", "")
    drawn: frozenset[str] = frozenset()
    kept: Mapping[str, Any] = field(default_factory=dict)

    def change(self, **chosen: Any) -> "View":
        """The view after a choice: what was drawn is out of date."""
        return replace(self, drawn=frozenset(), **chosen)

    def shown(self, tab: str) -> "View":
        """The view once that tab's panels show it."""
        return replace(self, drawn=self.drawn | {tab})

    def opened(self, tab: str) -> "View":
        """The view with another tab in front; what was drawn still holds."""
        return replace(self, tab=tab)

    def walked(self, stage: int) -> "View":
        """The view at another stage: all stages are drawn already."""
        return replace(self, stage=stage)

    def at(self, place: tuple[float, float]) -> "View":
        """The view with another place taken apart: the maps stay."""
        return replace(self, place=place)

    @property
    def mask(self) -> str:
        """The mask painted on this very photo, or nothing."""
        key, mask = self.covered
        return mask if key == self.photo.key else ""

    def keeping(self, tab: str, choices: Any) -> "View":
        """The view with what a tab remembers of its own; what is drawn stays."""
        return replace(self, kept={**self.kept, tab: choices})


class Desk:
    """The loaded pair and the answers it gave lately; the only thing visitors share.

    Args:
        pair: the networks; never changed.
        examples: the pictures on offer.
        data: the dataset's root where the photos that the test set's answers belong to are at hand, or None.
        beside: a second pair to be shown beside the first, or None.
    """

    def __init__(
        self,
        pair: Pair,
        examples: tuple[Example, ...] = (),
        data: Path | None = None,
        *,
        beside: Pair | None = None,
    ) -> None:
        """An empty desk."""
        self.pair = pair
        self.data = data
        self.beside = None if beside is None else Desk(beside)
        self.examples = {example.name: example for example in examples}
        self._answers = Explanations(pair)

    @cached_property
    def stages(self) -> int:
        """How many stages both networks have."""
        return min(len(self.pair.networks[name].geometry(self.pair.sizes[name])) for name in BOTH)

    @cached_property
    def costs(self) -> dict[str, dict[str, int]]:
        """Parameters, multiply-adds and bytes of every network."""
        return {name: self.pair.costs(name) for name in self.pair.networks}

    @property
    def has_alone(self) -> bool:
        """Whether the same student, trained without the teacher, ships with the pair."""
        return "student-alone" in self.pair.networks

    def names(self, *, alone: bool = False) -> tuple[str, ...]:
        """The networks on show."""
        return (*BOTH, "student-alone") if alone and self.has_alone else BOTH

    def photo(self, source: str | Path | Image.Image, *, example: Example | None = None) -> Photo:
        """Open any file as a `Photo`. Raises FoodkdError with one clear sentence."""
        preprocessing, others = self.pair.preprocessing, [self.beside.pair.preprocessing] if self.beside else []
        picture = open_photo(source, shorter=max(each.enough for each in (preprocessing, *others)))
        left, top, right, bottom = preprocessing.crop_box(picture.width, picture.height)
        crop = (left / picture.width, top / picture.height, right / picture.width, bottom / picture.height)
        square = np.asarray(fitted(preprocessing.square(picture), SQUARE))
        preview = data_uri(fitted(picture, PREVIEW))
        small, *beside = (each.small(picture) for each in (preprocessing, *others))
        photo = Photo(small, square, preview, crop, example, beside=beside[0] if beside else None)
        if isinstance(source, Image.Image):
            return photo
        return replace(photo, name=plain_name(Path(source).stem), sha256=sha256(Path(source)))

    def example(self, name: str) -> Photo:
        """The example of that name. Raises FoodkdError naming those there are."""
        if name not in self.examples:
            raise FoodkdError(f"There is no example called '{name}'; choose one of {', '.join(self.examples)}.")
        return self.photo(self.examples[name].path, example=self.examples[name])

    def answer(self, photo: Photo, network: str) -> Explanation:
        """That network's pass over the photo: computed once, then kept while it is among the latest."""
        return self._answers.of(network, photo.small)

    def seen_beside(self, view: View) -> View:
        """The view as the second pair's desk shows it: its small picture and, where it knows it, the same class."""
        assert self.beside is not None and view.photo.beside is not None
        photo = replace(view.photo, small=view.photo.beside, beside=None)
        shown = self.pair.classes[self.class_index(view)]
        choice = shown if shown in self.beside.pair.classes else "teacher"
        return View(photo, choice=choice, tab=view.tab, scale=view.scale)

    def warm_up(self, network: str) -> None:
        """One pass that nobody sees: a network's first pass is slow, and its time would stand on the first screen."""
        side = self.pair.preprocessing.resolution
        Explanation.of(self.pair, network, np.zeros((side, side, 3), np.uint8))

    def best(self, photo: Photo, network: str) -> tuple[int, float]:
        """The network's first answer: class index and calibrated probability."""
        return self.answer(photo, network).top(1)[0]

    def name(self, class_index: int) -> str:
        """The class's name as people write it."""
        return readable(self.pair.classes[class_index])

    def class_index(self, view: View) -> int:
        """The class whose maps are drawn."""
        if view.choice in BOTH:
            return self.best(view.photo, view.choice)[0]
        return self.pair.classes.index(view.choice)

    def chosen(self, view: View, choice: str) -> View:
        """The view with another class. Raises FoodkdError for one that the pair doesn't know."""
        known = choice if choice in BOTH else self.pair.classes[find_class(self.pair.classes, choice)]
        return view.change(choice=known)

    def unsure(self, photo: Photo) -> bool:
        """Whether both networks' confidence is too low to name a dish."""
        return all(self.best(photo, name)[1] < UNSURE_BELOW for name in BOTH)

    def iam(self, view: View, network: str) -> ActivationMap:
        """The instance activation map of the view's class."""
        return self.answer(view.photo, network).iam(self.class_index(view))

    def layer(self, view: View, network: str, stage: int) -> ActivationMap:
        """The map of one stage by the view's method."""
        return self.answer(view.photo, network).layer(stage, view.method, self.class_index(view))

    def mismatched(self, activation_map: ActivationMap) -> Agreement | None:
        """What maps of unrelated photos reach: as shipped with the pair, else over the examples (IAM), else unknown."""
        shipped = shipped_agreement(self.pair, activation_map)
        return shipped or (self._over_examples if activation_map.kind == "iam" else None)

    @cached_property
    def _over_examples(self) -> Agreement | None:
        if len(self.examples) < 2:
            return None
        views = [View(self.example(name)) for name in self.examples]
        return agreement([self.iam(view, "teacher") for view in views], [self.iam(view, "student") for view in views])

    def opening(self) -> View:
        """The first screen: the first example, or an empty table where no examples ship."""
        if self.examples:
            return View(self.example(next(iter(self.examples))))
        return View(self.photo(Image.new("RGB", (256, 256), (214, 201, 180))))


def one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    """`value`, if it is allowed. Raises FoodkdError naming what is."""
    if value not in allowed:
        raise FoodkdError(f"'{value}' is no {what} of this app; choose one of {', '.join(allowed)}.")
    return value


def plain_name(name: str) -> str:
    """Any name as part of a file's name: letters, digits and dashes of ASCII, 40 at most."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9_]+", "-", letters).strip("-_")[:40].rstrip("-_") or "photo"


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture reduced (never enlarged) to fit a square of that side."""
    scale = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
