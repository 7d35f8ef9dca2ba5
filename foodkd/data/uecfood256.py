"""UECFood-256, being written."""

from __future__ import annotations

from pathlib import Path

from foodkd.data.listing import Part
from foodkd.errors import FoodkdError


def uecfood256(root: Path, split: str, *, holdout: float, seed: int) -> list[Part]:
    """Not there yet."""
    raise FoodkdError("UECFood-256 is not readable yet.")
