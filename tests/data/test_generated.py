import numpy as np
import pytest

from foodkd.data import open_photos
from foodkd.errors import FoodkdError


def test_the_seed_fixes_every_pixel() -> None:
    first, again = (
        open_photos("generated", None, "train", resolution=32, per_class=3).read(range(12)) for _ in range(2)
    )
    assert np.array_equal(first, again)
    other = open_photos("generated", None, "train", resolution=32, per_class=3, seed=1)
    assert not np.array_equal(first, other.read(range(12)))


def test_no_picture_is_in_two_splits_or_twice() -> None:
    splits = [open_photos("generated", None, s, resolution=16) for s in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [96, 24, 48]
    pixels = np.concatenate([split.read(range(len(split))) for split in splits])
    assert len({picture.tobytes() for picture in pixels}) == 168
    everything = open_photos("generated", None, "all", resolution=16)
    assert everything.ids == [name for split in splits for name in split.ids]


def test_shapes_labels_and_names() -> None:
    photos = open_photos("generated", None, "train", resolution=24, classes=9, per_class=2)
    assert photos.read([0, 17]).shape == (2, 24, 24, 3) and len(set(photos.classes)) == 9
    assert np.bincount(photos.labels).tolist() == [2] * 9
    assert all(
        photos.classes[label] == name.split("/")[0] for label, name in zip(photos.labels, photos.ids, strict=True)
    )


def test_a_linear_classifier_learns_something_but_not_from_one_pixel() -> None:
    """Least squares on coarse colours beats chance clearly: the classes can be learned."""
    train, test = (open_photos("generated", None, s, resolution=16, per_class=60) for s in ("train", "test"))

    def features(split: object) -> np.ndarray:
        photos = split.read(range(len(split))).astype(float) / 255  # type: ignore[attr-defined, arg-type]
        chroma = photos - photos.mean(-1, keepdims=True)
        middle = chroma[:, 4:12, 4:12]
        return np.concatenate([middle.max((1, 2)), middle.min((1, 2)), np.ones((len(photos), 1))], 1)

    weights = np.linalg.lstsq(features(train), np.eye(4)[train.labels], rcond=None)[0]
    assert ((features(test) @ weights).argmax(1) == test.labels).mean() > 0.6


@pytest.mark.parametrize("wrong", [{"classes": 1}, {"classes": 65}, {"per_class": 0}, {"colours": 3}])
def test_impossible_options_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(FoodkdError):
        open_photos("generated", None, "train", **wrong)  # type: ignore[arg-type]
