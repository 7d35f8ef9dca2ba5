"""What the sixth tab stands on: the answers beside the pair, the photos behind them, and a visitor's choices."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain.answers import FILE, Answers, Selection
from foodkd.ui.session import Desk, data_uri, fitted
from foodkd.ui.testset_uploads import Tray

NAME = "testset"
PARTS = {"set": "The test set", "own": "My photos"}
PAGE = 24  # photos shown at a time
THUMB = 72  # side of a small picture in a list, pixels
SETS = {"food101": "Food-101", "uecfood256": "UECFOOD-256", "generated": "generated pictures"}


@dataclass(frozen=True)
class Choices:
    """What a visitor chose on this tab. `sort` is a column of the classes, `tray` holds their own photos."""

    part: str = "set"
    selection: Selection = field(default_factory=Selection)
    sort: str = "class"
    falling: bool = False
    page: int = 0
    own_page: int = 0
    tray: Tray | None = None


class Shelf:
    """The answers that lie beside the pair: read once, when somebody first looks, and shared by all.

    Args:
        desk: the pair, and where the photos are.
    """

    def __init__(self, desk: Desk) -> None:
        """Nothing is read yet."""
        self.desk = desk
        self._answers: Answers | None = None
        self._lock = threading.Lock()

    @property
    def path(self) -> Path | None:
        """Where the answers lie or would lie; None for a pair that came from no folder."""
        return None if self.desk.pair.path is None else self.desk.pair.path / FILE

    def answers(self) -> Answers | None:
        """The answers, or None where there are none. Raises FoodkdError for a file that is none of this pair's."""
        with self._lock:
            if self._answers is None and self.path is not None and self.path.is_file():
                answers = Answers.load(self.path)
                answers.insist_on(self.desk.pair)
                self._answers = answers
            return self._answers

    def photo(self, row: int) -> Path | None:
        """The file of the photo at a position of the answers, where the visitor has it."""
        answers = self.answers()
        if answers is None or self.desk.data is None or not 0 <= row < len(answers):
            return None
        return photo_file(self.desk.data, answers.dataset, answers.ids[row])

    def thumbnail(self, row: int) -> str | None:
        """The photo's centre square, small, as a URL; None where it isn't there or can't be read."""
        path = self.photo(row)
        try:
            return None if path is None else thumbnail(open_photo(path, shorter=THUMB), self.desk)
        except FoodkdError:
            return None


def thumbnail(picture: Image.Image, desk: Desk) -> str:
    """A picture's centre square, THUMB pixels wide, inside a URL."""
    return data_uri(fitted(desk.pair.preprocessing.square(picture), THUMB))


def photo_file(root: Path, dataset: str, name: str) -> Path | None:
    """The file of the photo called `name` below a dataset's root; None where there is none, or none within it."""
    for folder, ending in _PLACES.get(dataset, ()):
        try:
            inside = (root / folder).resolve()
            path = (inside / f"{name}{ending}").resolve()
            if path.is_relative_to(inside) and path.is_file():
                return path
        except (OSError, ValueError):  # a name that no file can have
            continue
    return None


# A dataset -> below which folders of its root its photos lie, and how their files end.
_PLACES = {"food101": (("food-101/images", ".jpg"), ("images", ".jpg")), "folder": (("", ""), ("test", ""))}
