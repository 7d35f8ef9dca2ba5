"""Finding a class by the name a person types."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from foodkd.errors import FoodkdError


def find_class(classes: Sequence[str], name: str) -> int:
    """Index of a class by its name: spaces or underscores, any case.

    Args:
        classes: the pair's classes.
        name: for example "apple_pie" or "Apple pie".

    Raises:
        FoodkdError: unknown; the closest names are listed.
    """
    plain = [_plain(known) for known in classes]
    if _plain(name) in plain:
        return plain.index(_plain(name))
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    shown = [classes[plain.index(found)] for found in near] or list(classes[:3])
    hint = "the closest names are" if near else f"its {len(classes)} classes begin with"
    raise FoodkdError(f"The pair knows no class '{name}'; {hint} {', '.join(shown)}.")


def readable(name: str) -> str:
    """A class's name for people: `apple_pie` -> `apple pie`."""
    return name.replace("_", " ")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


__all__ = ["find_class", "readable"]
