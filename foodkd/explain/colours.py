"""Colour maps: perceptually even, readable with any kind of colour vision, cheap to apply.

Sequential ones are matplotlib's (viridis, cividis, inferno, magma), taken from OpenCV's tables. The diverging one is
made here in OKLab (Ottosson 2020): lightness falls linearly from the middle to both ends, blue one way and orange the
other, the pair of hues that every common colour deficiency keeps apart.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from foodkd.errors import FoodkdError

SEQUENTIAL: tuple[str, ...] = ("inferno", "viridis", "cividis", "magma")
DIVERGING: tuple[str, ...] = ("blue-orange",)
_ENDS = {"blue": (0.55, 0.175, 256.0), "orange": (0.55, 0.175, 42.0)}  # OKLCH: lightness, chroma, hue in degrees
_MIDDLE = 0.965  # lightness

# OKLab to LMS' and LMS to linear sRGB: https://bottosson.github.io/posts/oklab
_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@functools.cache
def colour_table(name: str) -> np.ndarray:
    """A colour map as (256, 3) uint8 RGB, read-only, from its low to its high end.

    Raises:
        FoodkdError: unknown name.
    """
    table = _table(name)
    table.setflags(write=False)
    return table


def _table(name: str) -> np.ndarray:
    if name in SEQUENTIAL:
        code = getattr(cv2, f"COLORMAP_{name.upper()}")
        table: np.ndarray = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code)[:, 0, ::-1]
        return np.ascontiguousarray(table)
    if name in DIVERGING:
        low, high = (_arm(*_ENDS[end]) for end in name.split("-"))
        return np.concatenate([low[::-1], high])
    raise FoodkdError(f"There is no colour map '{name}'; there are {', '.join((*SEQUENTIAL, *DIVERGING))}.")


def _arm(lightness: float, chroma: float, hue: float) -> np.ndarray:
    """From the middle to one end, (128, 3) uint8."""
    part = np.linspace(0.5 / 127.5, 1, 128)
    # Chroma follows a sine: it peaks before the dark end, where the screen has no more of it to give.
    colour = chroma * np.sin(part * np.pi / 2)
    angle = np.deg2rad(hue)
    lab = np.stack([_MIDDLE + (lightness - _MIDDLE) * part, colour * np.cos(angle), colour * np.sin(angle)], axis=1)
    linear = ((lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((encoded * 255).round(), np.uint8)


__all__ = ["DIVERGING", "SEQUENTIAL", "colour_table"]
