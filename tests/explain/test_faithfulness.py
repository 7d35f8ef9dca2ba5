"""Deletion, insertion, covering by hand, randomised weights: identities, and a network whose truth is known."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foodkd.data import Preprocessing
from foodkd.errors import FoodkdError
from foodkd.explain import ActivationMap, Explanation, cover_up, faithfulness, randomisation
from foodkd.explain.faithfulness import (
    baseline_picture,
    cover,
    fitted_mask,
    moved_order,
    pictures_needed,
    place_order,
    random_order,
    rank_correlation,
)
from foodkd.nets import NetworkSettings, Pair, TappedClassifier
from foodkd.nets.families import Family

BOTH = ("teacher", "student")
SIDE = 64  # of the tiny pair's photos


def a_map(values: Any, *, start: float = 3.5, step: float = 8.0, size: int = 64, **more: Any) -> ActivationMap:
    settled = {"network": "teacher", "kind": "iam", "stage": 0, "stage_name": "s", "method": "cam", "class_index": 0}
    return ActivationMap(values=np.asarray(values, np.float32), start=start, step=step, size=size, **(settled | more))


@pytest.fixture
def small() -> np.ndarray:
    """A picture with something everywhere: answers of the tiny pair must differ wherever it is covered."""
    rng = np.random.default_rng(4)
    picture = rng.integers(0, 256, (8, 8, 3)).repeat(8, 0).repeat(8, 1) + rng.integers(-40, 40, (SIDE, SIDE, 3))
    return picture.clip(0, 255).astype(np.uint8)


# --- a network that looks at one place only, so that the true map is known


class OnePlace(nn.Module):
    """Its first class says how bright one of 8 x 8 places is, and nothing else reaches its answer."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        window = torch.zeros(1, 1, 8, 8)
        window[0, 0, row, column] = 1
        self.register_buffer("window", window)
        self.fc = nn.Linear(1, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[20.0 * 64], [0.0]]))
            self.fc.bias.copy_(torch.tensor([-20.0, 0.0]))

    def look(self, images: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(images.mean(1, keepdim=True), 8)
        beyond = cells.shape[-1] - 8  # larger images are blind beyond the first 64 px
        return cells * nn.functional.pad(self.window, (0, beyond, 0, beyond))


def _chain(network: Any) -> dict[str, Any]:
    return {"look": network.look}


def _pool(_network: Any, features: Tensor) -> Tensor:
    return features.mean((2, 3))


@pytest.fixture(scope="module")
def one_place() -> Pair:
    family = Family(_chain, _pool, "fc")
    networks = {name: TappedClassifier(OnePlace(2, 5), family, ("look",), dropout=0.0) for name in BOTH}
    options = {name: NetworkSettings(backbone="resnet18", size=64) for name in BOTH}
    return Pair(("bright", "dark"), Preprocessing(resolution=64), networks, options)


@pytest.fixture
def bright() -> np.ndarray:
    """Dark everywhere but at the place that the network looks at."""
    picture = np.full((64, 64, 3), 20, np.uint8)
    picture[16:24, 40:48] = 250
    return picture


@pytest.mark.parametrize("baseline", ["blur", "grey"])
def test_the_true_map_gives_the_perfect_curves_and_beats_chance(
    one_place: Pair, bright: np.ndarray, baseline: str
) -> None:
    truth = Explanation.of(one_place, "teacher", bright).iam(0)
    assert np.unravel_index(truth.values.argmax(), truth.grid) == (2, 5)
    result = faithfulness(one_place, bright, truth, baseline=baseline, steps=16, orders=5)
    np.testing.assert_allclose(result.deletion.probabilities, [1.0] + 16 * [0.0], atol=1e-3)
    np.testing.assert_allclose(result.insertion.probabilities, [0.0] + 16 * [1.0], atol=1e-3)
    assert result.deletion.area() == pytest.approx(1 / 32, abs=1e-3)
    assert result.insertion.area() == pytest.approx(1 - 1 / 32, abs=1e-3)
    for kind in ("deletion", "insertion"):
        mean, spread = result.random_area(kind)
        assert 0.1 < mean < 0.9 and spread > 0
        assert result.lead(kind) == pytest.approx(abs(mean - result.curve(kind).area()), abs=1e-9)
        assert result.lead(kind) > 0.1 and result.lead(kind, "logit") > 1


def test_the_opposite_map_loses_to_chance(one_place: Pair, bright: np.ndarray) -> None:
    truth = Explanation.of(one_place, "teacher", bright).iam(0)
    result = faithfulness(one_place, bright, a_map(-truth.values), orders=5)
    np.testing.assert_allclose(result.deletion.probabilities, 16 * [1.0] + [0.0], atol=1e-3)
    for kind in ("deletion", "insertion"):
        assert result.lead(kind) < -0.1 and result.lead(kind, "logit") < -1


def test_a_moved_map_misses_the_place(one_place: Pair, bright: np.ndarray) -> None:
    truth = Explanation.of(one_place, "teacher", bright).iam(0)
    result = faithfulness(one_place, bright, truth, orders=4, control="moved")
    assert result.control == "moved" == result.to_json()["control"]
    for kind in ("deletion", "insertion"):
        assert len(result.random[kind]) == 4 and result.lead(kind) > 0.1
        orders = [moved_order(truth, 64, index=index) for index in range(4)]
        for order, curve in zip(orders, result.random[kind], strict=True):
            at = float(np.flatnonzero(order == 2 * 8 * 64 + 5 * 8)[0]) / 64**2  # when the bright place has its turn
            jump = np.abs(np.diff(curve.probabilities)).argmax()
            assert curve.fractions[jump] <= at + 1 / 64 and at - 1 / 64 <= curve.fractions[jump + 1]


@pytest.mark.parametrize("control", ["cells", "moved"])
def test_as_many_pictures_pass_as_are_announced(
    one_place: Pair, bright: np.ndarray, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[int] = []
    forward = TappedClassifier.forward
    monkeypatch.setattr(TappedClassifier, "forward", lambda self, x: passed.append(len(x)) or forward(self, x))
    faithfulness(one_place, bright, a_map(np.ones((8, 8))), steps=5, orders=3, control=control, batch=7)
    assert sum(passed) == pictures_needed(5, 3, control) and max(passed) == 7


def test_a_map_that_says_nothing_is_an_order_by_chance() -> None:
    flat, other = a_map(np.ones((8, 8))), a_map(np.full((8, 8), 1e-30))
    order = place_order(flat, 64)
    np.testing.assert_array_equal(order, place_order(other, 64))
    cells = order[::64] // (64 * 8) * 8 + order[::64] % 64 // 8  # the cell that begins every 64 places
    assert sorted(cells) == list(range(64)) and list(cells) != sorted(cells)
    assert not np.array_equal(order, place_order(flat, 64, seed=1))


# --- identities


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("baseline", ["blur", "grey"])
def test_both_ends_are_the_photo_and_the_baseline(tiny_pair: Pair, small: np.ndarray, name: str, baseline: str) -> None:
    whole = Explanation.of(tiny_pair, name, small)
    none = Explanation.of(tiny_pair, name, baseline_picture(tiny_pair.preprocessing, small, baseline))
    result = faithfulness(tiny_pair, small, whole.iam(2), baseline=baseline, steps=4, orders=1)
    for curve, ends in ((result.deletion, (whole, none)), (result.insertion, (none, whole))):
        np.testing.assert_allclose(curve.logits[[0, -1]], [end.logits[2] for end in ends], atol=1e-4)
        np.testing.assert_allclose(curve.probabilities[[0, -1]], [end.probabilities[2] for end in ends], atol=1e-5)
        assert curve.fractions[0] == 0 and curve.fractions[-1] == 1
    assert result.network == name and result.class_index == 2 and result.baseline == baseline


@pytest.mark.parametrize("name", BOTH)
def test_batches_equal_pictures_one_by_one(tiny_pair: Pair, small: np.ndarray, name: str) -> None:
    iam = Explanation.of(tiny_pair, name, small).iam(1)
    result = faithfulness(tiny_pair, small, iam, steps=6, orders=2, seed=3, batch=5)
    single = faithfulness(tiny_pair, small, iam, steps=6, orders=2, seed=3, batch=1)
    base = baseline_picture(tiny_pair.preprocessing, small, "blur")
    orders = {"map": place_order(iam, SIDE, seed=3), "chance": random_order(iam, SIDE, seed=3, index=1)}
    curves = {"map": (result, result.deletion), "chance": (result, result.random["deletion"][1])}
    for key, (_, curve) in curves.items():
        for index, fraction in enumerate(curve.fractions):
            picture = small.reshape(-1, 3).copy()
            hidden = orders[key][: round(fraction * SIDE * SIDE)]
            picture[hidden] = base.reshape(-1, 3)[hidden]
            answer = Explanation.of(tiny_pair, name, picture.reshape(small.shape))
            np.testing.assert_allclose(curve.logits[index], answer.logits[1], atol=1e-4)
            np.testing.assert_allclose(curve.probabilities[index], answer.probabilities[1], atol=1e-5)
    np.testing.assert_allclose(result.insertion.logits, single.insertion.logits, atol=1e-4)
    np.testing.assert_allclose(result.random["insertion"][0].logits, single.random["insertion"][0].logits, atol=1e-4)


def test_showing_is_covering_in_the_reverse_order(tiny_pair: Pair, small: np.ndarray) -> None:
    iam = Explanation.of(tiny_pair, "student", small).iam(0)
    result = faithfulness(tiny_pair, small, iam, steps=4, orders=2)
    base = baseline_picture(tiny_pair.preprocessing, small, "blur").reshape(-1, 3)
    orders = [result.order, *(random_order(iam, SIDE, index=index)[::-1] for index in range(2))]
    for order, curve in zip(orders, [result.insertion, *result.random["insertion"]], strict=True):
        picture = base.copy()
        shown = order[: SIDE * SIDE // 4]
        picture[shown] = small.reshape(-1, 3)[shown]
        answer = Explanation.of(tiny_pair, "student", picture.reshape(small.shape))
        assert curve.fractions[1] == 0.25
        assert curve.logits[1] == pytest.approx(float(answer.logits[0]), abs=1e-4)


def test_probabilities_and_logits_are_kept_apart(tiny_pair: Pair, small: np.ndarray) -> None:
    iam = Explanation.of(tiny_pair, "student", small).iam(0)
    result = faithfulness(tiny_pair, small, iam, steps=8)
    for curve in (result.deletion, *result.random["insertion"]):
        assert curve.values("probability") is curve.probabilities and curve.values("logit") is curve.logits
        assert (curve.probabilities >= 0).all() and (curve.probabilities <= 1).all() and 0 <= curve.area() <= 1
        assert curve.logits.min() <= curve.area("logit") <= curve.logits.max()
        assert not np.allclose(curve.probabilities, curve.logits)
    assert np.ptp(result.deletion.logits) > 0.01  # or nothing above were tested
    numbers = result.to_json()
    assert numbers["deletion"]["logit"]["area"] == result.deletion.area("logit")
    assert numbers["deletion"]["probability"]["area"] == result.deletion.area("probability")
    assert numbers["insertion"]["logit"]["lead"] == result.lead("insertion", "logit")


def test_summaries_of_the_random_orders(tiny_pair: Pair, small: np.ndarray) -> None:
    iam = Explanation.of(tiny_pair, "student", small).iam(0)
    result = faithfulness(tiny_pair, small, iam, steps=4, orders=3)
    rows = np.array([curve.logits for curve in result.random["insertion"]])
    np.testing.assert_allclose(result.random_mean("insertion").logits, rows.mean(0))
    np.testing.assert_allclose(result.random_spread("insertion", "logit"), rows.std(0, ddof=1))
    areas = [curve.area("logit") for curve in result.random["insertion"]]
    assert result.random_area("insertion", "logit") == pytest.approx((np.mean(areas), np.std(areas, ddof=1)))
    lone = faithfulness(tiny_pair, small, iam, steps=4, orders=1)
    assert not lone.random_spread("deletion").any() and lone.random_area("deletion")[1] == 0
    bare = faithfulness(tiny_pair, small, iam, steps=4, orders=0)
    assert "lead" not in bare.to_json()["deletion"]["logit"]
    with pytest.raises(FoodkdError, match="orders >= 1"):
        bare.lead("deletion")


def test_chance_is_the_same_by_its_seed_and_in_every_thread(tiny_pair: Pair, small: np.ndarray) -> None:
    iam = Explanation.of(tiny_pair, "student", small).iam(0)
    state = torch.random.get_rng_state()
    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(faithfulness, tiny_pair, small, iam, steps=4, orders=2, seed=9) for _ in range(3)]
        first, *others = [run.result() for run in runs]
    for other in others:
        np.testing.assert_array_equal(first.order, other.order)
        for mine, theirs in zip(first.random["deletion"], other.random["deletion"], strict=True):
            np.testing.assert_allclose(mine.logits, theirs.logits, atol=1e-5)
    moved = faithfulness(tiny_pair, small, iam, steps=4, orders=2, seed=10)
    assert not np.allclose(first.random["deletion"][0].logits, moved.random["deletion"][0].logits)
    assert not np.array_equal(random_order(iam, SIDE, index=0), random_order(iam, SIDE, index=1))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("steps", [2, 3, 16, 256])
def test_any_number_of_steps_on_an_odd_picture(one_place: Pair, steps: int) -> None:
    """An odd number of places can't be halved: each curve says its own fractions."""
    pair = Pair(one_place.classes, Preprocessing(resolution=9), one_place.networks, one_place.settings)
    picture = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
    result = faithfulness(pair, picture, a_map(np.arange(64).reshape(8, 8)), steps=steps, orders=1)
    for curve in (result.deletion, result.insertion, *result.random["insertion"]):
        assert len(curve.fractions) == min(steps, 81) + 1 and (np.diff(curve.fractions) > 0).all()
        np.testing.assert_allclose(curve.fractions * 81, np.round(curve.fractions * 81), atol=1e-9)
        assert np.isfinite(curve.logits).all()


# --- orders


grids = st.tuples(st.integers(1, 7), st.integers(1, 7))


@settings(deadline=None, max_examples=60)
@given(grid=grids, start=st.floats(-8, 30), step=st.floats(1, 40), power=st.integers(-30, 30), seed=st.integers(0, 9))
def test_every_order_holds_every_place_once_cell_by_cell(
    grid: tuple[int, int], start: float, step: float, power: int, seed: int
) -> None:
    values = np.round(np.random.default_rng(seed).normal(size=grid), 1) * 10.0**power
    one = a_map(values, start=start, step=step, size=64)
    away = [[np.abs(positions - (i + 0.5) / 20) for i in range(20)] for positions in one.positions]
    # A place midway between two cells belongs to either, as rounding has it.
    assume(all(len(d) == 1 or np.diff(np.sort(d))[0] > 1e-9 for axis in away for d in axis))
    rows, columns = ([d.argmin() for d in axis] for axis in away)
    for order in (place_order(one, 20, seed=seed), random_order(one, 20, seed=seed)):
        assert sorted(order) == list(range(400))
        cells = [(rows[place // 20], columns[place % 20]) for place in order]
        changes = 1 + sum(a != b for a, b in pairwise(cells))
        assert changes == len(set(cells))  # no cell is left before it is finished
    values32 = [float(one.values[cell]) for cell in ((rows[p // 20], columns[p % 20]) for p in place_order(one, 20))]
    largest = max(map(abs, values32)) or 1.0
    assert all(b <= a + 2e-6 * largest for a, b in pairwise(values32))


@settings(deadline=None, max_examples=40)
@given(grid=grids, seed=st.integers(0, 99), index=st.integers(0, 3))
def test_a_moved_map_is_the_same_map_elsewhere(grid: tuple[int, int], seed: int, index: int) -> None:
    """With a cell per place: neighbours stay neighbours round the edges, and no map stays where it was."""
    values = np.arange(np.prod(grid), dtype=np.float32).reshape(grid)
    side = max(grid) if grid[0] == grid[1] else 24
    one = a_map(values, start=(64 / side - 1) / 2, step=64 / side, size=64)
    order = moved_order(one, side, seed=seed, index=index)
    assert sorted(order) == list(range(side * side))
    np.testing.assert_array_equal(order, moved_order(one, side, seed=seed, index=index))
    if grid[0] == grid[1] and grid[0] > 2:
        first, second = (np.array(divmod(place, side)) for place in order[:2])
        apart = np.minimum(np.abs(first - second), side - np.abs(first - second))
        assert apart.sum() == 1  # the two strongest cells lie side by side, as in the map itself


def test_cells_are_placed_where_the_network_has_them() -> None:
    """Two cells at 10 px and 50 px of 64: the border lies between them, not in the middle of the picture's half."""
    order = place_order(a_map([[1.0, 3.0]], start=9.5, step=20.0), 64)
    first = np.zeros(64 * 64, bool)
    first[order[: 64 * 44]] = True
    assert first.reshape(64, 64)[:, 20:].all() and not first.reshape(64, 64)[:, :20].any()


def test_a_map_without_numbers_has_no_order() -> None:
    with pytest.raises(FoodkdError, match="no numbers"):
        place_order(a_map([[1.0, np.nan]]), 8)


# --- covering by hand


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), baseline=st.sampled_from(["blur", "grey"]))
def test_a_mask_covers_exactly_its_places(seed: int, share: float, baseline: str) -> None:
    rng = np.random.default_rng(seed)
    picture, mask = rng.integers(0, 256, (16, 16, 3), np.uint8), rng.random((16, 16)) < share
    before, preprocessing = picture.copy(), Preprocessing(resolution=16)
    covered, base = (
        cover(preprocessing, picture, mask, baseline=baseline),
        baseline_picture(preprocessing, picture, baseline),
    )
    np.testing.assert_array_equal(covered[~mask], picture[~mask])
    np.testing.assert_array_equal(covered[mask], base[mask])
    np.testing.assert_array_equal(picture, before)


def test_baselines_are_the_mean_colour_and_a_picture_without_detail() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    preprocessing = Preprocessing(resolution=32, mean=(0.5, 0.25, 1.0))
    assert (baseline_picture(preprocessing, stripes, "grey") == (128, 64, 255)).all()
    blurred = baseline_picture(preprocessing, stripes, "blur").astype(float)
    assert blurred[:, 4:-4].std() < 5 and abs(blurred.mean() - 100) < 3
    with pytest.raises(FoodkdError, match="blur, grey"):
        baseline_picture(preprocessing, stripes, "black")


def test_a_mask_of_another_side_covers_what_it_covers_half() -> None:
    fine = np.zeros((8, 8), bool)
    fine[0:2, 0:2] = True  # the whole of place (0, 0)
    fine[4, 4:6] = True  # half of (2, 2)
    fine[7, 7] = True  # a quarter of (3, 3)
    expected = np.zeros((4, 4), bool)
    expected[0, 0] = expected[2, 2] = True
    np.testing.assert_array_equal(fitted_mask(fine, 4), expected)
    np.testing.assert_array_equal(fitted_mask(expected, 8), expected.repeat(2, 0).repeat(2, 1))
    for wrong in (np.zeros((2, 3), bool), np.zeros((2, 2), np.uint8), np.zeros((0, 0), bool)):
        with pytest.raises(FoodkdError, match="boolean"):
            fitted_mask(wrong, 4)


def test_covered_by_hand_both_networks_answer_what_they_then_see(one_place: Pair, bright: np.ndarray) -> None:
    mask = np.zeros((64, 64), bool)
    nothing = cover_up(one_place, bright, mask, baseline="grey")
    assert nothing.share == 0
    np.testing.assert_array_equal(nothing.small, bright)
    elsewhere = np.ones((64, 64), bool)
    elsewhere[16:24, 40:48] = False
    for hidden, bright_still in ((elsewhere, True), (~elsewhere, False)):
        covered = cover_up(one_place, bright, hidden, baseline="grey")
        assert covered.share == hidden.mean() and set(covered.answers) == set(BOTH)
        for name in BOTH:
            assert (covered.answers[name].probabilities[0] > 0.5) is np.bool_(bright_still)


def test_a_picture_of_the_curve_is_covered_by_its_fraction(one_place: Pair, bright: np.ndarray) -> None:
    truth = Explanation.of(one_place, "teacher", bright).iam(0)
    result = faithfulness(one_place, bright, truth, baseline="grey", orders=0)
    quarter = result.covered(one_place.preprocessing, bright, 0.25)
    assert (quarter != bright).any(-1).mean() == 0.25
    np.testing.assert_array_equal(result.covered(one_place.preprocessing, bright, 0.0), bright)
    assert (quarter[16:24, 40:48] != bright[16:24, 40:48]).all()


# --- settings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 1}, "steps = 1"),
        ({"orders": -1}, "orders = -1"),
        ({"batch": 0}, "batch = 0"),
        ({"control": "noise"}, "no control 'noise'"),
        ({"baseline": "noise"}, "no baseline 'noise'"),
        ({"class_index": 5}, "no class 5"),
    ],
)
def test_settings_out_of_range_are_named(tiny_pair: Pair, small: np.ndarray, options: Any, said: str) -> None:
    iam = Explanation.of(tiny_pair, "student", small).iam(0)
    with pytest.raises(FoodkdError, match=said):
        faithfulness(tiny_pair, small, iam, **options)


def test_a_map_needs_a_class_and_a_network_of_the_pair(tiny_pair: Pair, small: np.ndarray) -> None:
    mean = Explanation.of(tiny_pair, "student", small).layer(0, "mean")
    with pytest.raises(FoodkdError, match="give class_index"):
        faithfulness(tiny_pair, small, mean)
    assert faithfulness(tiny_pair, small, mean, class_index=3, steps=2, orders=0).class_index == 3
    with pytest.raises(FoodkdError, match="'stranger'"):
        faithfulness(tiny_pair, small, a_map([[1.0]], network="stranger"))


def test_a_network_that_answers_no_numbers_is_refused(one_place: Pair, bright: np.ndarray) -> None:
    networks = copy.deepcopy(one_place.networks)
    with torch.no_grad():
        networks["teacher"].head_bias.fill_(float("nan"))
    broken = Pair(one_place.classes, one_place.preprocessing, networks, one_place.settings)
    with pytest.raises(FoodkdError, match="no numbers"):
        faithfulness(broken, bright, a_map(np.ones((8, 8))))


# --- randomised weights


@pytest.fixture(scope="module")
def untouched(tiny_pair: Pair) -> Iterator[None]:
    """Whatever the tests of this part do, the shared pair stays as it is, bit for bit."""
    before = {name: copy.deepcopy(network.state_dict()) for name, network in tiny_pair.networks.items()}
    yield
    for name, network in tiny_pair.networks.items():
        assert not any(module.training for module in network.modules())
        for key, value in network.state_dict().items():
            assert torch.equal(value, before[name][key]), key


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", BOTH)
def test_randomised_weights_change_the_map_from_the_head_down(tiny_pair: Pair, small: np.ndarray, name: str) -> None:
    before = copy.deepcopy(tiny_pair.networks[name].state_dict())
    iam = Explanation.of(tiny_pair, name, small).iam(1)
    steps = list(randomisation(tiny_pair, small, iam, seed=2))
    assert [step.part for step in steps] == ["head", *reversed(tiny_pair.networks[name].taps)]
    assert all(np.isfinite(step.map.values).all() and 0 <= step.probability <= 1 for step in steps)
    assert all(step.map.grid == iam.grid and step.map.class_index == 1 for step in steps)
    assert all(-1 <= step.cosine < 0.95 and -1 <= step.rank_correlation < 0.95 for step in steps)
    for key, value in tiny_pair.networks[name].state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.usefixtures("untouched")
def test_randomisation_follows_its_seed(tiny_pair: Pair, small: np.ndarray) -> None:
    one = Explanation.of(tiny_pair, "student", small).layer(1, "gradcam", 0)
    state = torch.random.get_rng_state()
    first, again, other = (
        [step.map.values for step in islice(randomisation(tiny_pair, small, one, seed=seed), 2)] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[-1], other[-1])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.usefixtures("untouched")
def test_an_early_map_without_a_class_knows_nothing_of_the_head(tiny_pair: Pair, small: np.ndarray) -> None:
    """The check finds what it must: a stage's mean activation stays the same until that stage itself is random."""
    mean = Explanation.of(tiny_pair, "student", small).layer(0, "mean")
    *above, last = randomisation(tiny_pair, small, mean)
    assert [step.part for step in above] == ["head", *reversed(tiny_pair.networks["student"].taps[1:])]
    for step in above:
        np.testing.assert_allclose(step.map.values, mean.values, atol=1e-5)
        assert step.cosine == pytest.approx(1, abs=1e-6) and step.rank_correlation == pytest.approx(1, abs=1e-3)
    assert last.cosine < 0.95


def test_a_similarity_map_cannot_be_drawn_again(tiny_pair: Pair, small: np.ndarray) -> None:
    alike = Explanation.of(tiny_pair, "student", small).evidence(0, 0).similarity
    with pytest.raises(FoodkdError, match="similarity"):
        next(randomisation(tiny_pair, small, alike))


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 20, 1000])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    # Ranks 1.5 1.5 3 4 against 1 2 3 4: their Pearson correlation.
    expected = np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3, 4])[0, 1]
    assert rank_correlation(np.array([5.0, 5, 7, 9]), np.array([1.0, 2, 3, 4])) == pytest.approx(expected)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0
