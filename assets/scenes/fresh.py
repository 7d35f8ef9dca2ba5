"""Cold and small meals."""

import bpy
import numpy as np

from . import studio
from .looks import look
from .placing import above, copy, drop, put, remove, sow, spaced
from .savoury import basil
from .shapes import Points, ball, bar, circle, lathe, leaf, loft, paint, patch, wobble
from .tableware import PALE, WALNUT, bowl, chopsticks, glaze, planks, plate, top


def _grains() -> list[bpy.types.Object]:
    white = look("#efebe0 #f8f5ee", rough=0.35, flesh=0.5, coat=0.2)
    return [
        bar(0.62, 0.27, 0.25, white, rough=0.06, cycles=2, bend=0.03, seed=i, around=10, steps=10) for i in range(3)
    ]


def _salmon() -> bpy.types.Material:
    return look(
        "#e8642c #ee7a44 #f6b48c #fbdcc6", tinted=True, scale=1.0, spread=0.2, rough=0.2, coat=0.5, flesh=0.4, depth=0.4
    )


def _maki(at: tuple[float, float, float], rng: np.random.Generator) -> None:
    """A roll standing on its cut: seaweed around rice around salmon and cucumber."""
    nori = look("#0c120c #182218 #0f1710", scale=1.5, rough=0.45, bump=0.05, bump_scale=4)
    wall = [(2.2, 0.05), (2.3, 0.2), (2.33, 1.2), (2.3, 2.2), (2.22, 2.35), (2.14, 2.2), (2.14, 0.2)]
    put(lathe(wall, nori, rough=0.1, seed=at[0]), at)
    white = look("#ece8dc", rough=0.5, flesh=0.5)
    core = put(lathe([(0, 2.05), (2.0, 2.05), (2.1, 1.9), (2.05, 0.1), (0, 0.1)], white, steps=50, rough=0.03), at)
    inner = 0.95

    def ring(points: Points, normals: Points) -> Points:
        distance = np.hypot(points[:, 0] - at[0], points[:, 1] - at[1])
        return (normals[:, 2] > 0.5) & (distance > inner) & (distance < 2.02)

    sow(_grains(), core, 330, rng, keep=ring, lift=0.08, tilt=0.35)
    turn = rng.uniform(0, 360)
    shift = 0.45 * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    green = look("#a9c46c #c9da93", rough=0.25, coat=0.3, flesh=0.3)
    fish = paint(
        bar(2.3, 1.5, 1.0, _salmon(), square=5, blunt=10, rough=0.1), lambda p: 0.2 + 0.5 * (np.sin(p[:, 1] * 7) > 0.8)
    )
    put(fish, (at[0] + shift[0], at[1] + shift[1], at[2] + 1.18), turn=(0, 90, turn))
    put(
        bar(2.3, 0.9, 0.8, green, square=4, blunt=10),
        (at[0] - shift[0], at[1] - shift[1], at[2] + 1.2),
        turn=(0, 90, turn),
    )


def _nigiri(at: tuple[float, float, float], turn: float, rng: np.random.Generator) -> None:
    """A block of rice under a slice of salmon whose fat runs in slanted lines."""
    white = look("#ece8dc", rough=0.5, flesh=0.5)
    rice = put(ball((2.95, 1.35, 1.0), white, rough=0.15, seed=turn), (at[0], at[1], at[2] + 0.95), turn=(0, 0, turn))
    sow(_grains(), rice, 520, rng, keep=above(at[2] + 0.1, -0.6), lift=0.05, tilt=0.3)
    x, y = np.meshgrid(np.linspace(-3.3, 3.3, 110), np.linspace(-1.5, 1.5, 36), indexing="ij")
    y = y * (1 - 0.25 * (np.abs(x) / 3.3) ** 3)
    z = 2.5 - 0.09 * x**2 - 0.34 * y**2 * (1 + 0.1 * np.abs(x))
    lines = np.sin(2.6 * (x + 0.9 * np.abs(y - 0.3)) + turn)
    slice_ = patch(
        wobble(np.stack([x, y, z], -1), 0.12, 0.5, turn),
        _salmon(),
        tint=(0.15 + 0.75 * np.exp(-(((lines - 1) / 0.22) ** 2))),
    )
    slice_.modifiers.new("thick", "SOLIDIFY").thickness = 0.42
    put(slice_, at, turn=(0, 0, turn))


def sushi() -> None:
    """Four maki rolls and three salmon nigiri on slate, with wasabi and ginger."""
    rng = np.random.default_rng(2)
    planks(PALE, rng, turn=15)
    slate = look("#1d2022 #2b2f31 #232628", scale=0.5, rough=0.6, bump=0.12, bump_scale=1.2)
    put(bar(30, 21, 1.0, slate, square=12, blunt=30, rough=0.2, cycles=0.4, around=80, steps=60), (0, 0, 0.5))
    for x, y in ((-7.8, -4.6), (-2.7, -4.9), (2.5, -4.5), (7.6, -4.8)):
        _maki((x, y, 1.0), rng)
    for x, turn in ((-6.5, 66), (-0.6, 72), (5.2, 62)):
        _nigiri((x, 2.6, 1.0), turn, rng)
    wasabi = look("#8fb04e #a3c163", scale=2, rough=0.6, flesh=0.3, bump=0.1, bump_scale=3)
    put(ball((1.2, 1.0, 0.8), wasabi, rough=0.4, cycles=0.8, seed=3), (10.2, 4.8, 1.5))
    pink = look("#f0b9a4 #f6d3c2", rough=0.25, coat=0.3, flesh=0.5)
    for i in range(7):
        turn = rng.uniform((-40, -40, 0), (40, 40, 360))
        put(leaf(3.2, 2.2, pink, curl=0.6, seed=i), (*rng.normal((10.6, 0.6), 0.5), 1.5 + 0.22 * i), turn=turn)
    chopsticks((0, -11.8, 1.0), 4, look("#3a1510 #4a1c14", rough=0.2, coat=0.4))
    studio.window(195, 45)
    studio.camera((0.0, -1.0, 1.6), away=62, height=44, azimuth=-84, lens=96, blur=0.6)


def tomato_tint(points: Points) -> Points:
    """Paint a slice: skin outside, flesh, chambers of jelly with pale seeds, a pale core."""
    radius, angle = np.hypot(points[:, 0], points[:, 1]) / 3.3, np.arctan2(points[:, 1], points[:, 0])
    radius = radius + 0.03 * np.sin(5 * angle + 1)
    chamber = (np.abs(np.sin(2.5 * angle + 0.4)) > 0.36) & (radius > 0.34) & (radius < 0.8)
    seeds = chamber & (np.sin(24 * angle) > 0.55) & (np.abs(radius - 0.6 - 0.08 * np.sin(11 * angle)) < 0.06)
    tint = np.where(radius < 0.22, 0.3, 0.5) + 0.0 * radius
    tint[chamber], tint[seeds], tint[radius > 0.95] = 0.76, 0.02, 1.0
    return tint


def caprese_salad() -> None:
    """Slices of tomato and mozzarella in a ring, with basil."""
    rng = np.random.default_rng(6)
    planks(WALNUT, rng, turn=80)
    plate(14, glaze("#e6e8ea #f0f1f2"))
    red = look(
        "#f0d08a #ec8a6a #dd3f26 #b92a10 #a3160a", tinted=True, scale=1.5, spread=0.12, rough=0.25, coat=0.15, flesh=0.2
    )
    white = look("#f3f0e6 #faf8f2", scale=0.8, rough=0.3, flesh=0.6, depth=0.5, coat=0.25, bump=0.06, bump_scale=1)
    round_ = [(0, 0), (3.0, 0), (3.25, 0.15), (3.3, 0.45), (3.2, 0.72), (3.0, 0.85), (0, 0.85)]
    tomato = paint(lathe(round_, red, steps=110, around=260, rough=0.12, cycles=0.4), tomato_tint)
    cheese = lathe([(r * 0.94, 1.1 * h) for r, h in round_], white, rough=0.35, cycles=0.4, seed=2)
    for i in range(12):
        angle = 2 * np.pi * i / 12 + 0.2
        place = (5.9 * np.cos(angle), 5.9 * np.sin(angle), 1.35)
        lean = put(copy((tomato, cheese)[i % 2]), place, turn=(24, 0, np.degrees(angle)), size=rng.uniform(0.93, 1.04))
        if i % 2:
            at = np.array(lean.location) * 0.98 + (0, 0, 1.0)
            put(leaf(4.0, 2.3, basil(), curl=0.3, seed=i), at, turn=(14, -10, np.degrees(angle) + rng.uniform(-30, 30)))
    put(tomato, (0.2, 0, 1.5), turn=(6, -4, 30))
    put(cheese, (-0.4, 0.6, 2.3), turn=(10, 5, 0), size=0.9)
    for i in range(5):
        put(
            leaf(3.8, 2.4, basil(), curl=0.45, seed=20 + i),
            (0.9 * np.cos(i * 1.3), 0.4 + 0.9 * np.sin(i * 1.3), 3.7),
            turn=(0, -22, i * 74),
        )
    studio.window(140, 45)
    studio.camera((0, -0.2, 1.8), away=60, height=50, azimuth=-90, lens=104, blur=0.5)


def _pod(rng: np.random.Generator, skin: bpy.types.Material, seed: int) -> bpy.types.Object:
    """A bean pod along x: two or three beans swell its flat, pointed hull."""
    beans, length = int(rng.integers(2, 4)), rng.uniform(5.0, 6.6)
    t = np.linspace(-1, 1, 46)
    swell = np.clip(1 - np.abs(t) ** 2.6, 0.0, 1) ** 0.7 + 0.05
    swell *= 0.83 + 0.17 * np.cos(np.pi * beans * t * 0.92 + (np.pi if beans == 2 else 0))
    c, s = circle(24)
    y = swell[:, None] * c * 0.85 * (0.8 + 0.2 * swell[:, None])
    z = swell[:, None] * s * 0.46
    rings = np.stack(
        [np.repeat(t[:, None] * length / 2, 24, 1), y + 0.55 * (t**2)[:, None] * rng.uniform(0.2, 1), z], -1
    )
    return loft(wobble(rings, 0.12, 0.5, seed), skin)


def edamame() -> None:
    """Salted green pods heaped in a dark bowl."""
    rng = np.random.default_rng(9)
    planks(PALE, rng, turn=-20)
    dish = bowl(9, 5.2, glaze("#20262e #2b323b", rough=0.3))
    skin = look(
        "#4a7028 #5f8636 #789c4a #52782c",
        scale=0.6,
        spread=0.9,
        rough=0.38,
        coat=0.25,
        flesh=0.25,
        bump=0.05,
        bump_scale=5,
        vary=0.2,
    )
    pods = []
    for i in range(85):
        turn = rng.uniform((-30, -30, 0), (30, 30, 360))
        pods.append(put(_pod(rng, skin, i), (*rng.uniform(-3.4, 3.4, 2), 4 + i * 0.5), turn=turn))
    drop(pods, [dish])
    salt = look("#f6f6f6", rough=0.2, flesh=0.4)
    for pod in pods:
        sow(
            [bar(0.13, 0.13, 0.11, salt, square=6, blunt=6, around=8, steps=6)],
            pod,
            12,
            rng,
            keep=above(2, 0.3),
            tilt=0.5,
            sizes=(0.5, 1.3),
        )
    studio.window(45, 45)
    studio.camera((0, -0.2, 4.4), away=58, height=46, azimuth=-95, lens=104, blur=0.6)


def _half_egg(white: bpy.types.Material) -> bpy.types.Object:
    """Half a boiled egg along x, cut side up at height 0."""
    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 60))[:, None]
    c, s = circle(96)
    wide = np.sqrt(np.maximum(1 - t**2, 1e-5)) * (1 - 0.12 * t)
    z = 2.0 * wide * s
    points = np.stack([np.repeat(3.0 * t, 96, 1), 2.15 * wide * c, np.where(z > 0, 0.08 * np.tanh(3 * z), z)], -1)
    return loft(points, white)


def _rosette(cream: bpy.types.Material, seed: int) -> bpy.types.Object:
    """Yolk cream piped from a star nozzle."""
    t = np.linspace(0, 1, 70)[:, None]
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    size = 1.75 * (1 - t**1.5) ** 0.75 + 0.01
    size = size * (1 + 0.15 * np.cos(8 * angle + 5 * t + seed) + 0.07 * np.sin(2 * np.pi * 2.6 * t - angle))
    points = np.stack([1.12 * size * np.cos(angle), size * np.sin(angle), np.repeat(1.75 * t, 120, 1)], -1)
    return loft(wobble(points, 0.12, 0.6, seed), cream)


def deviled_eggs() -> None:
    """Halves of eggs filled with piped yolk, dusted with paprika and chives."""
    rng = np.random.default_rng(4)
    top(look("#6f8394 #7b8fa0 #687c8d", scale=3, rough=0.9, bump=0.08, bump_scale=9))
    plate(13.5, glaze("#ecebe8 #f5f4f1"))
    white = look("#f4f1ea #fbf9f5", rough=0.3, flesh=0.5, depth=0.4, coat=0.25)
    cream = look("#e9b93a #f0c850 #e3ac2e", scale=1.5, rough=0.45, flesh=0.25, bump=0.05, bump_scale=3)
    egg = _half_egg(white)
    paprika, green = look("#9c2a0c #b8400f", rough=0.8), look("#3f7a22 #5b9a33", rough=0.4, coat=0.2)
    for i in range(7):
        angle = np.radians(i * 60 + 12)
        x, y = (0.0, 0.0) if i == 6 else (6.1 * np.cos(angle), 6.1 * np.sin(angle))
        turn = (rng.uniform(-4, 4), rng.uniform(-4, 4), 20 if i == 6 else np.degrees(angle) + rng.uniform(-8, 8))
        put(copy(egg), (x, y, 2.65), turn=turn)
        swirl = put(_rosette(cream, i), (x, y, 2.6), turn=turn)
        dust = [ball((0.05, 0.05, 0.03), paprika, around=6)]
        sow(dust, swirl, 170, rng, keep=above(2.7, 0.1), sizes=(0.4, 1.4))
        chives = [lathe([(0.1, -0.1), (0.13, -0.1), (0.13, 0.1), (0.1, 0.1)], green, steps=8, around=12)]
        sow(chives, swirl, 12, rng, keep=above(3.0, 0.3), lift=0.06, tilt=0.8)
    remove(egg)
    studio.window(125, 48)
    studio.camera((0, -0.2, 2.2), away=58, height=44, azimuth=-88, lens=112, blur=0.55)


def miso_soup() -> None:
    """A lacquer bowl of miso soup with tofu, seaweed and spring onion."""
    rng = np.random.default_rng(12)
    planks("#4a2a1a #6b4029 #7d4d31", rng, turn=-12)
    bowl(7.2, 6.4, look("#0d0807 #140c0a", rough=0.12, coat=0.6))
    broth = look("#b08448 #c49c60 #d6b67e #be9252", scale=0.28, spread=1.2, rough=0.08, coat=0.5, flesh=0.15)
    lathe([(0, 4.9), (5, 4.9), (6.6, 4.93), (6.95, 5.05)], broth, rough=0.05, cycles=0.6)
    tofu = look("#f2ead6 #f8f3e6", rough=0.35, flesh=0.5, coat=0.3, bump=0.04, bump_scale=2)
    for i, (x, y) in enumerate(spaced(11, 5.2, 2.0, rng)):
        put(
            bar(1.5, 1.5, 1.4, tofu, square=8, blunt=9, rough=0.08, seed=i),
            (x, y, 4.75 + rng.uniform(-0.1, 0.15)),
            turn=rng.uniform((-12, -12, 0), (12, 12, 90)),
        )
    weed = look("#16301a #23482a #345c34", scale=0.8, rough=0.2, coat=0.5)
    for i, (x, y) in enumerate(spaced(9, 5.4, 1.8, rng)):
        put(leaf(rng.uniform(1.8, 3.0), 1.2, weed, curl=-0.05, seed=i), (x, y, 5.25), turn=(0, 0, rng.uniform(0, 360)))
    onion = look("#4f8f2d #7db14c #b9d48a", tinted=True, scale=1, spread=0.4, rough=0.3, coat=0.3, flesh=0.2)
    rim = [(0.26, -0.12), (0.4, -0.13), (0.42, 0.1), (0.3, 0.12), (0.26, -0.12)]
    for i, (x, y) in enumerate(spaced(34, 5.0, 0.75, rng)):
        ring = lathe(rim, onion, around=24, steps=16, tints=[1, 0, 0, 0.6, 1], rough=0.12, cycles=0.8, seed=i)
        put(
            ring,
            (x, y, 5.05 + 0.55 * (i % 6 == 0)),
            turn=rng.uniform((-15, -15, 0), (15, 15, 360)),
            size=rng.uniform(0.75, 1.15),
        )
    chopsticks((0, -9.6, 0.3), 8, look("#5a1a12 #6a2016", rough=0.2, coat=0.4))
    studio.window(110, 48)
    studio.camera((0, -0.3, 4.3), away=50, height=52, azimuth=-86, lens=100, blur=0.5)
