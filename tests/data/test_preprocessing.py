import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from foodkd.data import Preprocessing
from foodkd.errors import FoodkdError


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_crop_is_a_central_square_inside_the_photo(width: int, height: int) -> None:
    left, upper, right, lower = Preprocessing().crop_box(width, height)
    assert right - left == lower - upper == min(width, height)
    assert left >= 0 and upper >= 0 and right <= width and lower <= height
    assert abs((left + right) - width) <= 1 and abs((upper + lower) - height) <= 1


@settings(max_examples=30)
@given(st.integers(1, 120), st.integers(1, 120), st.sampled_from(["RGB", "L", "RGBA", "P", "CMYK"]))
def test_any_photo_becomes_small(width: int, height: int, mode: str) -> None:
    small = Preprocessing(resolution=16).small(Image.new(mode, (width, height)))
    assert small.shape == (16, 16, 3) and small.dtype == np.uint8 and small.flags.writeable


def test_a_photo_of_the_right_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(Preprocessing(resolution=32).small(Image.fromarray(pixels)), pixels)


def test_reduction_is_antialiased() -> None:
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::2] = 255  # a sampler without a filter would return 0 or 255
    small = Preprocessing(resolution=64).small(Image.fromarray(stripes)).astype(int)
    assert np.abs(small[:, 2:-2] - 127.5).max() < 2


def test_square_keeps_the_photos_own_resolution() -> None:
    photo = Image.new("RGB", (50, 30), "red")
    photo.paste((0, 0, 255), (10, 0, 40, 30))
    square = Preprocessing().square(photo)
    assert square.size == (30, 30) and square.getcolors() == [(900, (0, 0, 255))]


def test_tensor_is_normalised_and_enlarged_bilinearly() -> None:
    preprocessing = Preprocessing(resolution=8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    small = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    same = preprocessing.tensor(small, 8)
    expected = (small / 255 - (0.1, 0.2, 0.3)) / (0.5, 0.25, 2.0)
    assert torch.allclose(same, torch.from_numpy(expected).permute(0, 3, 1, 2).float(), atol=1e-6)
    big = preprocessing.tensor(torch.from_numpy(small), 16)
    assert big.shape == (2, 3, 16, 16) and big.dtype == torch.float32
    # Between two pixel centres at a quarter and three quarters: align_corners=False.
    assert torch.allclose(big[:, :, 0, 1], 0.75 * same[:, :, 0, 0] + 0.25 * same[:, :, 0, 1], atol=1e-5)
    assert torch.equal(big[:, :, 0, 0], same[:, :, 0, 0])


def test_one_photo_and_a_read_only_array_are_accepted() -> None:
    preprocessing = Preprocessing(resolution=8)
    small = np.zeros((8, 8, 3), np.uint8)
    small.flags.writeable = False
    assert preprocessing.tensor(small, 12).shape == (1, 3, 12, 12)


@pytest.mark.parametrize(
    "small", [np.zeros((9, 9, 3), np.uint8), np.zeros((1, 8, 8, 3), np.float32), np.zeros((3, 8, 8), np.uint8)]
)
def test_other_shapes_are_refused(small: np.ndarray) -> None:
    with pytest.raises(FoodkdError, match=r"uint8 \(B, 8, 8, 3\)"):
        Preprocessing(resolution=8).tensor(small, 8)


def test_round_trip_through_json() -> None:
    preprocessing = Preprocessing(resolution=96, mean=(0.55, 0.44, 0.34), std=(0.27, 0.26, 0.28))
    assert Preprocessing.model_validate_json(preprocessing.model_dump_json()) == preprocessing
    assert Preprocessing.model_validate(preprocessing.model_dump()) == preprocessing


@pytest.mark.parametrize("wrong", [{"resolution": 0}, {"std": (0, 1, 1)}, {"mean": (1, 2)}, {"size": 64}])
def test_impossible_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate(wrong)
