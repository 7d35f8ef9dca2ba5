import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from foodkd.data import Augmentation, Augmenter, Batch, Preprocessing
from foodkd.data.augment import TRIVIAL
from foodkd.errors import FoodkdError

SIDE = 24
PLAIN = Preprocessing(resolution=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
EVERYTHING = {
    "rotation": 20,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "erase": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
}


def photos(count: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def augmented(
    pixels: np.ndarray, *, sizes: tuple[int, ...] = (48,), seed: int = 0, step: int = 0, **options: object
) -> Batch:
    options = {"scale": (1, 1), "ratio": (1, 1), "flip": 0, **options}
    augment = Augmenter(Augmentation.model_validate(options), PLAIN, classes=10)
    return augment(pixels, torch.arange(len(pixels)) % 10, sizes=sizes, seed=seed, step=step)


def centres(images: Tensor) -> Tensor:
    """Centre of light of (B, 3, S, S) in shares of the side: (B, 2) as x, y."""
    light = images.mean(1)
    light = light / light.sum((1, 2), keepdim=True)
    place = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
    return torch.stack([(light.sum(1) * place).sum(1), (light.sum(2) * place).sum(1)], 1)


def dots(count: int = 32) -> np.ndarray:
    """A bright dot of 4 x 4 pixels in the dark, near the middle, left of it and above it."""
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    pixels[:, 8:12, 9:13] = 255
    return pixels


@pytest.mark.parametrize("size", [12, 17, SIDE, 31, 48, 96])
def test_the_identity_equals_preprocessing(size: int) -> None:
    preprocessing = Preprocessing(resolution=SIDE)
    augment = Augmenter(Augmentation.none(), preprocessing, classes=10)
    images = augment(photos(), torch.zeros(8, dtype=torch.int64), sizes=(size,), seed=0, step=0).images[0]
    assert torch.allclose(images, preprocessing.tensor(photos(), size), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_both_sizes_show_the_same_place(seed: int, step: int) -> None:
    batch = augmented(
        dots(8), sizes=(96, 72), seed=seed, step=step, scale=(0.5, 1), ratio=(0.75, 1.33), flip=0.5, rotation=15
    )
    seen = [image.mean((1, 2, 3)) > 0.004 for image in batch.images]
    whole = seen[0] & seen[1]
    assert torch.allclose(centres(batch.images[0])[whole], centres(batch.images[1])[whole], atol=0.01)


def test_a_flip_mirrors_left_and_right_only() -> None:
    flipped = augmented(photos(), flip=1.0).images[0]
    assert torch.allclose(flipped.flip(3), PLAIN.tensor(photos(), 48), atol=1e-4)


def test_flips_happen_as_often_as_asked() -> None:
    x = centres(augmented(dots(400), flip=0.3, sizes=(24,)).images[0])[:, 0]
    assert 0.22 < (x > 0.5).float().mean() < 0.38


def test_a_rotation_turns_about_the_middle() -> None:
    start = torch.tensor([11.0, 10.0]) / SIDE - 0.5
    seen = centres(augmented(dots(), rotation=180, sizes=(96,)).images[0]) - 0.5
    assert torch.allclose(seen.norm(dim=1), start.norm().expand(32), atol=0.01)
    assert seen.std(0).min() > 0.02


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.3, 3), st.floats(0.3, 3), st.integers(0, 100))
def test_crops_lie_inside_and_have_the_area_asked_for(a: float, b: float, c: float, d: float, step: int) -> None:
    from foodkd.data.augment import _Draws

    settings_ = Augmentation(scale=(min(a, b), max(a, b)), ratio=(min(c, d), max(c, d)), flip=0)
    theta = _Draws(settings_, 16, (0, step)).affine()
    width, height, x, y = theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2]
    assert (np.abs(x) + width).max() <= 1 + 1e-5 and (np.abs(y) + height).max() <= 1 + 1e-5
    assert (width * height).min() >= min(a, b) - 1e-4 and (width * height).max() <= max(a, b) + 1e-4


def test_a_turned_and_flipped_square_stays_a_square() -> None:
    from foodkd.data.augment import _Draws

    settings_ = Augmentation(scale=(0.5, 0.5), ratio=(1, 1), flip=0.5, rotation=90)
    linear = _Draws(settings_, 64, (0, 0)).affine()[:, :, :2]
    assert np.allclose(linear.transpose(0, 2, 1) @ linear, 0.5 * np.eye(2), atol=1e-5)
    assert {round(float(np.linalg.det(part)), 3) for part in linear} == {-0.5, 0.5}


def test_every_photo_draws_its_own() -> None:
    same = np.repeat(photos(1), 8, 0)
    images = augmented(same, scale=(0.3, 0.6), brightness=0.5).images[0]
    assert all(not torch.allclose(images[0], image, atol=0.01) for image in images[1:])


def test_the_key_gives_the_batch_bit_for_bit() -> None:
    first, again = (augmented(photos(), sizes=(48, 32), seed=3, step=7, **EVERYTHING) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.images, again.images, strict=True))
    assert torch.equal(first.targets, again.targets)
    for seed, step in ((3, 8), (4, 7), (7, 3), (3 + 2**32, 7)):
        other = augmented(photos(), sizes=(48, 32), seed=seed, step=step, **EVERYTHING)
        assert not torch.equal(first.images[0], other.images[0])
        assert not torch.equal(first.targets, other.targets)


def test_global_random_state_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    first = augmented(photos(), **EVERYTHING)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]
    torch.manual_seed(2)
    assert torch.equal(first.images[0], augmented(photos(), **EVERYTHING).images[0])


def test_switching_a_setting_on_leaves_the_crops_alone() -> None:
    crop = {"scale": (0.3, 0.8), "flip": 0.5}
    bare = centres(augmented(dots(), **crop).images[0])
    coloured = centres(augmented(dots(), **crop, brightness=0.2).images[0])
    assert torch.allclose(bare.nan_to_num(), coloured.nan_to_num(), atol=1e-3)


def test_equal_sizes_share_one_tensor() -> None:
    batch = augmented(photos(), sizes=(48, 48, 24))
    assert batch.images[0] is batch.images[1] and batch.images[2].shape == (8, 3, 24, 24)
    assert batch.images[0].dtype == torch.float32


def test_inputs_are_left_alone() -> None:
    pixels, labels = photos(), torch.arange(8)
    before = pixels.copy()
    Augmenter(Augmentation(**EVERYTHING), PLAIN, classes=10)(pixels, labels, sizes=(24,), seed=0, step=0)  # type: ignore[arg-type]
    assert np.array_equal(pixels, before) and torch.equal(labels, torch.arange(8))


def test_brightness_scales_each_photo_within_its_range() -> None:
    grey = np.full((200, SIDE, SIDE, 3), 100, np.uint8)
    factors = augmented(grey, brightness=0.4, sizes=(24,)).images[0][:, 0, 0, 0] / (100 / 255)
    assert 0.6 <= factors.min() < 0.65 and 1.35 < factors.max() <= 1.4001


def test_contrast_keeps_the_mean_grey_and_scales_the_spread() -> None:
    pixels = photos(50) // 4 + 96  # far from 0 and 255: nothing is cut off
    before = PLAIN.tensor(pixels, SIDE)
    after = augmented(pixels, contrast=0.5, sizes=(SIDE,)).images[0]
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((after * luma).sum(1).mean((1, 2)), (before * luma).sum(1).mean((1, 2)), atol=1e-4)
    ratios = after.std((2, 3))[:, 0] / before.std((2, 3))[:, 0]
    assert 0.5 <= ratios.min() < 0.6 and 1.4 < ratios.max() <= 1.501


def test_contrast_after_brightness_turns_about_the_brightened_mean() -> None:
    pixels = photos(50) // 8 + 100
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    bright, both = (
        (augmented(pixels, sizes=(SIDE,), brightness=0.3, contrast=contrast).images[0] * luma).sum(1).mean((1, 2))
        for contrast in (0, 0.5)
    )
    assert torch.allclose(bright, both, atol=1e-4)


@pytest.mark.parametrize("options", [{"saturation": 0.8}, {"hue": 0.5}])
def test_saturation_and_hue_leave_greys_and_brightness_alone(options: dict[str, float]) -> None:
    grey = np.repeat(photos(4)[..., :1], 3, axis=-1)
    assert torch.allclose(augmented(grey, sizes=(SIDE,), **options).images[0], PLAIN.tensor(grey, SIDE), atol=2e-3)
    pixels = photos(20) // 8 + 112
    before, after = PLAIN.tensor(pixels, SIDE), augmented(pixels, sizes=(SIDE,), **options).images[0]
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((after * luma).sum(1), (before * luma).sum(1), atol=2e-3)
    assert not torch.allclose(after, before, atol=0.01)


def test_hue_turns_red_towards_green_and_blue() -> None:
    red = np.zeros((200, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 200
    seen = augmented(red, hue=0.5, sizes=(SIDE,)).images[0][:, :, 0, 0]
    assert {int(i) for i in seen.argmax(1)} == {0, 1, 2}


def test_trivial_changes_one_thing_at_a_time() -> None:
    grey = np.full((300, SIDE, SIDE, 3), 100, np.uint8)
    brightness = augmented(grey, trivial=True, sizes=(SIDE,)).images[0][:, 0, 0, 0] / (100 / 255)
    changed = (brightness - 1).abs() > 1e-3  # of its operations only brightness moves an even grey
    assert abs(changed.float().mean() - 1 / len(TRIVIAL)) < 0.08
    assert brightness.min() >= 1 - TRIVIAL["brightness"] - 1e-3


def test_erase_covers_boxes_with_the_mean_colour_alike_for_every_size() -> None:
    preprocessing = Preprocessing(resolution=SIDE)
    white = np.full((200, SIDE, SIDE, 3), 255, np.uint8)
    augment = Augmenter(Augmentation(scale=(1, 1), ratio=(1, 1), flip=0, erase=0.5), preprocessing, classes=10)
    batch = augment(white, torch.zeros(200, dtype=torch.int64), sizes=(96, 48), seed=0, step=0)
    large, small = ((image == 0).all(1).float().mean((1, 2)) for image in batch.images)
    assert 0.4 < (large > 0).float().mean() < 0.6
    assert large[large > 0].min() > 0.01 and large.max() < 0.36
    assert torch.allclose(large, small, atol=0.05)


def test_without_mixing_the_targets_are_the_labels() -> None:
    batch = augmented(photos())
    assert batch.targets.dtype == torch.int64 and torch.equal(batch.targets, batch.labels)


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_mixed_targets_are_probabilities_led_by_the_own_label(options: dict[str, float]) -> None:
    batch = augmented(photos(40), **options)
    assert batch.targets.shape == (40, 10) and batch.targets.dtype == torch.float32
    assert torch.allclose(batch.targets.sum(1), torch.ones(40)) and batch.targets.min() >= 0
    own = batch.targets.gather(1, batch.labels[:, None])[:, 0]
    assert own.min() >= 0.5 and (own < 0.999).float().mean() > 0.5


def flat(values: np.ndarray) -> np.ndarray:
    """Photos of one even grey each, (B, R, R, 3)."""
    return np.broadcast_to(values[:, None, None, None], (len(values), SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("options", [{"mixup": 1.0}, {"cutmix": 1.0}])
@pytest.mark.parametrize("size", [48, 33])
def test_the_mixture_in_the_picture_is_the_one_in_the_target(options: dict[str, float], size: int) -> None:
    # Photo i is an even grey of 20 i and has label i: its mean must be the targets' mean of these greys.
    values = np.arange(10) * 20
    batch = augmented(flat(values), sizes=(size, 96), **options)
    expected = batch.targets @ torch.from_numpy(values).float() / 255
    for image in batch.images:
        assert torch.allclose(image.mean((1, 2, 3)), expected, atol=0.03 if "cutmix" in options else 1e-4)


def test_cutmix_pastes_a_box_and_mixup_blends() -> None:
    values = np.arange(10) * 20
    cut = augmented(flat(values), cutmix=1.0, sizes=(24,)).images[0]
    blend = augmented(flat(values), mixup=1.0, sizes=(24,)).images[0]
    assert max(len(image.mul(255).round().unique()) for image in blend) == 1
    counts = [len(image.mul(255).round().unique()) for image in cut]
    assert max(counts) == 2


def test_mix_probability() -> None:
    batch = augmented(photos(300), mixup=1.0, mix_probability=0.3)
    mixed = batch.targets.max(1).values < 0.9999
    assert 0.15 < mixed.float().mean() < 0.4
    assert augmented(photos(8), mixup=1.0, mix_probability=0).targets.max(1).values.min() == 1


def test_labels_out_of_range_are_refused() -> None:
    augment = Augmenter(Augmentation(mixup=1.0), PLAIN, classes=3)
    with pytest.raises(FoodkdError, match=r"0\.\.2"):
        augment(photos(4), torch.arange(4), sizes=(24,), seed=0, step=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (0, 1)},
        {"scale": (0.8, 0.3)},
        {"scale": (0.5, 1.5)},
        {"ratio": (-1, 1)},
        {"flip": 1.5},
        {"hue": 0.7},
        {"mixup": -1},
        {"colour": 1},
        {"trivial": True, "brightness": 0.2},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as error:
        Augmentation.model_validate(wrong)
    assert list(wrong)[-1] in str(error.value)
