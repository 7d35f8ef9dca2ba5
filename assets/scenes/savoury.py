"""Hot meals."""

import bpy
import numpy as np

from . import studio
from .looks import look
from .placing import above, drop, put, sow, spaced
from .shapes import Points, ball, bar, circle, lathe, leaf, patch, strands, wobble
from .tableware import OAK, PALE, WALNUT, bowl, glaze, planks, plate


def basil() -> bpy.types.Material:
    """Green of a basil leaf, paler along the veins."""
    return look("#2f6b1c #3f8526 #7fae55", tinted=True, scale=0.8, spread=0.35, rough=0.35, coat=0.2, flesh=0.1)


def _fry_look() -> bpy.types.Material:
    return look(
        "#f2cf72 #e8b449 #c98526 #9a5714",
        tinted=True,
        scale=0.9,
        spread=0.35,
        rough=0.42,
        flesh=0.2,
        bump=0.03,
        bump_scale=8,
        vary=0.12,
    )


def _fry(rng: np.random.Generator, skin: bpy.types.Material, seed: int) -> bpy.types.Object:
    length, wide, high, bend = rng.uniform((5.5, 0.75, 0.75, -0.4), (9.5, 1.0, 1.0, 0.4))
    return bar(length, wide, high, skin, square=6, blunt=14, rough=0.25, cycles=0.3, bend=bend, seed=seed, around=16)


def french_fries() -> None:
    """A bowl of fries that really fell into it, with a cup of ketchup."""
    rng = np.random.default_rng(3)
    planks(WALNUT, rng, turn=12)
    dish = bowl(9.5, 6, glaze("#d8d3c8 #e6e1d6"))
    fries, skin = [], _fry_look()
    for i in range(95):
        turn = rng.uniform((-40, -40, 0), (40, 40, 360))
        fries.append(put(_fry(rng, skin, i), (*rng.uniform(-3.6, 3.6, 2), 4 + i * 0.5), turn=turn))
    drop(fries, [dish])
    sauce = look("#8f1408 #a81c0c", rough=0.35, coat=0.08, flesh=0.1)
    put(bowl(3.2, 3.4, glaze("#f2f0ec"), foot=0.6), (-8.5, -9.5, 0))
    put(lathe([(0, 2.75), (1.5, 2.7), (3, 2.6)], sauce, rough=0.15, seed=2), (-8.5, -9.5, 0))
    studio.window(160, 42)
    studio.camera((-0.6, -1, 4.2), away=60, height=44, azimuth=-80, lens=88, blur=0.6)


def pizza() -> None:
    """A pepperoni pizza with basil on a round board."""
    rng = np.random.default_rng(21)
    planks(PALE, rng, turn=70)
    board = look("#7a5230 #9a6c42 #b5895a", scale=0.4, stretch=(0.3, 4, 4), rough=0.5, bump=0.02)
    lathe([(0, 1.5), (16.6, 1.5), (17, 1.2), (17, 0.3), (16.6, 0), (0, 0)], board, steps=60)
    _crust()
    _cheese()
    _pepperoni(rng)
    for i, (x, y) in enumerate([(-4.5, -3.8), (4.6, 4.2), (1.0, -1.2), (-2.5, 6.6), (7.3, -3.0), (2.0, -8.3)]):
        put(leaf(4.2, 2.5, basil(), curl=0.3, seed=i), (x, y, 3.1), turn=(8, -5, rng.uniform(0, 360)))
    studio.window(100, 42)
    studio.camera((0, -0.4, 2), away=66, height=52, azimuth=-75, lens=80, blur=0.7)


def _crust() -> None:
    """Dough with a raised, browned rim."""
    crust = look(
        "#ecd09a #dda758 #b8702a #5b2c10",
        tinted=True,
        scale=0.5,
        spread=0.5,
        rough=0.7,
        flesh=0.1,
        bump=0.06,
        bump_scale=2.5,
    )
    profile = [(0, 1.9), (11.5, 1.9), (12.8, 2.2), (13.8, 2.85), (14.7, 2.75), (15.1, 2.1), (14.6, 1.6), (0, 1.5)]
    lathe(
        profile,
        crust,
        steps=90,
        around=200,
        tints=[0.3, 0.3, 0.3, 0.55, 0.6, 0.4, 0.2, 0.2],
        rough=0.7,
        cycles=0.3,
        seed=4,
    )


def _cheese() -> None:
    """Tomato sauce, and over it molten cheese with brown spots."""
    sauce = look("#8e1f0c #b5330f #c9501a", scale=0.8, rough=0.35, coat=0.1)
    lathe([(0, 2.15), (11, 2.15), (13.1, 2.3), (13.2, 1.9)], sauce, around=160, rough=0.4, cycles=0.6, seed=6)
    cheese = look(
        "#c4571f #eebb5e #f5dc98 #f8e9c0 #f3d27e #cf8a35",
        scale=0.42,
        spread=1.1,
        rough=0.28,
        coat=0.35,
        flesh=0.15,
        displace=0.5,
        bump_scale=0.6,
    )
    lathe([(0, 2.4), (8, 2.4), (12, 2.35), (12.8, 2.1)], cheese, steps=110, around=260, rough=0.5, cycles=0.5, seed=1)


def _pepperoni(rng: np.random.Generator) -> None:
    meat = look(
        "#a5281a #8d1c10 #6e130b #2f0c07",
        tinted=True,
        scale=2.2,
        spread=0.7,
        rough=0.45,
        coat=0.08,
        bump=0.05,
        bump_scale=3,
    )
    profile = [(0, 0), (1.2, 0.02), (1.7, 0.1), (1.9, 0.26), (1.98, 0.2), (1.8, -0.05), (1.2, -0.15), (0, -0.15)]
    tints = [0.2, 0.2, 0.3, 0.95, 0.9, 0.5, 0.4, 0.4]
    for i, (x, y) in enumerate(spaced(20, 11, 4.1, rng)):
        slice_ = lathe(profile, meat, around=60, tints=tints, rough=0.3, cycles=0.4, seed=i)
        put(slice_, (x, y, 2.84), turn=(*rng.uniform(-5, 5, 2), rng.uniform(0, 360)), size=rng.uniform(0.88, 1.05))


def _mound(radius: Points) -> Points:
    """Height of the heap of spaghetti at a distance from its middle."""
    return 0.9 + 3.6 * np.clip(1 - (radius / 9.5) ** 2, 0, 1)


def _pasta(rng: np.random.Generator, count: int) -> list[Points]:
    """Arcs of all sizes laid over the heap, wound more or less around its middle."""
    lines = []
    for _ in range(count):
        loop = rng.uniform(2.2, 7.5)
        shift, aside = rng.uniform(0, 9.2 - loop), rng.uniform(0, 2 * np.pi)
        angle = rng.uniform(0, 6.3) + np.linspace(0, rng.uniform(1.8, 4.5), 70)
        size = loop * (1 + 0.08 * np.sin(2 * angle + rng.uniform(0, 6)))
        x, y = shift * np.cos(aside) + size * np.cos(angle), shift * np.sin(aside) + size * np.sin(angle)
        z = _mound(np.hypot(x, y)) + rng.uniform(-0.9, 0.25) + 0.25 * np.sin(3 * angle + rng.uniform(0, 6))
        lines.append(wobble(np.stack([x, y, np.maximum(z, 1.0)], -1), 0.3, 0.4, rng.uniform(0, 9)))
    return lines


def spaghetti_bolognese() -> None:
    """Spaghetti under meat sauce with parmesan and basil."""
    rng = np.random.default_rng(17)
    planks(OAK, rng, turn=-35)
    plate(14, glaze("#e9e4da #f3efe7"), rise=2.6)
    noodle = look("#e6bd62 #efcd7c #e2a94c", scale=0.5, rough=0.28, coat=0.4, flesh=0.2, vary=0.0)
    strands(_pasta(rng, 230), 0.17, noodle)
    _bolognese(rng)
    for i, (x, y, turn) in enumerate([(-0.7, 0.2, 200), (1.0, 0.6, 20), (0.3, -1.0, 280)]):
        put(leaf(3.6, 2.3, basil(), curl=0.35, seed=i), (x, y, 6.2), turn=(0, -12, turn))
    studio.window(30, 45)
    studio.camera((0, -0.2, 2.6), away=58, height=42, azimuth=-98, lens=104, blur=0.6)


def _bolognese(rng: np.random.Generator) -> None:
    """Meat sauce over the heap, lumps of mince in it, grated parmesan on top."""
    sauce = look(
        "#5a1a0a #7a2a10 #943a16 #672010", scale=0.7, spread=1.3, rough=0.25, coat=0.5, bump=0.15, bump_scale=1.5
    )
    line = [(r, float(_mound(np.array(r))) + 0.7 * (r < 5.9)) for r in (0, 1.5, 3, 4.6, 5.8, 6.4)]
    heap = lathe([*line, (6.2, 1.5)], sauce, steps=60, around=140, rough=1.1, cycles=0.35, seed=2)
    mince = look(
        "#4a2010 #6e341a #8a4826 #96381a",
        scale=1.2,
        spread=1.2,
        rough=0.4,
        coat=0.35,
        bump=0.08,
        bump_scale=4,
        vary=0.25,
    )
    crumbs = [ball((0.42, 0.34, 0.3), mince, rough=0.3, cycles=1.6, seed=i, around=18) for i in range(6)]
    sow(crumbs, heap, 620, rng, keep=above(1.5, 0.1), tilt=0.6, sizes=(0.6, 1.6))
    flake = look("#f4e6bd #faf2d8", rough=0.6, flesh=0.3)
    flakes = [
        bar(0.8, 0.28, 0.07, flake, square=3, rough=0.15, cycles=1.5, seed=i, around=8, steps=8) for i in range(4)
    ]
    sow(flakes, heap, 260, rng, keep=above(4.1, 0.5), lift=0.3, tilt=0.5, sizes=(0.5, 1.2))


def hamburger() -> None:
    """A cheeseburger with lettuce and tomato, fries behind it, seen from the side."""
    rng = np.random.default_rng(14)
    planks(WALNUT, rng, turn=4)
    board = look("#8a5f38 #a9794a #c29663", scale=0.4, stretch=(0.3, 4, 4), rough=0.5, bump=0.02)
    put(bar(32, 22, 1.6, board, square=10, blunt=24, around=48), (0, 0, 0.8))
    bread = look(
        "#f0d9a8 #dda65a #b36a25 #8c4815",
        tinted=True,
        scale=0.6,
        spread=0.18,
        rough=0.45,
        coat=0.06,
        flesh=0.1,
        bump=0.03,
        bump_scale=5,
    )
    low = [(0, 0), (4.8, 0), (5.5, 0.5), (5.5, 1.2), (5.1, 1.7), (0, 1.75)]
    put(lathe(low, bread, tints=[0.6, 0.6, 0.65, 0.35, 0.0, 0.0], rough=0.25, cycles=0.25, seed=1), (0, 0, 1.6))
    _filling(rng)
    high = [(0, 0), (5.1, 0), (5.75, 0.6), (5.5, 1.9), (4.2, 3.2), (2.2, 3.85), (0, 4.0)]
    crown = lathe(high, bread, steps=70, tints=[0, 0, 0.3, 0.6, 0.72, 0.78, 0.8], rough=0.3, cycles=0.25, seed=7)
    put(crown, (0.1, 0, 7.0), turn=(-3, 2, 0))
    seed = look("#f3e2b6 #e9cf96", rough=0.4, flesh=0.3)
    sow([bar(0.46, 0.27, 0.16, seed, around=10, steps=10)], crown, 230, rng, keep=above(8.9, 0.3), lift=0.04)
    skin = _fry_look()
    for i in range(22):
        at = (rng.uniform(-11, 11), rng.uniform(6, 9.5), 2.1 + 0.35 * (i % 5))
        put(_fry(rng, skin, i), at, turn=(0, rng.uniform(-8, 8), rng.uniform(0, 360)))
    studio.window(150, 35, bright=1.05)
    studio.camera((0, 0, 5.6), away=60, height=14, azimuth=-92, lens=128, blur=0.8)


def _filling(rng: np.random.Generator) -> None:
    """Between the buns, from below: lettuce, tomato, patty, cheese."""
    c, s = circle(240)
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = np.linspace(3, 6.5, 24)[:, None] + 0.4 * np.sin(5 * angle)
    wave = np.linspace(0, 1, 24)[:, None] ** 1.6 * (0.5 * np.sin(17 * angle) + 0.35 * np.sin(29 * angle + 1))
    grid = np.stack([radius * c, radius * s, 3.55 + wave], -1)
    grid = wobble(np.concatenate([grid, grid[:, :1]], 1), 0.45, 0.5, 3)
    green = look("#c9d98a #8fbb45 #4f9422", tinted=True, scale=0.8, spread=0.2, rough=0.35, coat=0.2, flesh=0.2)
    patch(grid, green, tint=np.repeat(np.linspace(0, 1, 24), 241), thick=0.05)
    tomato = look("#b3200f #cc3a22 #d9563a", scale=1.2, rough=0.15, coat=0.5, flesh=0.2)
    for i, (x, y) in enumerate([(-2.4, -1.6), (2.5, -1.7), (0, 2.3)]):
        disc = lathe([(0, 0), (3.0, 0), (3.2, 0.3), (3.0, 0.6), (0, 0.6)], tomato, rough=0.12, seed=i)
        put(disc, (x, y, 3.75 + 0.05 * i), turn=(rng.uniform(-3, 3), rng.uniform(-3, 3), 0))
    beef = look(
        "#2a130a #43200f #5e301a #351a0d", scale=1.5, spread=1.3, rough=0.4, coat=0.3, displace=0.5, bump_scale=1.8
    )
    patty = [(0, 0), (5.0, 0), (5.6, 0.4), (5.7, 1.0), (5.3, 1.6), (0, 1.7)]
    put(lathe(patty, beef, steps=90, around=220, rough=0.4, cycles=0.6, seed=5), (0, 0, 4.5))
    x, y = np.meshgrid(np.linspace(-5.2, 5.2, 50), np.linspace(-5.2, 5.2, 50), indexing="ij")
    over = np.maximum(np.hypot(x, y) - 5.3, 0)
    sheet = np.stack([x * (1 - 0.04 * over), y * (1 - 0.04 * over), 6.85 - 0.3 * over**1.6], -1)
    cheese = look("#f0a21c #f5b02e", rough=0.3, flesh=0.3, coat=0.2)
    put(patch(wobble(sheet, 0.15, 0.4, 2), cheese, thick=0.25), turn=(0, 0, 38))
