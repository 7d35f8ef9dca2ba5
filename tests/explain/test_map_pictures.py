"""Pictures of maps: cells where they lie, scales that say what they are, and words that can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foodkd.errors import FoodkdError
from foodkd.explain import ActivationMap, Explanation, compare, render
from foodkd.explain.colours import DIVERGING, SEQUENTIAL, colour_table
from foodkd.explain.text import write

GREY = np.full((120, 120, 3), 128, np.uint8)


def made(
    values: np.ndarray, *, start: float = 7.5, step: float = 16.0, size: int = 128, **more: object
) -> ActivationMap:
    fields = {
        "network": "teacher",
        "kind": "layer",
        "stage": 1,
        "stage_name": "s",
        "method": "gradcam",
        "class_index": 0,
    }
    return ActivationMap(np.asarray(values, np.float32), start=start, step=step, size=size, **(fields | more))  # type: ignore[arg-type]


def one_cell(y: int, x: int, **more: float) -> ActivationMap:
    values = np.zeros((8, 8))
    values[y, x] = 1
    return made(values, **more)  # type: ignore[arg-type]


def difference_from_grey(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - picture[-1, 0].astype(int)).sum(2)


def lightness(table: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours."""
    linear = np.where(table / 255 <= 0.04045, table / 255 / 12.92, ((table / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


# --- colours


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_colours_rise_in_lightness(name: str) -> None:
    table = colour_table(name)
    assert table.shape == (256, 3) and table.dtype == np.uint8
    smooth = np.convolve(lightness(table), np.ones(9) / 9, "valid")
    assert (np.diff(smooth) > 0).all() and smooth[-1] - smooth[0] > 55


@pytest.mark.parametrize("name", DIVERGING)
def test_diverging_colours_fall_evenly_to_both_ends(name: str) -> None:
    table = colour_table(name)
    values = lightness(table)
    assert table[[127, 128]].min() > 235  # a near-white middle
    assert (np.diff(values[:128]) >= -0.6).all() and (np.diff(values[128:]) <= 0.6).all()
    np.testing.assert_allclose(values, values[::-1], atol=8)  # neither side looks stronger
    assert np.abs(table[0].astype(int) - table[255]).max() > 120
    assert (
        table[0, 2] > table[0, 0] and table[255, 0] > table[255, 2]
    )  # blue against orange: safe for colour-blind eyes


def test_an_unknown_colour_map_is_named() -> None:
    with pytest.raises(FoodkdError, match=r"'jet'; there are inferno, viridis"):
        colour_table("jet")


# --- scales


def test_a_shared_scale_spans_all_maps_and_says_so() -> None:
    weak, strong = made(np.eye(8) * 2), made(np.eye(8) * 5, network="student")
    shared = render.shared_scale([weak, strong])
    assert (shared.low, shared.high, shared.diverging) == (0, 5, False)
    assert shared.shared and "shared scale" in shared.label
    own = render.own_scale(weak)
    assert (own.low, own.high) == (0, 2) and not own.shared and "own scale" in own.label
    assert not np.array_equal(render.colour_bar(shared), render.colour_bar(replace(shared, label=own.label)))


def test_signed_maps_get_zero_in_the_middle() -> None:
    signed = made(np.linspace(-1, 3, 64).reshape(8, 8), kind="iam")
    scale = render.own_scale(signed)
    assert (scale.low, scale.high, scale.diverging) == (-3, 3, True) and scale.ends == ("against", "for")
    assert "logits" in scale.label and scale.fraction(np.array([0.0]))[0] == 0.5
    positive = render.own_scale(signed, signed=False)
    assert (positive.low, positive.high, positive.diverging) == (0, 3, False)
    assert positive.fraction(np.array([-1.0, 9.0])).tolist() == [0, 1]
    against = render.own_scale(made(-np.eye(8)), signed=False)
    assert (against.low, against.high) == (0, 0)


def test_equal_values_have_equal_colours_on_a_shared_scale() -> None:
    first, second = np.zeros((8, 8)), np.zeros((8, 8))
    first[2, 2], first[6, 6], second[2, 2] = 1, 4, 1
    maps = [made(first), made(second)]
    scale = render.shared_scale(maps)
    pictures = [render.heatmap(one, scale=scale, side=128, smooth=False) for one in maps]
    assert np.array_equal(pictures[0][40, 40], pictures[1][40, 40])
    assert np.array_equal(pictures[0][40, 40], colour_table("inferno")[64])
    own = render.heatmap(maps[1], side=128, smooth=False)
    assert np.array_equal(own[40, 40], colour_table("inferno")[255])


# --- places


@pytest.mark.parametrize("geometry", [(21.0, 16.0, 160), (0.0, 16.0, 128), (7.5, 16.0, 128)])
@pytest.mark.parametrize("cell", [(2, 5), (6, 1), (0, 0)])
@pytest.mark.parametrize("smooth", [True, False])
def test_a_cell_is_drawn_where_it_lies(geometry: tuple[float, float, int], cell: tuple[int, int], smooth: bool) -> None:
    start, step, size = geometry
    one = one_cell(*cell, start=start, step=step, size=size)
    picture = render.overlay(GREY, one, side=320, smooth=smooth).astype(int)
    changed = np.abs(picture - picture[-1, -1]).sum(2)
    y, x = ((start + step * index + 0.5) / size * 320 for index in cell)
    assert changed[int(y), int(x)] > 0.9 * changed.max()
    if cell == (0, 0):  # the outermost cell holds up to the edge
        assert changed[0, 0] > 0.9 * changed.max()
    else:
        rows, columns = np.nonzero(changed > 0.5 * changed.max())
        assert rows.mean() == pytest.approx(y, abs=2) if cell[0] else True
        assert columns.mean() == pytest.approx(x, abs=2)


def test_flat_cells_show_the_grid_and_lines_lie_between_cells() -> None:
    one = one_cell(3, 3)
    flat = render.heatmap(one, side=128, smooth=False)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 2
    assert (flat[48:64, 48:64] == flat[56, 56]).all() and not (flat[47, 47] == flat[56, 56]).all()
    plain, lined = (render.overlay(GREY, made(np.zeros((8, 8))), side=128, cells=cells) for cells in (False, True))
    rows = np.nonzero((plain != lined).any(2).all(1))[0]
    assert rows.tolist() == [16, 32, 48, 64, 80, 96, 112]


def test_a_marked_cell_is_outlined_at_its_borders() -> None:
    one = made(np.zeros((8, 8)))
    plain, marked = render.overlay(GREY, one, side=256), render.overlay(GREY, one, side=256, mark=(2, 5))
    rows, columns = np.nonzero((plain != marked).any(2))
    assert (abs(rows.min() - 64), abs(rows.max() - 96), abs(columns.min() - 160), abs(columns.max() - 192)) <= (
        3,
        3,
        3,
        3,
    )
    assert (plain[72:88, 168:184] == marked[72:88, 168:184]).all()


def test_places_without_evidence_stay_clear() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (384, 384, 3)).astype(np.uint8)
    signed = np.zeros((8, 8))
    signed[1, 1], signed[6, 6] = 1, -1
    picture = render.overlay(photo, made(signed))
    grey = photo @ [0.299, 0.587, 0.114]
    empty = picture[180:200, 180:200].mean(2).ravel()
    assert np.corrcoef(empty, grey[180:200, 180:200].ravel())[0, 1] > 0.98
    assert picture[72, 72, 0] > picture[72, 72, 2] and picture[-72, -72, 2] > picture[-72, -72, 0]


def test_opacity_zero_is_the_photo() -> None:
    photo = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    assert np.array_equal(render.overlay(photo, one_cell(2, 2), opacity=0, side=96), photo)


def test_nothing_that_is_handed_in_is_changed() -> None:
    photo, one = GREY.copy(), one_cell(1, 1)
    photo.setflags(write=False)
    one.values.setflags(write=False)
    scale = render.own_scale(one)
    picture = render.captioned(
        render.overlay(photo, one, scale=scale, side=120, cells=True, mark=(0, 0)), "t", scale=scale
    )
    assert picture.dtype == np.uint8 and (photo == 128).all()


@pytest.mark.parametrize("level", [0.0, 2.0, -2.0])
def test_flat_maps_are_drawn_without_complaint(level: float) -> None:
    flat = made(np.full((6, 6), level))
    with np.errstate(all="raise"):
        for signed in (None, True, False):
            scale = render.own_scale(flat, signed=signed)
            picture = render.overlay(GREY, flat, scale=scale)
            assert np.ptp(picture.reshape(-1, 3), axis=0).max() == 0
            render.colour_bar(scale)
        compared = compare(flat, flat)
        assert np.ptp(render.difference(GREY, compared).reshape(-1, 3), axis=0).max() == 0


# --- differences


def test_a_difference_is_orange_where_the_first_looks_and_blue_where_the_second_does() -> None:
    compared = compare(one_cell(1, 1), replace(one_cell(6, 6), network="student"))
    picture = render.difference(GREY, compared, side=256).astype(int)
    assert picture[48, 48, 0] - picture[48, 48, 2] > 60
    assert picture[208, 208, 2] - picture[208, 208, 0] > 60
    scale = render.difference_scale(compared)
    assert scale.ends == ("more student", "more teacher") and scale.low == -scale.high


def test_both_networks_maps_of_one_place_are_drawn_in_one_place(teacher: Explanation, student: Explanation) -> None:
    """The two stages' grids differ; a blob at one point of the photo is drawn there in both pictures."""
    for explanation in (teacher, student):
        one = explanation.layer(1, "mean")
        rows, columns = one.positions
        values = np.exp(-((rows[:, None] - 0.3) ** 2 + (columns[None] - 0.65) ** 2) / 0.02)
        picture = render.heatmap(replace(one, values=values.astype(np.float32)), side=300)
        bright = np.nonzero(lightness(picture) > 45)
        assert [axis.mean() / 300 for axis in bright] == pytest.approx([0.3, 0.65], abs=0.02)


# --- words and sheets


def test_bars_captions_and_sheets_fit_together() -> None:
    one = one_cell(2, 2)
    scale = render.own_scale(one)
    for width in (120, 384, 900):
        picture = render.overlay(GREY, one, scale=scale, side=width)
        bar = render.colour_bar(scale, width=width)
        tile = render.captioned(picture, one.title, "8 x 8 cells", scale=scale)
        assert bar.shape[1:] == (width, 3) and tile.shape[1:] == (width, 3)
        assert tile.shape[0] > width + bar.shape[0] and (tile[:, :, 0] < 60).any()
        assert np.array_equal(bar[0, 0], colour_table("inferno")[0])
        assert np.array_equal(bar[0, -1], colour_table("inferno")[255])
    tiles = [np.zeros((50, 80, 3), np.uint8)] * 5
    sheet = render.sheet(tiles, columns=2, gap=10)
    assert sheet.shape == (10 + 3 * 60, 10 + 2 * 90, 3) and (sheet[15, 15] == 0).all() and (sheet[:, -5] == 255).all()
    assert (sheet[-20, -20] == 255).all()  # the empty place of the last row
    assert render.sheet(tiles, columns=2, title="All").shape[0] > sheet.shape[0]


def test_numbers_on_bars_are_short() -> None:
    shown = [render.number(value) for value in (0, 1, 0.99996, -2.504, 12.34, 123.4, 0.0421, 1.2e-7, 54321.0)]
    assert shown == ["0", "1.00", "1.00", "-2.50", "12.3", "123", "0.0421", "1.2e-07", "5.43e+04"]


def test_words_are_cut_to_their_room_and_letters_of_all_kinds_show() -> None:
    blank = np.full((40, 200, 3), 255, np.uint8)
    long = write(blank, "a very long title that can not fit in here", 0, 20, height=20, colour=(0, 0, 0), width=100)
    assert (long[:, :100] < 128).any() and not (long[:, 104:] < 255).any() and (blank == 255).all()
    boxes = write(blank, "\uffff\uffff", 0, 20, height=20, colour=(0, 0, 0))
    accents = write(blank, "éè", 0, 20, height=20, colour=(0, 0, 0))
    assert (accents < 128).any() and not np.array_equal(boxes, accents)


def test_the_small_picture_shows_its_pixels() -> None:
    small = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    assert np.array_equal(render.seen(small, side=64)[::4, ::4], small)


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_a_photo_that_is_no_square_rgb_picture_is_named(photo: np.ndarray) -> None:
    with pytest.raises(FoodkdError, match="must be a square"):
        render.overlay(photo, one_cell(0, 0))


def test_impossible_requests_are_named() -> None:
    with pytest.raises(FoodkdError, match=r"from 0 to 1, not 1.5"):
        render.overlay(GREY, one_cell(0, 0), opacity=1.5)
    with pytest.raises(FoodkdError, match="at least one map"):
        render.shared_scale([])
    with pytest.raises(FoodkdError, match="at least one tile"):
        render.sheet([], columns=2)
