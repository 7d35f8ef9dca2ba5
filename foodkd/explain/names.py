"""Finding a class by the name a person types."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from foodkd.data.names import plain, readable
from foodkd.errors import FoodkdError


def find_class(classes: Sequence[str], name: str) -> int:
    """Index of a class by its name, however it is spelled (`foodkd.data.names.plain`).

    Args:
        classes: the pair's classes.
        name: for example "apple_pie" or "Apple pie".

    Raises:
        FoodkdError: unknown; the closest names are listed.
    """
    if name in classes:  # where two names differ in nothing but their spelling
        return list(classes).index(name)
    known = [plain(one) for one in classes]
    if plain(name) in known:
        return known.index(plain(name))
    near = difflib.get_close_matches(plain(name), known, n=3, cutoff=0.5)
    shown = [classes[known.index(found)] for found in near] or list(classes[:3])
    hint = "the closest names are" if near else f"its {len(classes)} classes begin with"
    raise FoodkdError(f"The pair knows no class '{name}'; {hint} {', '.join(shown)}.")


__all__ = ["find_class", "readable"]
