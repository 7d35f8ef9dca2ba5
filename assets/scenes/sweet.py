"""Sweet meals."""

import bpy
import numpy as np

from . import studio
from .looks import look
from .placing import above, put, sow
from .shapes import ball, bar, drape, lathe, loft, wobble
from .tableware import OAK, WALNUT, glaze, planks, plate, top


def _ring(radius: float, tube: float, swell: float, low: np.ndarray | None = None) -> np.ndarray:
    """Rings (96, 40, 3) of a donut; with `low` (96,) only the part above those angles outside, as icing is."""
    u = np.linspace(0, 2 * np.pi, 96, endpoint=False)[:, None]
    inner, outer = (np.full((96, 1), np.pi),) * 2 if low is None else (np.full((96, 1), 1.5), low[:, None])
    v = np.linspace(0, 1, 40, endpoint=low is not None)[None] * (inner + outer) - inner
    out, up = tube * swell * np.sin(v), tube * 0.86 * swell * np.cos(v)
    return np.stack([(radius + out) * np.cos(u), (radius + out) * np.sin(u), up + 0 * u], -1)


def _donut(icing: bpy.types.Material, seed: int) -> tuple[bpy.types.Object, bpy.types.Object]:
    """Fried dough with a pale belt, and its icing with a wavy edge."""
    dough = look(
        "#6b3310 #9c5a20 #b9762f #e3bd7e",
        tinted=True,
        scale=1.2,
        spread=0.25,
        rough=0.6,
        flesh=0.15,
        bump=0.03,
        bump_scale=5,
    )
    rings = wobble(_ring(3.0, 1.75, 1.0), 0.25, 0.35, seed)
    belt = np.exp(-(((np.linspace(-1, 1, 40, endpoint=False) * np.pi - np.pi * 0.55) / 0.3) ** 2))
    body = loft(rings, dough, tint=0.35 + 0.6 * np.repeat(belt[None], 96, 0), loop=True)
    rng = np.random.default_rng(seed)
    waves = sum(
        rng.uniform(0.04, 0.16) * np.sin(k * np.linspace(0, 2 * np.pi, 96, False) + rng.uniform(0, 6))
        for k in (2, 3, 5, 7, 11)
    )
    sheet = wobble(_ring(3.0, 1.75, 1.06, 1.45 + waves), 0.25, 0.35, seed)
    return body, loft(sheet, icing, loop=True)


def _sprinkles(colours: tuple[str, ...]) -> list[bpy.types.Object]:
    return [bar(0.75, 0.2, 0.2, look(c, rough=0.3, flesh=0.2), blunt=6, around=10, steps=10) for c in colours]


def donuts() -> None:
    """Four iced donuts on a plate on an oak table."""
    rng = np.random.default_rng(11)
    planks(OAK, rng, turn=25)
    plate(15, glaze())
    pink = look("#e58aa6 #ef9fb8", scale=0.6, rough=0.22, coat=0.4, flesh=0.3)
    brown = look("#32160b #3d1c0f", scale=0.6, rough=0.2, coat=0.5)
    white = look("#f0e8dc #f7f1e8", scale=0.6, rough=0.22, coat=0.4, flesh=0.4)
    bright = ("#e63946", "#f6c945", "#3fa7d6", "#59b96b", "#ffffff", "#f08a3c")
    spots = [
        (-5.4, -1.8, 2.2, 4, pink, bright),
        (5.3, -2.6, 2.2, -3, brown, ("#f3ece2", "#f3ece2", "#e9b44c")),
        (0.3, 6.6, 2.2, 5, white, bright),
        (0.6, -0.2, 4.9, 9, pink, ("#ffffff", "#f7e3ea")),
    ]
    for seed, (x, y, z, tip, icing, colours) in enumerate(spots):
        body, sheet = _donut(icing, seed)
        for part in (body, sheet):
            put(part, (x, y, z), turn=(tip, -tip / 2, 40 * seed))
        sow(_sprinkles(colours), sheet, 130, rng, keep=above(z + 0.6, 0.35), lift=0.05)
    studio.window(150, 48)
    studio.camera((0, 0.6, 2.2), away=50, height=48, azimuth=-82, lens=80, blur=0.5)


def pancakes() -> None:
    """A stack with butter, syrup and blueberries."""
    rng = np.random.default_rng(5)
    planks(WALNUT, rng, turn=-8)
    plate(14, glaze("#dfe3e4 #eceeee"))
    cake = look(
        "#f0d59a #d79a4b #a45f22 #8a4a18",
        tinted=True,
        scale=0.8,
        spread=0.22,
        rough=0.65,
        flesh=0.15,
        bump=0.05,
        bump_scale=3,
    )
    height, shift = 0.75, np.zeros(2)
    for i in range(6):
        r = rng.uniform(7.0, 7.5) if i < 5 else 7.6
        profile = [(0, 0), (r * 0.6, 0), (r - 0.5, 0.08), (r, 0.6), (r - 0.4, 1.16), (r * 0.7, 1.3), (0, 1.3)]
        tints = [0.7, 0.7, 0.5, 0.0, 0.55, 0.75, 0.6]
        shape = lathe(profile, cake, tints=tints, rough=0.22, cycles=0.25, seed=i + 1)
        tip = 2 * (i < 5)
        shift, lean = rng.uniform(-0.4, 0.4, 2), rng.uniform(-tip, tip, 2)
        put(shape, (*shift, height), turn=(*lean, rng.uniform(0, 360)))
        height += 1.22
    _syrup((*shift, height + 0.16))
    butter = look("#f6dc7c #f9e79d", rough=0.3, flesh=0.5, depth=0.5, coat=0.2)
    put(bar(2.9, 2.6, 1.2, butter, square=6, blunt=7, rough=0.2, seed=2), (0.2, -0.3, height + 0.85), turn=(4, -3, 28))
    _blueberries(rng, height)
    studio.window(35, 40, bright=1.05)
    studio.camera((0, 0, 4.4), away=56, height=28, azimuth=-95, lens=90, blur=0.7)


def _syrup(at: tuple[float, float, float]) -> None:
    """Pour syrup over the stack, running down where `runs` (angle, cm) says."""
    angle = np.linspace(0, 2 * np.pi, 180, False)
    runs = ((4.1, 3.5), (4.65, 5.6), (5.25, 2.6), (3.4, 4.4), (5.9, 4.6), (0.6, 3), (2.2, 3))
    drips = sum(long * np.exp(-((((angle - at + np.pi) % (2 * np.pi) - np.pi) / 0.09) ** 4)) for at, long in runs)
    syrup = look("#7a2c05 #8f3a08", rough=0.05, clear=0.55, coat=0.6)
    outline = 6.7 + 0.5 * np.sin(angle * 3 + 1) + 0.3 * np.sin(angle * 7) + drips
    put(drape(outline, syrup, edge=7.85, thick=0.3, rough=0.1, seed=3), at)


def _blueberries(rng: np.random.Generator, height: float) -> None:
    skin = look("#141c38 #27345e #5a6a96", scale=0.9, rough=0.45, bump=0.02)
    places = [(9.2, -4.2), (8.4, -5.8), (-9.6, -3.2), (-8.6, -5.0), (-7.4, -6.4), (10, -2.4), (6.9, -7)]
    for i, (x, y) in enumerate(places):
        berry = ball((0.8, 0.8, 0.68), skin, rough=0.08, seed=i)
        put(berry, (x, y, 1.65), turn=rng.uniform(0, 360, 3), size=rng.uniform(0.85, 1.1))
    for i, (x, y) in enumerate([(3.2, -1.6), (-2.8, 1.8), (-2.9, -2.0), (2.4, 2.9)]):
        put(ball((0.8, 0.8, 0.68), skin, rough=0.08, seed=i + 9), (x, y, height + 0.8), turn=rng.uniform(0, 360, 3))


MACARON = [(0, 1.5), (1.0, 1.46), (1.75, 1.2), (2.15, 0.85), (2.2, 0.66), (2.05, 0.6)]
FRILL = [(1.9, 0.62), (2.28, 0.58), (2.34, 0.42), (2.28, 0.28), (1.9, 0.24)]
CREAM = [(0, 0.3), (1.9, 0.3), (2.0, 0.0), (1.9, -0.3), (0, -0.3)]


def _macaron(
    shell: str, crumb: str, cream: str, at: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    """Two shells with ruffled feet and a filling; `at` is its middle."""
    smooth = look(shell, scale=3, rough=0.42, flesh=0.3, bump=0.012, bump_scale=9)
    ruffle = look(f"{crumb} {shell}", scale=4, rough=0.8, flesh=0.3, bump=0.09, bump_scale=5)
    filling = look(cream, rough=0.4, flesh=0.4, bump=0.05, bump_scale=2)
    seed = sum(at)
    put(lathe(CREAM, filling, rough=0.1, seed=seed), at, turn=turn)
    for flip in (0, 180):
        side = (turn[0] + flip, turn[1], turn[2])
        put(lathe(MACARON, smooth, rough=0.07, seed=seed + flip), at, turn=side)
        put(lathe(FRILL, ruffle, around=200, rough=0.14, cycles=2.6, seed=seed + flip), at, turn=side)


def macarons() -> None:
    """Macarons of five colours heaped on a stoneware plate on marble."""
    rng = np.random.default_rng(8)
    top(look("#d9d6d2 #eceae7 #f4f3f1 #b9b6b3 #f1efec", scale=0.06, spread=1.3, rough=0.15))
    plate(12.5, glaze("#8d979c #a0a9ad", rough=0.25))
    kinds = {
        "rose": ("#e2889c", "#d77a8f", "#f6e3e0"),
        "pistachio": ("#a9bd6f", "#98ab5c", "#e9e6c4"),
        "vanilla": ("#efdcae", "#dfc58c", "#fbf1dc"),
        "violet": ("#a58bc0", "#9378b0", "#ece2f2"),
        "chocolate": ("#6b4028", "#5a341f", "#2d160c"),
    }
    places = [
        ("rose", -4.6, -2.6, 2.2),
        ("pistachio", 0.2, -4.7, 2.2),
        ("vanilla", 4.9, -2.4, 2.2),
        ("violet", 4.2, 2.8, 2.2),
        ("chocolate", -4.0, 2.7, 2.2),
        ("rose", 0.3, 5.6, 2.2),
        ("vanilla", 0.1, 0.5, 2.2),
        ("chocolate", 2.3, -1.7, 5.2),
        ("violet", -2.2, -1.5, 5.2),
        ("pistachio", 0.1, 2.2, 5.2),
    ]
    for kind, x, y, z in places:
        _macaron(*kinds[kind], (x, y, z), (rng.uniform(-5, 5), rng.uniform(-5, 5), rng.uniform(0, 360)))
    _macaron(*kinds["rose"], (0.2, -0.8, 8.1), (14, -8, 30))
    studio.window(60, 45)
    studio.camera((0, 0, 3.6), away=52, height=34, azimuth=-100, lens=112, blur=0.6)
