"""Pictures of maps: on the photo, on one scale or each on its own (and the picture says which), with a bar of numbers.

Every cell is placed where it lies in the photo, by (start, step): stretching a grid to the photo's size would shift the
two networks' maps against each other. All pictures are uint8 (h, w, 3) RGB.

Example:
    scale = shared_scale([teacher_map, student_map])
    tiles = [captioned(overlay(photo, m, scale=scale), m.title, scale=scale) for m in (teacher_map, student_map)]
    picture = sheet(tiles, columns=2, title="Where they look: apple pie")
"""

from __future__ import annotations

import functools
import io
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from PIL import Image

from foodkd.errors import FoodkdError
from foodkd.explain.colours import colour_table
from foodkd.explain.compare import MapComparison, axis_weights
from foodkd.explain.maps import ActivationMap
from foodkd.explain.text import write

PICTURE_SIDE = 384  # of a drawn photo, unless told otherwise
_INK, _PAPER, _QUIET = (28, 28, 30), (255, 255, 255), (104, 104, 110)


@dataclass(frozen=True)
class Scale:
    """Which values the ends of a colour map stand for.

    Attributes:
        low: value at the low end.
        high: value at the high end.
        label: for the picture: "shared scale" or "own scale", and the unit where there is one.
        diverging: zero is the middle, and the colours part there.
        shared: several maps are drawn on it, so their colours can be compared.
        ends: words for the two ends, or empty.
    """

    low: float
    high: float
    label: str
    diverging: bool = False
    shared: bool = False
    ends: tuple[str, str] | tuple[()] = ()

    def fraction(self, values: np.ndarray) -> np.ndarray:
        """Values -> 0..1 along the colour map, clipped; an empty range gives its middle (diverging) or its low end."""
        width = self.high - self.low
        if not width > 0:
            return np.full(np.shape(values), 0.5 if self.diverging else 0.0)
        return np.clip((values - self.low) / width, 0.0, 1.0)

    @property
    def colormap(self) -> str:
        """The colour map it is drawn with unless another is asked for."""
        return "blue-orange" if self.diverging else "inferno"


def own_scale(activation_map: ActivationMap, *, signed: bool | None = None) -> Scale:
    """A map's own scale: its strongest place gets the full colour. Not comparable with another map's picture.

    Args:
        activation_map: the map.
        signed: True for a diverging scale around zero, False for positive values only; by default as the map has it.
    """
    return _scale([activation_map], signed, shared=False)


def shared_scale(activation_maps: Sequence[ActivationMap], *, signed: bool | None = None) -> Scale:
    """One scale for several maps, so that equal colours mean equal values.

    Args:
        activation_maps: the maps drawn side by side.
        signed: as in `own_scale`.
    """
    if not activation_maps:
        raise FoodkdError("A shared scale needs at least one map.")
    return _scale(activation_maps, signed, shared=True)


def _scale(maps: Sequence[ActivationMap], signed: bool | None, *, shared: bool) -> Scale:
    lows, highs = zip(*(one.value_range for one in maps), strict=True)
    diverging = min(lows) < 0 if signed is None else signed
    largest = max(abs(min(lows)), abs(max(highs)))
    label = "shared scale" if shared else "own scale"
    label += ", in logits" if all(one.kind == "iam" for one in maps) else ""
    if diverging:
        return Scale(-largest, largest, label, diverging=True, shared=shared, ends=_ends(maps))
    return Scale(0.0, max(0.0, max(highs)), label, shared=shared)


def _ends(maps: Sequence[ActivationMap]) -> tuple[str, str]:
    return ("against", "for") if all(one.kind == "iam" for one in maps) else ("below zero", "above zero")


def difference_scale(comparison: MapComparison) -> Scale:
    """The scale of a signed difference: symmetrical around "alike"."""
    largest = float(np.abs(comparison.difference).max())
    first, second = comparison.names
    label = "each map at its own scale"
    return Scale(-largest, largest, label, diverging=True, ends=(f"more {second}", f"more {first}"))


def overlay(
    photo: np.ndarray,
    activation_map: ActivationMap,
    *,
    scale: Scale | None = None,
    colormap: str | None = None,
    opacity: float = 0.7,
    side: int | None = None,
    smooth: bool = True,
    cells: bool = False,
    mark: tuple[int, int] | None = None,
) -> np.ndarray:
    """A map over its photo. The photo's colours are muted under it, and places without value stay clear.

    Args:
        photo: the square the networks see, uint8 (h, h, 3), at any resolution.
        activation_map: the map.
        scale: from `own_scale` or `shared_scale`; by default the map's own.
        colormap: a name in `colours`; by default inferno, or blue-orange on a diverging scale.
        opacity: 0..1, of the strongest places.
        side: of the picture in pixels; by default the photo's own, at least `PICTURE_SIDE`.
        smooth: False shows every cell as the flat patch that it is.
        cells: draw the borders between cells.
        mark: outline this cell (row, column).

    Returns:
        uint8 (side, side, 3).
    """
    scale = scale or own_scale(activation_map)
    picture = canvas(photo, side)
    form = "cubic" if smooth else "nearest"
    place = activation_map.start, activation_map.step, activation_map.size
    picture = _blend(picture, _placed(activation_map.values, *place, len(picture), form), scale, colormap, opacity)
    if cells:
        picture = _with_cells(picture, activation_map)
    return _with_mark(picture, activation_map, mark) if mark is not None else picture


def heatmap(
    activation_map: ActivationMap, *, scale: Scale | None = None, colormap: str | None = None, side: int = PICTURE_SIDE,
    smooth: bool = True,
) -> np.ndarray:  # fmt: skip
    """A map alone, without its photo, (side, side, 3)."""
    scale = scale or own_scale(activation_map)
    place = activation_map.start, activation_map.step, activation_map.size
    values = _placed(activation_map.values, *place, side, "cubic" if smooth else "nearest")
    return colour_table(colormap or scale.colormap)[_steps(scale.fraction(values))]


def difference(
    photo: np.ndarray, comparison: MapComparison, *, scale: Scale | None = None, opacity: float = 0.85,
    side: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Where the first network looks more (orange) and where the second does (blue), over the photo."""
    picture = canvas(photo, side)
    values = _placed(comparison.difference, 0.0, 1.0, comparison.side, len(picture), "linear")
    return _blend(picture, values, scale or difference_scale(comparison), None, opacity)


def canvas(photo: np.ndarray, side: int | None = None) -> np.ndarray:
    """A square photo at the side of the picture, enlarged or reduced smoothly.

    Raises:
        FoodkdError: not a square uint8 RGB array.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.shape[0] != photo.shape[1] or photo.dtype != np.uint8:
        found = f"{photo.dtype} {photo.shape}; use preprocessing.square"
        raise FoodkdError(f"A photo to draw on must be a square, uint8 (h, h, 3), not {found}.")
    side = side or max(PICTURE_SIDE, len(photo))
    way = cv2.INTER_AREA if side < len(photo) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(photo), (side, side), interpolation=way))


def seen(small: np.ndarray, *, side: int = PICTURE_SIDE) -> np.ndarray:
    """The small picture that the networks really see, uint8 (R, R, 3), enlarged with its pixels visible."""
    return np.asarray(cv2.resize(np.ascontiguousarray(small), (side, side), interpolation=cv2.INTER_NEAREST))


def colour_bar(scale: Scale, *, width: int = PICTURE_SIDE, colormap: str | None = None) -> np.ndarray:
    """A bar of the scale's colours with its numbers and what it is, (46 at the default width, width, 3), on white."""
    unit = _unit(width)
    picture = np.full((round(3.3 * unit), width, 3), _PAPER, np.uint8)
    table = colour_table(colormap or scale.colormap)
    picture[: round(0.8 * unit)] = table[_steps(np.linspace(0, 1, width))]
    middle = (scale.low + scale.high) / 2
    y = 1.45 * unit
    for value, x, align in ((scale.low, 0, "left"), (middle, width / 2, "middle"), (scale.high, width, "right")):
        picture = write(picture, number(value), x, y, height=unit, colour=_INK, align=align)
    y, small = 2.7 * unit, round(0.9 * unit)
    for word, x, align in zip(scale.ends, (0, width), ("left", "right"), strict=False):
        picture = write(picture, word, x, y, height=small, colour=_QUIET, align=align, width=width / 4)
    room = width / 2.1 if scale.ends else width
    return write(picture, scale.label, width / 2, y, height=small, colour=_QUIET, align="middle", width=room)


def captioned(
    picture: np.ndarray, title: str, note: str = "", *, scale: Scale | None = None, colormap: str | None = None
) -> np.ndarray:
    """A tile: title and note above a picture, the bar of its scale below, on white."""
    width = picture.shape[1]
    unit = _unit(width)
    head = np.full((round((3.3 if note else 2.0) * unit), width, 3), _PAPER, np.uint8)
    head = write(head, title, 0, 0.8 * unit, height=round(1.25 * unit), colour=_INK)
    if note:
        head = write(head, note, 0, 2.3 * unit, height=unit, colour=_QUIET)
    if scale is None:
        return np.concatenate([head, picture])
    gap = np.full((round(0.5 * unit), width, 3), _PAPER, np.uint8)
    return np.concatenate([head, picture, gap, colour_bar(scale, width=width, colormap=colormap)])


def sheet(tiles: Sequence[np.ndarray], *, columns: int, title: str = "", gap: int | None = None) -> np.ndarray:
    """Tiles in rows on white, all rows as high as their highest tile, under one title.

    Args:
        tiles: uint8 (h, w, 3), any heights.
        columns: tiles per row.
        title: above all.
        gap: white space between and around, pixels.
    """
    if not tiles:
        raise FoodkdError("A sheet needs at least one tile.")
    width = max(tile.shape[1] for tile in tiles)
    unit = _unit(width)
    gap = round(1.6 * unit) if gap is None else gap
    rows = [_row(tiles[index : index + columns], columns, width, gap) for index in range(0, len(tiles), columns)]
    body = np.concatenate([np.full((gap, rows[0].shape[1], 3), _PAPER, np.uint8), *rows])
    if not title:
        return body
    head = np.full((gap + 2 * unit, body.shape[1], 3), _PAPER, np.uint8)
    head = write(head, title, gap, gap + unit, height=round(1.6 * unit), colour=_INK, width=body.shape[1] - 2 * gap)
    return np.concatenate([head, body])


def number(value: float) -> str:
    """A number for a colour bar: three significant digits, no exponent where it can be avoided."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    value = float(f"{value:.3g}")  # 0.9999 is 1.00, not 1.000
    if not 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def data_uri(picture: Image.Image | np.ndarray, *, exact: bool = False) -> str:
    """The picture inside a URL, so that it needs no file: JPEG, or PNG where each pixel counts."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    if exact:
        image.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def _row(tiles: Sequence[np.ndarray], columns: int, width: int, gap: int) -> np.ndarray:
    height = max(tile.shape[0] for tile in tiles)
    row = np.full((height + gap, gap + columns * (width + gap), 3), _PAPER, np.uint8)
    for index, tile in enumerate(tiles):
        left = gap + index * (width + gap)
        row[: tile.shape[0], left : left + tile.shape[1]] = tile
    return row


def _placed(values: np.ndarray, start: float, step: float, size: int, side: int, form: str) -> np.ndarray:
    """Cells to pixels, in image coordinates; a cubic's overshoot never leaves the range of the values."""
    down, across = (_weights(count, start, step, size, side, form) for count in values.shape)
    # numpy's own threads would go on waiting for more at full speed, and slow the networks' down meanwhile.
    first, cells, second = (torch.from_numpy(part) for part in (down, values.astype(np.float32), across))
    placed = (first @ cells @ second.T).numpy()
    return np.clip(placed, values.min(), values.max())


@functools.lru_cache(maxsize=64)
def _weights(count: int, start: float, step: float, size: int, side: int, form: str) -> np.ndarray:
    """`axis_weights`, remembered: every map of a stage lies alike."""
    return axis_weights(count, start, step, size, side, form=form).astype(np.float32)


def _blend(picture: np.ndarray, values: np.ndarray, scale: Scale, colormap: str | None, opacity: float) -> np.ndarray:
    if not 0 <= opacity <= 1:
        raise FoodkdError(f"The opacity must be from 0 to 1, not {opacity}.")
    tint, stays = _covers(colormap or scale.colormap, scale.diverging, opacity)
    steps = cv2.cvtColor(_steps(scale.fraction(values)), cv2.COLOR_GRAY2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    muting = 0.85 * min(1.0, 1.4 * opacity)
    muted = cv2.addWeighted(picture, 1 - muting, grey, muting, 0, dtype=cv2.CV_32F)
    left = cv2.multiply(muted, cv2.LUT(steps, stays))
    return np.asarray(cv2.add(left, cv2.LUT(steps, tint), dtype=cv2.CV_8U))


@functools.lru_cache(maxsize=16)
def _covers(colormap: str, diverging: bool, opacity: float) -> tuple[np.ndarray, np.ndarray]:
    """For each of a colour map's 256 steps, what it adds to a pixel and how much of the pixel stays: (256, 1, 3)."""
    fraction = np.linspace(0, 1, 256, dtype=np.float32)
    strength = np.abs(2 * fraction - 1) if diverging else fraction
    cover = (opacity * (0.3 + 0.7 * _eased(strength)))[:, None]
    tint = colour_table(colormap).astype(np.float32) * cover
    stays = np.broadcast_to(1 - cover, tint.shape).astype(np.float32)
    return tint[:, None], stays[:, None]


def _eased(strength: np.ndarray) -> np.ndarray:
    """0..1 -> 0..1, rising early: middling values must be seen, too."""
    return strength**0.7


def _steps(fraction: np.ndarray) -> np.ndarray:
    return np.asarray((fraction * 255).round(), np.uint8)


def _borders(count: int, activation_map: ActivationMap, side: int) -> np.ndarray:
    """Pixels of the picture where cells meet, the outer borders included: (count + 1,), clipped to the picture."""
    edges = (activation_map.start + activation_map.step * (np.arange(count + 1) - 0.5) + 0.5) / activation_map.size
    edges[0], edges[-1] = 0.0, 1.0  # beyond the outermost cells the nearest one holds
    return np.clip(edges * side, 0, side)


def _with_cells(picture: np.ndarray, activation_map: ActivationMap) -> np.ndarray:
    lines = picture.copy()
    side = len(picture)
    height, width = activation_map.grid
    for y in _borders(height, activation_map, side)[1:-1]:
        cv2.line(lines, (0, round(y)), (side, round(y)), _PAPER, 1)
    for x in _borders(width, activation_map, side)[1:-1]:
        cv2.line(lines, (round(x), 0), (round(x), side), _PAPER, 1)
    return np.asarray(cv2.addWeighted(lines, 0.4, picture, 0.6, 0))


def _with_mark(picture: np.ndarray, activation_map: ActivationMap, cell: tuple[int, int]) -> np.ndarray:
    """Outline one cell, light inside dark, so that it shows on any colour."""
    rows, columns = (_borders(count, activation_map, len(picture)) for count in activation_map.grid)
    first, second = ((round(columns[cell[1] + end]), round(rows[cell[0] + end])) for end in (0, 1))
    unit = max(2, len(picture) // 160)
    picture = picture.copy()
    cv2.rectangle(picture, first, second, _INK, 2 * unit)
    cv2.rectangle(picture, first, second, _PAPER, unit)
    return picture


def _unit(width: int) -> int:
    """Height of small type for a picture this wide: legible, and no more than the picture has room for."""
    return int(np.clip(width // 27, 9, 40))


__all__ = [
    "PICTURE_SIDE",
    "Scale",
    "canvas",
    "captioned",
    "colour_bar",
    "data_uri",
    "difference",
    "difference_scale",
    "heatmap",
    "number",
    "overlay",
    "own_scale",
    "seen",
    "shared_scale",
    "sheet",
]
