"""Names of dishes: as people read them, and when two of them are one."""

from __future__ import annotations

import unicodedata


def readable(name: str) -> str:
    """A class's name for people: `apple_pie` -> `apple pie`."""
    return name.replace("_", " ")


def plain(name: str) -> str:
    """What names that differ only in spelling have in common: `Apple-Pie ` -> `apple pie`.

    Case, spaces, underscores and hyphens make no difference, nor whether an accent is a character of its own, as file
    names of macOS have it.
    """
    return " ".join(unicodedata.normalize("NFC", readable(name).replace("-", " ")).split()).casefold()
