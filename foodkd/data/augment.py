"""Augmentation per photo, of a whole batch at once, the same for teacher and student.

One affine map per photo (crop, flip, rotation) is sampled by one `grid_sample` for each input size, so both
networks see the same place whatever their sizes. All colour changes of a photo are one 3 x 3 matrix and an offset,
applied to the small picture before it is enlarged. Every random number is keyed by (seed, step) and by its purpose:
the same key gives the same batch bit for bit, and switching one setting leaves the others' draws alone.

    augment = Augmenter(Augmentation(mixup=0.2), preprocessing, classes=101)
    batch = augment(photos, labels, sizes=(160, 128), seed=0, step=17)
    teacher_images, student_images = batch.images
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor
from torch.nn import functional

from foodkd.data.preprocessing import Preprocessing, resized
from foodkd.data.sampling import stream
from foodkd.errors import FoodkdError

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""

TRIVIAL = {"nothing": 0.0, "brightness": 0.7, "contrast": 0.7, "saturation": 0.9, "hue": 0.1, "rotation": 45.0}
"""Operations of `trivial` and the greatest strength of each, in the units of the setting of that name."""

COLOUR = ("brightness", "contrast", "saturation", "hue")


class Augmentation(BaseModel):
    """What may happen to a training photo. Ranges are symmetric: brightness 0.4 means a factor in 0.6..1.4.

    Attributes:
        scale: share of the photo's area that the random crop covers, (low, high) in (0, 1].
        ratio: width / height of the crop, drawn evenly in its logarithm; narrowed where the crop would not fit.
        flip: probability of a left-right flip.
        rotation: greatest angle in degrees, either way, 0 to 180; corners are filled by reflection.
        brightness: greatest change of the factor on all values, 0 to 1.
        contrast: greatest change of the factor on the distance from the photo's mean grey, 0 to 1.
        saturation: greatest change of the factor on the distance from grey, 0 to 1.
        hue: greatest turn of the colour circle, either way, 0 to 0.5 of it (turned in YIQ, not HSV).
        erase: probability that a rectangle of 2 to 33 % of the photo becomes the mean colour (random erasing,
            arXiv:1708.04896).
        trivial: one operation of `TRIVIAL` per photo, with a strength drawn evenly up to its greatest (after
            TrivialAugment, arXiv:2103.10158). Excludes the five settings that it draws itself.
        mixup: alpha of Beta(alpha, alpha) (arXiv:1710.09412); 0 is off. The weight kept is the larger one, so a
            photo's own label always leads.
        cutmix: alpha of CutMix (arXiv:1905.04899); 0 is off. With both on, each photo draws which.
        mix_probability: share of the photos that are mixed at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: tuple[float, float] = (0.35, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    flip: float = Field(default=0.5, ge=0, le=1)
    rotation: float = Field(default=0.0, ge=0, le=180)
    brightness: float = Field(default=0.0, ge=0, le=1)
    contrast: float = Field(default=0.0, ge=0, le=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    hue: float = Field(default=0.0, ge=0, le=0.5)
    erase: float = Field(default=0.0, ge=0, le=1)
    trivial: bool = False
    mixup: float = Field(default=0.0, ge=0, le=100)
    cutmix: float = Field(default=0.0, ge=0, le=100)
    mix_probability: float = Field(default=1.0, ge=0, le=1)

    @field_validator("scale", "ratio")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if not 0 < bounds[0] <= bounds[1] or not math.isfinite(bounds[1]):
            raise ValueError(f"must be (low, high) with 0 < low <= high, not {bounds}")
        return bounds

    @field_validator("scale")
    @classmethod
    def _at_most_all(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[1] > 1:
            raise ValueError(f"a crop covers at most the whole photo: scale must end at 1 or below, not {bounds[1]}")
        return bounds

    @model_validator(mode="after")
    def _trivial_alone(self) -> Augmentation:
        clash = [name for name in TRIVIAL if getattr(self, name, 0)]
        if self.trivial and clash:
            names = ", ".join(clash)
            raise ValueError(f"trivial draws {names} itself; set {names} to 0 or trivial to false")
        return self

    @property
    def mixes(self) -> bool:
        """Whether targets are probabilities (B, K) rather than labels (B,)."""
        return self.mixup > 0 or self.cutmix > 0

    @classmethod
    def none(cls) -> Augmentation:
        """The identity: whole photo, no flip, nothing else."""
        return cls(scale=(1, 1), ratio=(1, 1), flip=0)


@dataclass(frozen=True)
class Batch:
    """One augmented batch.

    Attributes:
        images: one float32 (B, 3, S, S) per requested size; equal sizes share one tensor.
        labels: int64 (B,): each photo's own label, which leads where photos are mixed.
        targets: int64 (B,), or float32 (B, K) summing to 1 where the settings mix photos.
    """

    images: tuple[Tensor, ...]
    labels: Tensor
    targets: Tensor


class Augmenter:
    """Turns packed photos into training batches; see `Augmentation` for what it may do."""

    def __init__(self, settings: Augmentation, preprocessing: Preprocessing, *, classes: int) -> None:
        """Hold the settings; `classes` is K, the width of mixed targets."""
        self.settings = settings
        self.preprocessing = preprocessing
        self.classes = classes

    def __call__(
        self,
        photos: np.ndarray | Tensor,
        labels: np.ndarray | Tensor,
        *,
        sizes: tuple[int, ...],
        seed: int,
        step: int,
        device: torch.device | str = "cpu",
    ) -> Batch:
        """Augment one batch.

        Args:
            photos: uint8 (B, R, R, 3), R the preprocessing's resolution.
            labels: int64 (B,).
            sizes: input side in pixels of each network.
            seed: of the run.
            step: of the batch in the run; (seed, step) keys every draw.
            device: where the work is done and the batch lies. Draws are made on the CPU, alike everywhere.
        """
        pixels = torch.as_tensor(photos).to(device)
        own = torch.as_tensor(labels).to(device=device, dtype=torch.int64)
        draws = _Draws(self.settings, len(pixels), (seed, step))
        source = self._coloured(self.preprocessing.unit(pixels), draws)
        mean, std = self.preprocessing.statistics(source.device)
        source = (source - mean) / std
        theta = torch.from_numpy(draws.affine()).to(device)
        images = {size: draws.finish(sampled(source, theta, size)) for size in dict.fromkeys(sizes)}
        return Batch(tuple(images[size] for size in sizes), own, self._targets(own, draws))

    def _coloured(self, values: Tensor, draws: _Draws) -> Tensor:
        """Apply each photo's colour matrix to (B, 3, R, R) in 0..1, if any setting asks for one."""
        if not draws.changes_colour:
            return values
        means = values.mean((2, 3)).double().cpu().numpy()
        matrix, offset = (torch.from_numpy(part).to(values.device) for part in draws.colour(means))
        changed = torch.baddbmm(offset, matrix, values.flatten(2))  # (B, 3, 3) @ (B, 3, R*R)
        return changed.clamp_(0, 1).view_as(values)

    def _targets(self, labels: Tensor, draws: _Draws) -> Tensor:
        """Labels (B,), or probabilities (B, K) where the settings mix."""
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise FoodkdError(f"Labels must lie in 0..{self.classes - 1}, not up to {int(labels.max())}.")
        if not self.settings.mixes:
            return labels
        partner, kept = draws.mix_weights(labels.device)
        own = functional.one_hot(labels, self.classes).float()
        return own * kept[:, None] + own[partner] * (1 - kept[:, None])


def sampled(source: Tensor, theta: Tensor, size: int) -> Tensor:
    """Sample (B, 3, R, R) through an affine map per photo, theta (B, 2, 3), to (B, 3, size, size).

    The identity map equals `Preprocessing.tensor`. Where the result is smaller than the source, the photo is
    sampled at its own resolution and then reduced with antialiasing.
    """
    side = max(size, source.shape[-1])
    grid = functional.affine_grid(theta, [len(source), source.shape[1], side, side], align_corners=False)
    # Reflection only matters to rotated crops; within the photo it equals repeating the border.
    return resized(functional.grid_sample(source, grid, padding_mode="reflection", align_corners=False), size)


class _Draws:
    """The random choices for one batch of B photos, each kind from a stream of its own."""

    def __init__(self, settings: Augmentation, count: int, key: tuple[int, int]) -> None:
        self.settings, self.count, self.key = settings, count, key
        self.strengths = self._strengths()
        self.changes_colour = any(self.strengths[name].any() for name in COLOUR)
        self._mix = self._draw_mix() if settings.mixes else None

    def _stream(self, purpose: str) -> np.random.Generator:
        return stream(purpose, *self.key)

    def _strengths(self) -> dict[str, np.ndarray]:
        """Signed strength (B,) of every operation: its own setting's range, or trivial's one operation per photo."""
        names = [name for name in TRIVIAL if name != "nothing"]
        units = {name: self._stream(name).uniform(-1, 1, self.count) for name in names}
        if not self.settings.trivial:
            return {name: unit * getattr(self.settings, name) for name, unit in units.items()}
        choice = self._stream("trivial").integers(len(TRIVIAL), size=self.count)
        order = list(TRIVIAL)
        return {name: unit * TRIVIAL[name] * (choice == order.index(name)) for name, unit in units.items()}

    def affine(self) -> np.ndarray:
        """theta, float32 (B, 2, 3): output coordinates in [-1, 1] -> the photo's."""
        width, height, x, y = self._crop()
        flip = np.where(self._stream("flip").random(self.count) < self.settings.flip, -1.0, 1.0)
        angle = np.deg2rad(self.strengths["rotation"])
        cos, sin = np.cos(angle), np.sin(angle)
        rows = [[cos * width * flip, -sin * height, x], [sin * width * flip, cos * height, y]]
        return np.array(rows).transpose(2, 0, 1).astype(np.float32)

    def _crop(self) -> tuple[np.ndarray, ...]:
        """Width and height as shares of the photo and the centre in [-1, 1], each (B,), always inside the photo."""
        width, height = self._box(self._stream("crop"), self.settings.scale, self.settings.ratio)
        centre = self._stream("place").uniform(-1, 1, (2, self.count))
        return width, height, centre[0] * (1 - width), centre[1] * (1 - height)

    def _box(
        self, random: np.random.Generator, scale: tuple[float, float], ratio: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sides (B,), (B,) of boxes of an area in `scale` and a shape in `ratio`, as shares of the photo."""
        area = random.uniform(*scale, self.count)
        # A box of area a fits if its shape lies in a..1/a; narrowing the range keeps the area, rejecting would not be
        # one vectorised draw.
        low = np.log(np.clip(ratio[0], area, 1 / area))
        high = np.log(np.clip(ratio[1], area, 1 / area))
        shape = np.exp(low + (high - low) * random.random(self.count))
        return np.minimum(np.sqrt(area * shape), 1), np.minimum(np.sqrt(area / shape), 1)

    def colour(self, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (B, 3, 3) and offset (B, 3, 1), float32: brightness, contrast, saturation, hue in this order.

        means: (B, 3), each photo's mean colour, which contrast needs.
        """
        bright, contrast, saturation = (1 + self.strengths[n] for n in ("brightness", "contrast", "saturation"))
        grey = np.broadcast_to(np.array(LUMA), (3, 3))
        vivid = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * grey
        turned = _hue_matrix(self.strengths["hue"]) @ vivid
        matrix = turned * (bright * contrast)[:, None, None]
        # Contrast moves values away from the brightened photo's mean grey; saturation and hue leave greys as they are.
        offset = (1 - contrast) * bright * (means @ np.array(LUMA))
        offset = np.broadcast_to(offset[:, None, None], (self.count, 3, 1))
        return matrix.astype(np.float32), np.ascontiguousarray(offset, dtype=np.float32)

    def _draw_mix(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Partner (B,), kept weight (B,), which are cutmix (B,), and the pasted box (B, 4) as x0, y0, x1, y1."""
        settings, random = self.settings, self._stream("mix")
        partner = random.permutation(self.count)
        cut = random.random(self.count) < (0.5 if settings.mixup and settings.cutmix else float(settings.cutmix > 0))
        alpha = np.where(cut, settings.cutmix or 1.0, settings.mixup or 1.0)
        kept = random.beta(alpha, alpha)
        kept = np.where(random.random(self.count) < settings.mix_probability, np.maximum(kept, 1 - kept), 1.0)
        side, corner = np.sqrt(1 - kept), random.random((2, self.count))
        left, upper = corner[0] * (1 - side), corner[1] * (1 - side)
        return partner, kept, cut, np.stack([left, upper, left + side, upper + side], 1)

    def mix_weights(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Partner int64 (B,) and the weight of the photo's own label, float32 (B,)."""
        assert self._mix is not None
        return torch.from_numpy(self._mix[0]).to(device), torch.from_numpy(self._mix[1]).float().to(device)

    def finish(self, images: Tensor) -> Tensor:
        """Mix and erase on (B, 3, S, S), normalised; boxes are placed by shares of the side, alike for every S."""
        if self._mix is not None:
            images = self._mixed(images)
        if self.settings.erase:
            images = images.masked_fill(_inside(self._erased(), images), 0.0)  # 0 is the mean colour
        return images

    def _mixed(self, images: Tensor) -> Tensor:
        """Blend or paste each photo's partner."""
        assert self._mix is not None
        partner, kept, cut, box = self._mix
        other = images[torch.from_numpy(partner).to(images.device)]
        weight = torch.from_numpy(np.where(cut, 1.0, kept)).float().to(images.device)[:, None, None, None]
        blended = torch.lerp(other, images, weight)
        if not cut.any():
            return blended
        pasted = _inside(np.where(cut[:, None], box, 0.0), images)
        return torch.where(pasted, other, blended)

    def _erased(self) -> np.ndarray:
        """Boxes to erase, (B, 4) as x0, y0, x1, y1; empty for photos that are spared."""
        random = self._stream("erase")
        width, height = self._box(random, (0.02, 0.33), (0.3, 3.3))
        left, upper = random.random(self.count) * (1 - width), random.random(self.count) * (1 - height)
        spared = random.random(self.count) >= self.settings.erase
        return np.where(spared[:, None], 0.0, np.stack([left, upper, left + width, upper + height], 1))


def _inside(boxes: np.ndarray, images: Tensor) -> Tensor:
    """bool (B, 1, S, S): which pixel centres lie inside each photo's box, given in shares of the side."""
    centres = (np.arange(images.shape[-1]) + 0.5) / images.shape[-1]
    across = (boxes[:, 0, None] <= centres) & (centres < boxes[:, 2, None])  # (B, S)
    down = (boxes[:, 1, None] <= centres) & (centres < boxes[:, 3, None])
    return torch.from_numpy(down[:, None, :, None] & across[:, None, None, :]).to(images.device)


def _hue_matrix(turns: np.ndarray) -> np.ndarray:
    """(B,) turns of the colour circle -> (B, 3, 3): rotation of the chroma plane of YIQ; greys stay greys."""
    to_yiq = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
    cos, sin = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    zero, one = np.zeros_like(turns), np.ones_like(turns)
    rotation = np.array([[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]]).transpose(2, 0, 1)
    return np.linalg.inv(to_yiq) @ rotation @ to_yiq
