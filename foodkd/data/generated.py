"""Pictures made on the spot: coloured shapes on plates, for tests and the smoke recipe. No file, no download.

A class is a shape with a colour of its own; place, size, turn, light and background vary, so a small network
learns the classes within seconds yet has something to learn.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from foodkd.data.sampling import stream
from foodkd.errors import FoodkdError

SHAPES = ("disc", "square", "triangle", "ring", "star", "cross", "bar", "half")
_SCALE = 4  # drawn this much larger, then reduced: smooth edges
_SPLIT_KEYS = {"train": 0, "validation": 1, "test": 2}
_SPLIT_SHARES = {"train": 1.0, "validation": 0.25, "test": 0.5}


def class_names(classes: int) -> tuple[str, ...]:
    """Names of the first classes: "disc_0", "square_1", ...; shape and colour differ from class to class."""
    if not 2 <= classes <= 64:
        raise FoodkdError(f"Generated pictures have 2 to 64 classes, not {classes}.")
    return tuple(f"{SHAPES[k % len(SHAPES)]}_{k}" for k in range(classes))


def generated(
    split: str, *, resolution: int, seed: int, classes: int = 4, per_class: int = 24
) -> tuple[tuple[str, ...], list[str], np.ndarray, np.ndarray]:
    """Class names, ids (N,), labels int64 (N,) and pictures uint8 (N, R, R, 3) of a split.

    "train" has `per_class` pictures of each class, "validation" a quarter and "test" half as many, never the same.
    """
    names = class_names(classes)
    if per_class < 1:
        raise FoodkdError(f"Generated pictures need 1 or more per class, not {per_class}.")
    splits = list(_SPLIT_KEYS) if split == "all" else [split]
    ids, labels, pictures = [], [], []
    for part in splits:
        for label in range(classes):
            for number in range(max(1, round(per_class * _SPLIT_SHARES[part]))):
                ids.append(f"{names[label]}/{part}-{number}")
                labels.append(label)
                pictures.append(_picture(label, classes, resolution, (seed, _SPLIT_KEYS[part], label, number)))
    return names, ids, np.array(labels, dtype=np.int64), np.stack(pictures)


def _picture(label: int, classes: int, resolution: int, key: tuple[int, ...]) -> np.ndarray:
    """One picture, uint8 (R, R, 3)."""
    random = stream("generated", *key)
    side = resolution * _SCALE
    table = tuple(int(v) for v in random.integers(40, 120, 3))
    image = Image.new("RGB", (side, side), table)
    draw = ImageDraw.Draw(image)
    x, y = random.uniform(0.35, 0.65, 2) * side
    radius = random.uniform(0.16, 0.26) * side
    plate = int(random.integers(200, 246))
    draw.ellipse([x - 1.7 * radius, y - 1.7 * radius, x + 1.7 * radius, y + 1.7 * radius], fill=(plate, plate, plate))
    hue = (label / classes + random.uniform(-0.2, 0.2) / classes) % 1.0
    colour = tuple(int(255 * v) for v in colorsys.hsv_to_rgb(hue, random.uniform(0.7, 1), random.uniform(0.6, 1)))
    _shape(image, SHAPES[label % len(SHAPES)], (x, y), radius, random.uniform(0, 360), colour)
    return _photographed(image, resolution, random)


def _shape(
    image: Image.Image, shape: str, centre: tuple[float, float], radius: float, turn: float, colour: tuple[int, ...]
) -> None:
    """Draw one shape, turned, onto the picture."""
    side = 2 * math.ceil(radius)
    mask = Image.new("L", (side, side), 0)
    _draw_mask(ImageDraw.Draw(mask), shape, side)
    mask = mask.rotate(turn, resample=Image.Resampling.BILINEAR)
    corner = (round(centre[0] - side / 2), round(centre[1] - side / 2))
    image.paste(Image.new("RGB", mask.size, colour), corner, mask)


def _draw_mask(draw: ImageDraw.ImageDraw, shape: str, side: int) -> None:
    """A shape within the circle inscribed in a square of that side, drawn with 255."""

    def corners(count: int, radii: tuple[float, ...]) -> list[tuple[float, float]]:
        steps = [(2 * math.pi * i / count, radii[i % len(radii)] * side / 2) for i in range(count)]
        return [(side / 2 + r * math.sin(a), side / 2 - r * math.cos(a)) for a, r in steps]

    if shape in ("disc", "ring"):
        draw.ellipse([0, 0, side, side], fill=255)
        if shape == "ring":
            draw.ellipse([side * 0.28, side * 0.28, side * 0.72, side * 0.72], fill=0)
    elif shape == "half":
        draw.pieslice([0, 0, side, side], 0, 180, fill=255)
    elif shape == "cross":
        draw.rectangle([side * 0.38, 0.06 * side, side * 0.62, 0.94 * side], fill=255)
        draw.rectangle([0.06 * side, side * 0.38, 0.94 * side, side * 0.62], fill=255)
    elif shape == "bar":
        draw.rectangle([side * 0.36, 0.05 * side, side * 0.64, 0.95 * side], fill=255)
    else:
        points = {"square": (4, (1.0,)), "triangle": (3, (1.0,)), "star": (10, (1.0, 0.42))}[shape]
        draw.polygon(corners(*points), fill=255)


def _photographed(image: Image.Image, resolution: int, random: np.random.Generator) -> np.ndarray:
    """Reduce, blur a little, vary the light, add grain: uint8 (R, R, 3)."""
    small = image.resize((resolution, resolution), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(float(random.uniform(0, 0.6))))
    values = np.asarray(small, dtype=np.float32) * random.uniform(0.75, 1.1)
    values += random.normal(0, 6, values.shape)
    return np.rint(values).clip(0, 255).astype(np.uint8)
