"""Placing: copies, seeded scattering over surfaces, and piles that really fell (rigid bodies)."""

from collections.abc import Callable, Iterable, Sequence

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion, Vector

Keep = Callable[[np.ndarray, np.ndarray], np.ndarray]


def put(
    shape: bpy.types.Object,
    at: Sequence[float] = (0, 0, 0),
    *,
    turn: Sequence[float] = (0, 0, 0),
    size: float | Sequence[float] = 1.0,
) -> bpy.types.Object:
    """Move a shape to `at` (cm), turned by Euler angles in degrees and scaled; returns it."""
    scale = (size,) * 3 if isinstance(size, int | float) else size
    shape.matrix_world = Matrix.LocRotScale(Vector(at), Euler(np.radians(turn)), Vector(scale))
    return shape


def copy(shape: bpy.types.Object) -> bpy.types.Object:
    """Another object of the same mesh."""
    twin = shape.copy()
    bpy.context.scene.collection.objects.link(twin)
    return twin


def remove(shape: bpy.types.Object) -> None:
    """Take a template out of the picture once its copies stand."""
    bpy.data.objects.remove(shape)


def surface_points(
    shape: bpy.types.Object, count: int, rng: np.random.Generator, keep: Keep | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sample points and normals (n, 3), in world space, evenly over a shape; `keep(points, normals)` filters."""
    faces = shape.data.polygons
    areas = np.array([f.area for f in faces])
    spots, normals = [], []
    for i in rng.choice(len(faces), count, p=areas / areas.sum()):
        corners = np.array([shape.data.vertices[v].co for v in faces[i].vertices])
        spots.append(rng.dirichlet(np.ones(len(corners))) @ corners)
        normals.append(faces[i].normal)
    matrix = np.array(shape.matrix_basis)
    points = np.array(spots) @ matrix[:3, :3].T + matrix[:3, 3]
    facing = np.array(normals) @ np.linalg.inv(matrix[:3, :3])
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    chosen = keep(points, facing) if keep else np.ones(count, bool)
    return points[chosen], facing[chosen]


def sow(
    seeds: Sequence[bpy.types.Object],
    shape: bpy.types.Object,
    count: int,
    rng: np.random.Generator,
    *,
    keep: Keep | None = None,
    lift: float = 0.0,
    tilt: float = 0.15,
    sizes: tuple[float, float] = (0.85, 1.15),
) -> list[bpy.types.Object]:
    """Lay copies of the seeds, one chosen at random each time, flat on a shape's surface, then remove the seeds."""
    grown = []
    for point, normal in zip(*surface_points(shape, count, rng, keep), strict=True):
        leaning = Vector(normal + tilt * rng.normal(size=3)).normalized()
        spin = Quaternion((0, 0, 1), rng.uniform(0, 2 * np.pi))
        twin = copy(seeds[rng.integers(len(seeds))])
        turn = leaning.to_track_quat("Z", "Y") @ spin
        twin.matrix_world = Matrix.LocRotScale(Vector(point + lift * normal), turn, Vector((rng.uniform(*sizes),) * 3))
        grown.append(twin)
    for seed in seeds:
        remove(seed)
    return grown


def above(height: float = -1e9, steep: float = 0.4) -> Keep:
    """Keep points over `height` cm whose surface faces up at least `steep` (the normal's z)."""
    return lambda points, normals: (points[:, 2] > height) & (normals[:, 2] > steep)


def spaced(
    count: int, radius: float, gap: float, rng: np.random.Generator, *, tries: int = 4000
) -> list[tuple[float, float]]:
    """Up to `count` places (x, y) in a disc of `radius`, no two nearer than `gap`."""
    places: list[tuple[float, float]] = []
    for _ in range(tries):
        x, y = rng.uniform(-radius, radius, 2)
        if x * x + y * y < radius * radius and all((x - a) ** 2 + (y - b) ** 2 > gap * gap for a, b in places):
            places.append((x, y))
        if len(places) == count:
            break
    return places


def drop(
    falling: Sequence[bpy.types.Object], fixed: Iterable[bpy.types.Object], *, frames: int = 110, hull: str = "BOX"
) -> None:
    """Let shapes fall onto fixed ones and come to rest; afterwards they stay where they lie."""
    scene = bpy.context.scene
    bpy.ops.rigidbody.world_add()
    world = scene.rigidbody_world
    world.substeps_per_frame, world.solver_iterations, world.point_cache.frame_end = 6, 12, frames
    scene.gravity, scene.frame_end = (0, 0, -150), frames
    for shape in fixed:
        _body(shape, "PASSIVE", "MESH")
    for shape in falling:
        _body(shape, "ACTIVE", hull)
    for frame in range(1, frames + 1):
        scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    rest = [shape.evaluated_get(graph).matrix_world.copy() for shape in falling]
    bpy.ops.rigidbody.world_remove()
    for shape, matrix in zip(falling, rest, strict=True):
        shape.matrix_world = matrix


def _body(shape: bpy.types.Object, kind: str, hull: str) -> None:
    with bpy.context.temp_override(object=shape, active_object=shape, selected_objects=[shape]):
        bpy.ops.rigidbody.object_add(type=kind)
    body = shape.rigid_body
    body.collision_shape, body.friction, body.restitution = hull, 0.7, 0.0
    body.use_margin, body.collision_margin = True, 0.02
    body.linear_damping, body.angular_damping = 0.2, 0.4
