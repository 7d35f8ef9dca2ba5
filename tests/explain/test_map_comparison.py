"""Two networks' maps on one grid of the photo, and the figures of their agreement."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foodkd.errors import FoodkdError
from foodkd.explain import (
    ActivationMap,
    Agreement,
    Explanation,
    agreement,
    compare,
    measure_agreement,
    on_photo,
    shipped_agreement,
)
from foodkd.explain.compare import axis_weights
from foodkd.nets import Pair

# Two networks of one photo, InceptionV3-like (cells start well inside) and MobileNetV2-like (they start at the edge).
INNER = {"start": 21.0, "step": 16.0, "size": 160, "grid": 8}
OUTER = {"start": 0.0, "step": 16.0, "size": 128, "grid": 8}


def made(values: np.ndarray, *, start: float, step: float, size: int, network: str = "teacher") -> ActivationMap:
    return ActivationMap(np.asarray(values, np.float32), network, "iam", 3, "last", "cam", 0, start, step, size)


def blob(
    x: float, y: float, *, start: float, step: float, size: int, grid: int, network: str = "teacher"
) -> ActivationMap:
    """A bright blob of the photo, sampled where this network's cells lie; x and y in fractions of the side."""
    centres = (start + step * np.arange(grid) + 0.5) / size
    values = np.exp(-((centres[:, None] - y) ** 2 + (centres[None] - x) ** 2) / (2 * 0.08**2))
    return made(values, start=start, step=step, size=size, network=network)


geometries = st.tuples(
    st.integers(1, 14), st.floats(-8, 40), st.sampled_from([1.0, 4.0, 8.0, 16.0, 32.0]), st.integers(32, 256)
)


# --- resampling


@settings(max_examples=60, deadline=None)
@given(geometries, st.integers(1, 90), st.sampled_from(["linear", "cubic", "nearest"]), st.floats(-1e3, 1e3))
def test_constant_maps_stay_constant(
    geometry: tuple[int, float, float, int], side: int, form: str, level: float
) -> None:
    count, start, step, size = geometry
    constant = made(np.full((count, count), level), start=start, step=step, size=size)
    np.testing.assert_allclose(on_photo(constant, side, form=form), np.float32(level), rtol=1e-6, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(geometries, st.integers(2, 90), st.floats(-5, 5), st.floats(-5, 5), st.sampled_from(["linear", "cubic"]))
def test_ramps_stay_linear_inside(
    geometry: tuple[int, float, float, int], side: int, slope_x: float, slope_y: float, form: str
) -> None:
    count, start, step, size = geometry
    pixels = start + step * np.arange(count)
    ramp = made(slope_y * pixels[:, None] / size + slope_x * pixels / size + 1, start=start, step=step, size=size)
    places = (np.arange(side) + 0.5) / side * size - 0.5
    margin = step if form == "cubic" else 0.0  # a cubic asks one cell further
    inside = (places >= pixels[0] + margin) & (places <= pixels[-1] - margin)
    expected = slope_y * places[:, None] / size + slope_x * places / size + 1
    found = on_photo(ramp, side, form=form)
    np.testing.assert_allclose(found[np.ix_(inside, inside)], expected[np.ix_(inside, inside)], atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(geometries, st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_values_never_leave_their_range(geometry: tuple[int, float, float, int], side: int, seed: int) -> None:
    count, start, step, size = geometry
    one = made(np.random.default_rng(seed).normal(size=(count, count)), start=start, step=step, size=size)
    found = on_photo(one, side)
    low, high = one.value_range
    assert found.shape == (side, side) and low - 1e-6 <= found.min() and found.max() <= high + 1e-6


def test_beyond_the_outermost_cells_the_nearest_holds() -> None:
    weights = axis_weights(3, 21.0, 16.0, 96, 96)
    assert np.array_equal(weights[:22], np.tile([1.0, 0, 0], (22, 1)))
    assert np.array_equal(weights[53:], np.tile([0, 0, 1.0], (43, 1)))
    assert weights[29].tolist() == [0.5, 0.5, 0]


def test_cells_land_where_they_lie() -> None:
    values = np.zeros((8, 8))
    values[2, 5] = 1
    found = on_photo(made(values, start=21, step=16, size=160), 160)
    assert np.unravel_index(found.argmax(), found.shape) == (21 + 32, 21 + 80) and found.max() == 1


# --- comparing


@given(st.integers(0, 2**32 - 1), st.floats(1e-20, 1e20))
@settings(max_examples=40, deadline=None)
def test_a_map_agrees_with_itself_at_any_scale(seed: int, scale: float) -> None:
    values = np.random.default_rng(seed).normal(size=(6, 6))
    one, other = (
        made(v, start=3, step=16, size=96, network=n) for v, n in ((values, "teacher"), (values * scale, "student"))
    )
    found = compare(one, other)
    assert found.cosine == pytest.approx(1) and found.cosine_centred == pytest.approx(1)
    assert found.overlap > 0.99 and found.centre_distance == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.difference, 0, atol=1e-5)
    same = compare(one, one)
    assert (same.overlap, same.centre_distance) == (1.0, 0.0) and not same.difference.any()


def test_the_opposite_map_disagrees() -> None:
    one = blob(0.3, 0.4, **INNER)
    found = compare(one, replace(one, values=-one.values))
    assert found.cosine == pytest.approx(-1) and found.cosine_centred == pytest.approx(-1) and found.overlap == 0


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.4), (0.5, 0.5), (0.62, 0.31), (0.4, 0.66)])
def test_one_blob_is_at_one_place_in_both_networks(x: float, y: float) -> None:
    first, second = blob(x, y, **INNER), blob(x, y, **OUTER, network="student")
    found = compare(first, second)
    for centre in found.centres:
        assert centre == pytest.approx((x, y), abs=0.03)
    assert found.cosine > 0.97 and found.centre_distance < 0.03 and found.overlap > 0.7
    naive = compare(first, replace(second, start=first.start, step=first.step, size=first.size))
    assert naive.centre_distance > 2 * found.centre_distance


def test_a_shifted_blob_is_measured_at_its_distance() -> None:
    found = compare(blob(0.35, 0.4, **INNER), blob(0.65, 0.6, **OUTER, network="student"))
    assert found.centre_distance == pytest.approx(np.hypot(0.3, 0.2), abs=0.03)
    assert found.overlap < 0.1 and found.cosine < 0.2
    peak = np.unravel_index(found.difference.argmax(), found.difference.shape)
    hole = np.unravel_index(found.difference.argmin(), found.difference.shape)
    assert np.allclose((np.array(peak) + 0.5) / found.side, (0.4, 0.35), atol=0.06)
    assert np.allclose((np.array(hole) + 0.5) / found.side, (0.6, 0.65), atol=0.06)
    assert found.names == ("teacher", "student") and np.abs(found.difference).max() <= 1


def test_a_bright_square_is_found_by_both_networks(seeded_pair: Pair) -> None:
    """What a bright square changes in the features lies where the square is, in each network's own coordinates."""
    for x, y in ((0.25, 0.7), (0.7, 0.3)):
        photo = np.full((48, 48, 3), 60, np.uint8)
        lit = photo.copy()
        lit[round(48 * y) - 5 : round(48 * y) + 5, round(48 * x) - 5 : round(48 * x) + 5] = 255
        changed = []
        for name in ("teacher", "student"):
            dark, bright = (Explanation.of(seeded_pair, name, picture) for picture in (photo, lit))
            values = (bright._features(1) - dark._features(1)).abs().sum(0).numpy()
            changed.append(replace(bright.layer(1, "mean"), values=values))
        found = compare(*changed)
        for centre in found.centres:
            assert centre == pytest.approx((x, y), abs=0.06)
        assert found.centre_distance < 0.06


@pytest.mark.parametrize("offset", [-4.0, 7.0])
def test_an_offset_moves_neither_centre_nor_overlap(offset: float) -> None:
    """Raw weights may add the same amount everywhere; that says nothing about the place."""
    one = blob(0.3, 0.6, **INNER)
    raised = replace(one, values=one.values + np.float32(offset))
    found = compare(one, raised)
    assert found.centre_distance < 0.01 and found.overlap > 0.95 and found.cosine_centred == pytest.approx(1, abs=1e-4)
    assert found.centres[1] == pytest.approx((0.3, 0.6), abs=0.03)


@pytest.mark.parametrize("flat", [0.0, 3.5, -2.0])
def test_flat_maps_give_numbers(flat: float) -> None:
    level = made(np.full((5, 5), flat), start=0, step=16, size=80)
    for found in (
        compare(level, blob(0.3, 0.3, **INNER)),
        compare(blob(0.3, 0.3, **INNER), level),
        compare(level, level),
    ):
        assert all(
            np.isfinite(value) for value in (found.cosine, found.cosine_centred, found.overlap, found.centre_distance)
        )
        assert found.cosine_centred == 0 and found.overlap == 0 and np.isfinite(found.difference).all()
        assert flat != 0 or found.cosine == 0
    assert compare(level, level).centres == ((0.5, 0.5), (0.5, 0.5))


def test_a_map_that_is_mostly_zero_overlaps_only_where_it_is_not() -> None:
    values = np.zeros((8, 8))
    values[1, 1] = 1
    other = np.zeros((8, 8))
    other[6, 6] = 1
    one, two = (made(v, start=8, step=16, size=128) for v in (values, other))
    assert compare(one, two).overlap == 0 and compare(one, one).overlap == 1


# --- agreement above that of unrelated photos


def test_agreement_is_above_that_of_mismatched_photos_only_where_photos_matter() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0.25, 0.75, size=(12, 2))
    first = [blob(x, y, **INNER) for x, y in places]
    second = [blob(x, y, **OUTER, network="student") for x, y in places]
    found = agreement(first, second)
    assert found.photos == 12 and found.matched.cosine > 0.95
    assert found.above.cosine > 0.3 and found.above.centre_distance < -0.1
    same = agreement([blob(0.5, 0.5, **INNER)] * 5, [blob(0.5, 0.5, **OUTER)] * 5)
    assert same.above.cosine == pytest.approx(0, abs=1e-9) and same.matched.cosine > 0.95


def test_mismatched_pairs_never_hold_a_photo_with_itself() -> None:
    maps = []
    for index in range(7):
        values = np.zeros((7, 7))
        values[index] = 1
        maps.append(made(values, start=0, step=16, size=112))
    for shifts in (1, 3, 8, 20):
        assert agreement(maps, maps, shifts=shifts).mismatched.cosine < 0.5
    two = agreement(maps[:2], maps[:2])
    assert two.matched.cosine == pytest.approx(1) and two.mismatched.cosine < 0.5


@pytest.mark.parametrize("count", [(1, 1), (0, 0), (3, 2)])
def test_agreement_refuses_rows_that_do_not_fit(count: tuple[int, int]) -> None:
    rows = [[blob(0.5, 0.5, **INNER)] * n for n in count]
    with pytest.raises(FoodkdError, match=f"not {count[0]} and {count[1]}"):
        agreement(*rows)


def test_agreement_of_a_pair_goes_through_its_own_file(seeded_pair: Pair) -> None:
    photos = [np.random.default_rng(seed).integers(0, 255, (48, 48, 3)).astype(np.uint8) for seed in range(3)]
    found = measure_agreement(seeded_pair, photos, [0, 1, 2], methods=("mean", "gradcam"))
    assert set(found) == {"iam", *(f"{stage}:{method}" for stage in range(4) for method in ("mean", "gradcam"))}
    teacher, student = (
        [Explanation.of(seeded_pair, name, photo).layer(1, "gradcam", label) for label, photo in enumerate(photos)]
        for name in ("teacher", "student")
    )
    expected = agreement(teacher, student)
    assert found["1:gradcam"].matched.cosine == pytest.approx(expected.matched.cosine)
    info = json.loads(json.dumps({"agreement": {key: value.to_json() for key, value in found.items()}}))
    shipped = shipped_agreement(replace(seeded_pair, info=info), teacher[0])
    assert isinstance(shipped, Agreement) and asdict(shipped) == asdict(found["1:gradcam"])
    assert shipped_agreement(replace(seeded_pair, info={}), teacher[0]) is None
