"""What pictures, arrays and reports are about: one photo in the networks, for one class; and how its maps are drawn."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from foodkd.data import open_photo
from foodkd.explain import render
from foodkd.explain.compare import Agreement, shipped_agreement
from foodkd.explain.maps import ActivationMap, Explanation
from foodkd.explain.names import find_class, readable
from foodkd.files import sha256

if TYPE_CHECKING:
    from foodkd.nets import Pair

NETWORKS = ("teacher", "student")


@dataclass(frozen=True, eq=False)
class Subject:
    """One photo in the networks, for one class: what pictures, arrays and reports are about.

    Attributes:
        pair: the networks.
        explanations: one per network shown; teacher and student first.
        class_index: the class explained.
        small: uint8 (R, R, 3), what the networks see.
        square: uint8 (h, h, 3), what maps are drawn on.
        name: what the photo is called, without a folder.
        facts: what else is known of the photo's file, for the manifest.
        mismatched: what maps of unrelated photos reach, by kind and method as in the manifest's rows, where the pair
            doesn't ship it.
    """

    pair: Pair
    explanations: tuple[Explanation, ...]
    class_index: int
    small: np.ndarray
    square: np.ndarray
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    mismatched: Mapping[str, Agreement] = field(default_factory=dict)

    @classmethod
    def of(cls, pair: Pair, photo_path: Path, class_name: str | None) -> Subject:
        """A photo on disk; without a class, the teacher's answer. Raises FoodkdError: no photo, or no such class."""
        wanted = find_class(pair.classes, class_name) if class_name is not None else None
        photo = open_photo(photo_path, shorter=pair.preprocessing.enough)
        small = pair.preprocessing.small(photo)
        both = tuple(Explanation.of(pair, name, small) for name in NETWORKS)
        label = wanted if wanted is not None else both[0].top(1)[0][0]
        left, upper, right, lower = pair.preprocessing.crop_box(*photo.size)
        crop = [left / photo.width, upper / photo.height, right / photo.width, lower / photo.height]
        facts = {"sha256": sha256(photo_path), "crop": crop}
        square = np.asarray(pair.preprocessing.square(photo))
        return cls(pair, both, label, small, square, photo_path.name, facts)

    @property
    def dish(self) -> str:
        """The class's name for people."""
        return readable(self.pair.classes[self.class_index])

    @cached_property
    def iams(self) -> tuple[ActivationMap, ...]:
        """The instance activation map of every network."""
        return tuple(explanation.iam(self.class_index) for explanation in self.explanations)

    @property
    def stages(self) -> int:
        """How many stages all networks have."""
        return min(len(explanation.stages) for explanation in self.explanations)

    def layers(self, stage: int, method: str) -> tuple[ActivationMap, ...]:
        """Teacher's and student's map of one stage."""
        return tuple(one.layer(stage, method, self.class_index) for one in self.explanations[: len(NETWORKS)])

    def unrelated(self, one: ActivationMap) -> Agreement | None:
        """What maps of this kind reach on unrelated photos, if it was ever measured."""
        return shipped_agreement(self.pair, one) or self.mismatched.get(one.kind)


@dataclass(frozen=True)
class Drawing:
    """How maps are drawn.

    Attributes:
        iam_scale: of instance activation maps, "shared" by all networks or each its "own".
        layer_scale: of layer maps; two networks' activations have no common unit.
        signed: as of `render.own_scale`: False leaves evidence against the class uncoloured.
        side: of the pictures, pixels.
        singles: save every map's picture by itself too, not only the sheets.
    """

    iam_scale: str = "shared"
    layer_scale: str = "own"
    signed: bool | None = None
    side: int = render.PICTURE_SIDE
    singles: bool = True

    def scale(self, one: ActivationMap, together: Sequence[ActivationMap]) -> render.Scale:
        """The scale of one map among those drawn beside it."""
        if (self.iam_scale if one.kind == "iam" else self.layer_scale) == "own":
            return render.own_scale(one, signed=self.signed)
        return render.shared_scale(together, signed=self.signed)


def versions() -> dict[str, str]:
    """What the numbers may depend on besides the weights."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}


def weights_hashes(pair: Pair) -> dict[str, str]:
    """SHA-256 of each network's weight file; empty for a pair that was never saved."""
    described = pair.info.get("networks", {})
    return {name: row["sha256"] for name, row in described.items() if "sha256" in row}
