"""Shapes: nearly all are lofts, a row of closed rings of points skinned into one smooth mesh."""

from collections.abc import Callable, Sequence

import bpy
import numpy as np
from mathutils import Vector, noise

Points = np.ndarray
Profile = Sequence[tuple[float, float]]


def wobble(points: Points, amount: float, cycles: float = 0.5, seed: float = 0.0) -> Points:
    """Move points (..., 3) by up to about `amount` cm of noise with `cycles` per cm: nothing on a plate is exact."""
    if not amount:
        return points
    flat = points.reshape(-1, 3)
    noise.seed_set(1)  # Blender seeds its noise by the clock otherwise
    start = Vector((seed * 7.3, seed * 3.1, seed * 5.7))
    moves = np.array([noise.noise_vector(Vector(p) * cycles + start) for p in flat])
    return (flat + amount * moves).reshape(points.shape)


def smooth_line(points: Sequence[Sequence[float]], count: int) -> Points:
    """Resample a polyline (n, d) to `count` points of a Catmull-Rom curve through it."""
    p = np.asarray(points, float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    at = np.linspace(0, len(p) - 3 - 1e-9, count)
    i, t = at.astype(int), (at % 1)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def mesh(
    points: Points, faces: list[tuple[int, ...]], look: bpy.types.Material, *, tint: Points | None = None
) -> bpy.types.Object:
    """Make a smooth-shaded object of points (n, 3) and faces; `tint` (n,), 0 to 1, colours a tinted look."""
    data = bpy.data.meshes.new("shape")
    data.from_pydata(np.asarray(points, float).tolist(), [], faces)
    data.polygons.foreach_set("use_smooth", [True] * len(faces))
    data.materials.append(look)
    if tint is not None:
        data.attributes.new("tint", "FLOAT", "POINT").data.foreach_set("value", np.asarray(tint, np.float32).ravel())
    shape = bpy.data.objects.new("shape", data)
    bpy.context.scene.collection.objects.link(shape)
    return shape


def paint(shape: bpy.types.Object, tint: Callable[[Points], Points]) -> bpy.types.Object:
    """Give a shape the tints `tint(points (n, 3)) -> (n,)`; returns it."""
    points = np.array([v.co for v in shape.data.vertices])
    layer = shape.data.attributes.get("tint") or shape.data.attributes.new("tint", "FLOAT", "POINT")
    layer.data.foreach_set("value", tint(points).clip(0, 1).astype(np.float32))
    return shape


def loft(
    rings: Points, look: bpy.types.Material, *, tint: Points | None = None, loop: bool = False, ends: bool = True
) -> bpy.types.Object:
    """Skin rings (n, k, 3); `loop` joins the last ring to the first (a torus), else `ends` closes both."""
    n, k = rings.shape[:2]
    faces: list[tuple[int, ...]] = []
    for i in range(n if loop else n - 1):
        a, b = i * k, (i + 1) % n * k
        faces += [(a + j, a + (j + 1) % k, b + (j + 1) % k, b + j) for j in range(k)]
    if ends and not loop:
        faces += [tuple(reversed(range(k))), tuple(range((n - 1) * k, n * k))]
    return mesh(rings.reshape(-1, 3), faces, look, tint=tint)


def patch(
    grid: Points, look: bpy.types.Material, *, tint: Points | None = None, thick: float = 0.0
) -> bpy.types.Object:
    """Skin an open grid of points (n, k, 3), thickened by `thick` cm: leaves, sheets, sauces."""
    n, k = grid.shape[:2]
    faces = [(i * k + j, i * k + j + k, i * k + j + k + 1, i * k + j + 1) for i in range(n - 1) for j in range(k - 1)]
    shape = mesh(grid.reshape(-1, 3), faces, look, tint=tint)
    if thick:
        shape.modifiers.new("thick", "SOLIDIFY").thickness = thick
    return shape


def circle(count: int) -> tuple[Points, Points]:
    """Cosines and sines of `count` equal angles."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.cos(angles), np.sin(angles)


def lathe(
    profile: Profile,
    look: bpy.types.Material,
    *,
    steps: int = 40,
    around: int = 96,
    tints: Sequence[float] | None = None,
    rough: float = 0.0,
    cycles: float = 0.5,
    seed: float = 0.0,
) -> bpy.types.Object:
    """Turn a profile of (radius, height) around the vertical axis; `tints` gives a tint per profile point."""
    line = smooth_line(profile, steps)
    radius, height = np.maximum(line[:, 0], 1e-3), line[:, 1]
    c, s = circle(around)
    rings = np.stack([radius[:, None] * c, radius[:, None] * s, np.repeat(height[:, None], around, 1)], -1)
    shade = smooth_line([[t] for t in tints or [0.5, 0.5]], steps).clip(0, 1)
    tint = np.repeat(shade, around, 1)
    if np.sum(np.diff(height) * (radius[1:] + radius[:-1])) < 0:  # drawn from the top down: turn the outside out
        rings, tint = rings[::-1], tint[::-1]
    return loft(wobble(rings, rough, cycles, seed), look, tint=tint)


def bar(
    length: float,
    width: float,
    height: float,
    look: bpy.types.Material,
    *,
    square: float = 2.0,
    blunt: float = 2.0,
    rough: float = 0.0,
    cycles: float = 0.5,
    bend: float = 0.0,
    seed: float = 0.0,
    around: int = 20,
    steps: int = 24,
) -> bpy.types.Object:
    """A bar along x. `square` is the exponent of its section (2 round, 6 nearly square), `blunt` that of its ends."""
    t = np.sin(np.linspace(-np.pi / 2, np.pi / 2, steps))
    swell = np.maximum(1 - np.abs(t) ** blunt, 1e-4) ** (1 / blunt)
    c, s = circle(around)
    y, z = (np.sign(v) * np.abs(v) ** (2 / square) for v in (c, s))
    x = np.repeat(t[:, None] * length / 2, around, 1)
    rings = np.stack([x, swell[:, None] * y * width / 2, swell[:, None] * z * height / 2], -1)
    rings[..., 2] += bend * (1 - t**2)[:, None]
    tint = np.repeat(np.abs(t)[:, None], around, 1)
    return loft(wobble(rings, rough, cycles, seed), look, tint=tint)


def ball(
    radii: tuple[float, float, float],
    look: bpy.types.Material,
    *,
    rough: float = 0.0,
    cycles: float = 0.5,
    seed: float = 0.0,
    around: int = 32,
) -> bpy.types.Object:
    """An ellipsoid, lumpy by `rough` cm."""
    return bar(
        2 * radii[0],
        2 * radii[1],
        2 * radii[2],
        look,
        rough=rough,
        cycles=cycles,
        seed=seed,
        around=around,
        steps=around,
    )


def drape(
    outline: Points,
    look: bpy.types.Material,
    *,
    edge: float,
    thick: float,
    steps: int = 40,
    rough: float = 0.0,
    seed: float = 0.0,
) -> bpy.types.Object:
    """Pour a sauce over a round top of radius `edge`: what of the outline (k radii) is longer hangs down."""
    c, s = circle(len(outline))
    length = np.linspace(0.002, 1, steps)[:, None] * outline
    bend = 0.35
    over = np.maximum(length - edge + bend, 0)
    turn = np.minimum(over / bend, np.pi / 2)
    radius = np.minimum(length, edge - bend) + bend * np.sin(turn)
    height = bend * (np.cos(turn) - 1) - np.maximum(over - bend * np.pi / 2, 0)
    grid = np.stack([radius * c, radius * s, height], -1)
    grid = wobble(np.concatenate([grid, grid[:, :1]], 1), rough, 0.8, seed)
    shape = patch(grid, look)
    solid = shape.modifiers.new("thick", "SOLIDIFY")
    solid.thickness, solid.offset = thick, 1
    shape.modifiers.new("soft", "SUBSURF").render_levels = 1
    return shape


def leaf(
    length: float, width: float, look: bpy.types.Material, *, curl: float = 0.3, seed: float = 0.0
) -> bpy.types.Object:
    """A leaf along x with a folded midrib; its tint is 1 along the veins."""
    u, v = np.meshgrid(np.linspace(0, 1, 28), np.linspace(-1, 1, 15), indexing="ij")
    half = width / 2 * np.sin(np.pi * u**0.8) ** 0.8
    x = length * (u - 0.5) + 0.06 * length * v**2
    z = curl * (np.abs(v) ** 1.5 * half - length * (u - 0.5) ** 2) + 0.05 * half * np.cos(u * 26 - np.abs(v) * 5)
    veins = np.exp(-((v / 0.1) ** 2)) + 0.5 * np.exp(-((np.sin(u * 13 - np.abs(v) * 2.5) / 0.2) ** 2))
    return patch(
        wobble(np.stack([x, v * half, z], -1), 0.15 * width, 0.6, seed), look, tint=veins.clip(0, 1), thick=0.02
    )


def strands(lines: Sequence[Points], radius: float, look: bpy.types.Material) -> bpy.types.Object:
    """Round strands of `radius` cm through the given lines, each (n, 3)."""
    data = bpy.data.curves.new("strands", "CURVE")
    data.dimensions, data.bevel_depth, data.bevel_resolution = "3D", radius, 2
    for line in lines:
        spline = data.splines.new("POLY")
        spline.points.add(len(line) - 1)
        spline.points.foreach_set("co", np.concatenate([line, np.ones((len(line), 1))], 1).ravel())
        spline.use_smooth = True
    data.materials.append(look)
    shape = bpy.data.objects.new("strands", data)
    bpy.context.scene.collection.objects.link(shape)
    return shape
