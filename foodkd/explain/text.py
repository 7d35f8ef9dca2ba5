"""Words in pictures: sharp at any size, cut to the room there is."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(picture: np.ndarray, text: str, x: float, y: float, *, height: int, colour: tuple[int, int, int],
          align: str = "left", width: float | None = None) -> np.ndarray:  # fmt: skip
    """A copy of a picture with one line of text.

    Args:
        picture: uint8 (h, w, 3).
        text: cut with an ellipsis where it does not fit.
        x: left edge, middle or right edge of the line in pixels, as `align` says.
        y: middle of the line.
        height: of the type, pixels.
        colour: RGB.
        align: "left", "middle" or "right".
        width: room in pixels; by default to the edge of the picture.
    """
    image = Image.fromarray(picture)
    font = font_for(text, height)
    text = _fitting(text, font, width if width is not None else picture.shape[1])
    anchor = {"left": "lm", "middle": "mm", "right": "rm"}[align]
    ImageDraw.Draw(image).text((x, y), text, fill=colour, font=font, anchor=anchor)
    return np.asarray(image)


def font_for(text: str, height: int) -> Font:
    """Pillow's own typeface for plain letters; DejaVu, which comes with matplotlib, for any others."""
    plain = all(ord(letter) <= 126 or letter in "±·" for letter in text)
    return _font(None if plain else _dejavu(), height)


@functools.lru_cache(maxsize=32)
def _font(file: Path | None, height: int) -> Font:
    return ImageFont.load_default(size=height) if file is None else ImageFont.truetype(str(file), height)


def _dejavu() -> Path | None:
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return file
    return None


def _fitting(text: str, font: Font, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


__all__ = ["font_for", "write"]
