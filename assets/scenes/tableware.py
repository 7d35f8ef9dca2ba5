"""What the meals stand on: tables, plates, bowls, boards."""

import bpy
import numpy as np

from .looks import look
from .placing import put
from .shapes import bar, lathe, mesh

OAK = "#5a3a20 #8a5f38 #a9794a #8f6238"
WALNUT = "#22140c #3d2617 #553620 #2f1c11"
PALE = "#b8ab98 #cfc4b2 #ddd4c5 #c4b7a3"


def planks(colours: str, rng: np.random.Generator, *, turn: float = 0.0, wide: float = 11.0) -> None:
    """A wooden table of boards whose top is at height 0."""
    grain = look(colours, scale=0.35, stretch=(0.25, 3.5, 3.5), rough=0.45, bump=0.04, bump_scale=1.6, vary=0.18)
    angle = np.radians(turn)
    for i in range(-9, 10):
        board = bar(260, wide - 0.15, 2, grain, square=14, blunt=60, around=48)
        along, across = rng.uniform(-40, 40), i * wide
        at = (np.cos(angle) * along - np.sin(angle) * across, np.sin(angle) * along + np.cos(angle) * across, -1)
        put(board, at, turn=(0, 0, turn))


def top(material: bpy.types.Material) -> None:
    """A plain table top at height 0: stone, cloth, paint."""
    mesh(np.array([[-150, -150, 0], [150, -150, 0], [150, 150, 0], [-150, 150, 0]]), [(0, 1, 2, 3)], material)


def glaze(colours: str = "#e9e6e0 #f1eee9", *, rough: float = 0.12, scale: float = 0.2) -> bpy.types.Material:
    """Glazed porcelain or stoneware."""
    return look(colours, scale=scale, rough=rough, coat=0.3, vary=0.0)


def plate(radius: float, material: bpy.types.Material, *, rise: float = 1.8) -> bpy.types.Object:
    """A dinner plate; its flat middle (0.6 of the radius) lies at height 0.7 cm."""
    r = radius
    profile = [(0, 0.7), (0.56 * r, 0.7), (0.63 * r, 0.8), (0.68 * r, 1.2), (0.97 * r, rise), (r, rise + 0.02)]
    profile += [(r, rise - 0.25), (0.7 * r, 0.7), (0.62 * r, 0.1), (0.58 * r, 0), (0.54 * r, 0.25), (0, 0.25)]
    return lathe(profile, material, steps=90, around=160)


def bowl(radius: float, deep: float, material: bpy.types.Material, *, foot: float = 0.5) -> bpy.types.Object:
    """A bowl whose rim is at height `deep`; the inside bottom is at 1 cm."""
    r, d = radius, deep
    profile = [(0, 1), (0.35 * r, 1.1), (0.7 * r, 0.3 * d + 0.7), (0.92 * r, 0.68 * d), (0.985 * r, d), (r, d + 0.05)]
    profile += [(1.015 * r, d), (0.96 * r, 0.64 * d), (0.75 * r, 0.26 * d), (foot * r, 0.5), (foot * r, 0), (0, 0.1)]
    return lathe(profile, material, steps=90, around=160)


def chopsticks(at: tuple[float, float, float], turn: float, material: bpy.types.Material) -> None:
    """A pair lying side by side."""
    for shift, skew in ((0, 0), (1.1, 3)):
        put(bar(24, 0.7, 0.6, material, square=4, blunt=12), (at[0], at[1] + shift, at[2]), turn=(0, 0, turn + skew))
