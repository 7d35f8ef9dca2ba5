"""What one visitor looks at, and what all visitors share.

A visitor's `View` (photo, class, tab, stage, method, scale) is an immutable value kept in a `gr.State`; the loaded pair
and a bounded store of explanations, keyed by the photo's content, live in the one `Desk`. Nothing else lasts.
"""

import io
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

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
from foodkd.nets import Pair

TABS = ("compare", "iam", "layers", "faithfulness")
BOTH = ("teacher", "student")
SCALES = ("shared", "own")
METHODS = {name: METHOD_TITLES[name] for name in ("mean", "gradcam", "layercam", "eigencam")}
SQUARE = 448  # side, in pixels, of the square that maps are drawn on: sharp at 1280 px, small over a phone's connection
PREVIEW = 640  # longest side of the original as shown
UNSURE_BELOW = 0.35  # both networks' calibrated confidence below this: "not sure". A choice, not a measured optimum.
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
    holding the whole photo, `crop` the square's left, top, right, bottom as fractions of it.
    """

    small: np.ndarray
    square: np.ndarray
    preview: str
    crop: tuple[float, float, float, float]
    width: int
    height: int
    example: Example | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Photo":
        """Itself: a Photo never changes, so sessions may share the opening one."""
        return self


@dataclass(frozen=True)
class View:
    """Everything a visitor has chosen. `choice` is "teacher", "student" (their answer) or a class name.

    `place` is the clicked point as fractions (x, y) of the square; `drawn` names the tabs whose panels show this view.
    """

    photo: Photo
    choice: str = "teacher"
    tab: str = TABS[0]
    scale: str = SCALES[0]
    method: str = "gradcam"
    stage: int = 0
    place: tuple[float, float] | None = None
    alone: bool = False
    drawn: frozenset[str] = frozenset()

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
    def query(self) -> str:
        """The query string that restores this view; a visitor's own photo is never part of it."""
        parts = {
            "example": self.photo.example.name if self.photo.example else "",
            "class": "" if self.choice == "teacher" else self.choice,
            "tab": "" if self.tab == TABS[0] else self.tab,
            "scale": "" if self.scale == SCALES[0] else self.scale,
            "method": "" if self.method == "gradcam" else self.method,
            "stage": str(self.stage + 1) if self.stage else "",
        }
        return urlencode({name: value for name, value in parts.items() if value})


class Desk:
    """The loaded pair and the answers it gave lately; the only thing visitors share.

    Args:
        pair: the networks; never changed.
        examples: the pictures on offer.
    """

    def __init__(self, pair: Pair, examples: tuple[Example, ...] = ()) -> None:
        """An empty desk."""
        self.pair = pair
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
        picture = open_photo(source)
        preprocessing = self.pair.preprocessing
        left, top, right, bottom = preprocessing.crop_box(picture.width, picture.height)
        crop = (left / picture.width, top / picture.height, right / picture.width, bottom / picture.height)
        square = np.asarray(fitted(preprocessing.square(picture), SQUARE))
        preview = data_uri(fitted(picture, PREVIEW))
        return Photo(preprocessing.small(picture), square, preview, crop, picture.width, picture.height, example)

    def example(self, name: str) -> Photo:
        """The example of that name. Raises FoodkdError naming those there are."""
        if name not in self.examples:
            raise FoodkdError(f"There is no example called '{name}'; choose one of {', '.join(self.examples)}.")
        return self.photo(self.examples[name].path, example=self.examples[name])

    def answer(self, photo: Photo, network: str) -> Explanation:
        """That network's pass over the photo: computed once, then kept while it is among the latest."""
        return self._answers.of(network, photo.small)

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
        return find_class(self.pair.classes, view.choice)

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

    def restore(self, query: Mapping[str, str], opening: View) -> tuple[View, list[str]]:
        """The view that a link asks for, and a sentence for each part of it that can't be had."""
        view, refused = opening, []
        for name in ("example", "class", "tab", "scale", "method", "stage"):
            if not query.get(name):
                continue
            try:
                view = self._restored(view, name, query[name])
            except FoodkdError as error:
                refused.append(str(error))
        return view, refused

    def _restored(self, view: View, name: str, value: str) -> View:
        if name == "example":
            return view.change(photo=self.example(value))
        if name == "class":
            return self.chosen(view, value)
        if name == "stage":
            numbers = tuple(str(number) for number in range(1, self.stages + 1))
            return view.change(stage=int(one_of(value, numbers, "stage")) - 1)
        allowed = {"tab": TABS, "scale": SCALES, "method": tuple(METHODS)}[name]
        return view.change(**{name: one_of(value, allowed, name)})


def one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    """`value`, if it is allowed. Raises FoodkdError naming what is."""
    if value not in allowed:
        raise FoodkdError(f"'{value}' is no {what} of this app; choose one of {', '.join(allowed)}.")
    return value


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture reduced (never enlarged) to fit a square of that side."""
    scale = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def data_uri(picture: Image.Image | np.ndarray, *, exact: bool = False) -> str:
    """The picture inside a URL, so that it leaves no file on the server: JPEG, or PNG where each pixel counts."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    if exact:
        image.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{b64encode(buffer.getvalue()).decode('ascii')}"
