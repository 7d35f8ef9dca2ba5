"""The studio: an empty scene, window light, a camera with depth of field, and the developing of the picture."""

from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Vector
from PIL import Image, ImageEnhance

from .looks import linear

LARGEST = 100_000  # bytes a committed picture may have


def clear() -> None:
    """Start from an empty scene whose result depends on nothing but the script."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.cycles.seed = 0
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.03
    scene.cycles.sample_clamp_indirect = 6.0
    scene.cycles.max_bounces, scene.cycles.caustics_refractive, scene.cycles.caustics_reflective = 6, False, False
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Punchy"


def window(
    azimuth: float = 120,
    height: float = 45,
    *,
    bright: float = 1.0,
    tint: str = "#fff4e6",
    fill: str = "#97938f",
    wide: float = 60,
) -> None:
    """Light from a window of two panes (angles in degrees seen from the table), and a dim room of colour `fill`."""
    aim = Euler((np.radians(90 - height), 0, np.radians(azimuth + 90)))
    for side in (-1, 1):
        data = bpy.data.lights.new("pane", "AREA")
        data.shape, data.size, data.size_y = "RECTANGLE", wide * 0.46, wide * 1.1
        data.energy, data.color = 150_000 * bright, linear(tint)[:3]
        pane = bpy.data.objects.new("pane", data)
        pane.rotation_euler = aim
        pane.location = aim.to_matrix() @ Vector((side * wide * 0.26, 0, 75))
        bpy.context.scene.collection.objects.link(pane)
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = linear(fill)
    bpy.context.scene.world = world


def camera(
    aim: tuple[float, float, float],
    *,
    away: float,
    azimuth: float = -90,
    height: float = 40,
    lens: float = 60,
    blur: float = 0.4,
) -> None:
    """Look at `aim` from `away` cm; `lens` in mm of a 36 mm sensor, `blur` is the radius of the aperture in cm."""
    data = bpy.data.cameras.new("camera")
    eye = bpy.data.objects.new("camera", data)
    a, h = np.radians(azimuth), np.radians(height)
    offset = away * Vector((np.cos(a) * np.cos(h), np.sin(a) * np.cos(h), np.sin(h)))
    eye.location = Vector(aim) + offset
    eye.rotation_euler = (-offset).to_track_quat("-Z", "Y").to_euler()
    data.lens, data.clip_end, data.dof.use_dof, data.dof.focus_distance = lens, 1000, True, 0.97 * away
    data.dof.aperture_fstop = lens / 1000 / (2 * blur)
    bpy.context.scene.collection.objects.link(eye)
    bpy.context.scene.camera = eye


def _develop(picture: Image.Image) -> Image.Image:
    """Give the flat render the colour and contrast that a telephone gives its photos."""
    return ImageEnhance.Contrast(ImageEnhance.Color(picture).enhance(1.12)).enhance(1.06)


def photograph(path: Path, *, side: int, samples: int, grain: float = 2.0) -> None:
    """Render the scene, add a sensor's grain, and save the best JPEG that stays under 100 kB."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = side
    scene.cycles.samples = samples
    scene.render.image_settings.file_format = "PNG"
    raw = path.with_suffix(".raw.png")
    scene.render.filepath = str(raw)
    bpy.ops.render.render(write_still=True)
    pixels = np.asarray(_develop(Image.open(raw).convert("RGB")), np.float32)
    raw.unlink()
    specks = np.random.default_rng(0).normal(0, grain, pixels.shape[:2])[..., None]
    picture = Image.fromarray((pixels + specks).round().clip(0, 255).astype(np.uint8))
    for quality in range(92, 40, -3):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size < LARGEST:
            return
