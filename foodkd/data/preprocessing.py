"""What happens between a photo and a network, written down once: it belongs to the checkpoint.

photo -> centre square -> antialiased reduction to `resolution` -> uint8 (R, R, 3)      `small`
(of a large JPEG, the decoder's own half, quarter or eighth with `enough` pixels will do)
uint8 (B, R, R, 3) -> values in 0..1 -> (x - mean) / std -> bilinear to the network's input side      `tensor`

Training, evaluation, app, ONNX and browser read the same description (`model_dump` / `model_validate`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor
from torch.nn import functional

from foodkd.errors import FoodkdError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Preprocessing(BaseModel):
    """The road of a photo to the networks.

    Attributes:
        resolution: side of the reduced centre square in pixels, 8 to 1024: what the networks really see.
        mean: of each channel, values in 0..1; ImageNet's by default, to suit ImageNet weights.
        std: of each channel, above 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: int = Field(default=64, ge=8, le=1024)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @field_validator("std")
    @classmethod
    def _std_above_zero(cls, std: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(std) <= 0:
            raise ValueError(f"std must be above 0 in every channel, not {std}")
        return std

    @property
    def enough(self) -> int:
        """Pixels of a photo's shorter side that are enough, for `open_photo(..., shorter=...)`.

        8 times the resolution, so that no value of `small` differs by more than 2 of 255 from the whole photo's
        (tested), and at least 640, so that the same photo can be shown.
        """
        return max(8 * self.resolution, 640)

    def crop_box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, upper, right, lower) of the centre square on a photo of that size, in pixels."""
        side = min(width, height)
        left, upper = (width - side) // 2, (height - side) // 2
        return left, upper, left + side, upper + side

    def square(self, photo: Image.Image) -> Image.Image:
        """The photo's centre square at its own resolution."""
        return photo.crop(self.crop_box(*photo.size))

    def small(self, photo: Image.Image) -> np.ndarray:
        """Centre square, reduced: uint8 (R, R, 3). A photo of R x R comes back unchanged."""
        square = self.square(photo)
        square = square if square.mode == "RGB" else square.convert("RGB")
        side = (self.resolution, self.resolution)
        if square.size != side:
            # Pillow's bicubic widens its kernel with the reduction, so it is antialiased.
            square = square.resize(side, Image.Resampling.BICUBIC)
        return np.array(square)

    def tensor(self, small: np.ndarray | Tensor, size: int) -> Tensor:
        """uint8 (B, R, R, 3) or (R, R, 3) -> float32 (B, 3, size, size), normalised, on the same device."""
        return resized(self.normalised(small), size)

    def normalised(self, small: np.ndarray | Tensor) -> Tensor:
        """uint8 (B, R, R, 3) or (R, R, 3) -> float32 (B, 3, R, R), (x / 255 - mean) / std."""
        values = self.unit(small)
        mean, std = self.statistics(values.device)
        return (values - mean) / std

    def unit(self, small: np.ndarray | Tensor) -> Tensor:
        """uint8 (B, R, R, 3) or (R, R, 3) -> float32 (B, 3, R, R) in 0..1; other shapes are refused."""
        # torch shares an array's memory only if it may be written to; a read-only memory map is copied.
        array = None if isinstance(small, Tensor) else np.require(small, requirements=["C", "W"])
        photos = torch.as_tensor(small if array is None else array)
        photos = photos.unsqueeze(0) if photos.ndim == 3 else photos
        if photos.dtype != torch.uint8 or photos.shape[1:] != (self.resolution, self.resolution, 3):
            raise FoodkdError(
                f"Reduced photos must be uint8 (B, {self.resolution}, {self.resolution}, 3), "
                f"not {photos.dtype} {tuple(photos.shape)}; make them with Preprocessing.small."
            )
        return photos.permute(0, 3, 1, 2).float().div_(255)  # (B, R, R, 3) -> (B, 3, R, R)

    def statistics(self, device: Any = "cpu") -> tuple[Tensor, Tensor]:
        """Mean and std as (3, 1, 1)."""
        return tuple(torch.tensor(v, device=device).view(3, 1, 1) for v in (self.mean, self.std))  # type: ignore[return-value]


def resized(images: Tensor, size: int) -> Tensor:
    """(B, C, R, R) -> (B, C, size, size), bilinear between pixel centres; antialiased where it shrinks."""
    side = images.shape[-1]
    if size == side:
        return images
    shrinks = size < side
    return functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinks)
