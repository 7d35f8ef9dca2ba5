import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foodkd.data import batch_order
from foodkd.data.sampling import held_out, limited, set_apart, stream
from foodkd.errors import FoodkdError


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 70), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_shows_photos_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = batch_order(count, size, seed=seed, epoch=epoch)
    shown = np.concatenate(batches)
    assert len(set(shown.tolist())) == len(shown) and shown.min() >= 0 and shown.max() < count
    if count >= size:
        assert {len(batch) for batch in batches} == {size} and len(batches) == count // size
    else:
        assert [len(batch) for batch in batches] == [count]


def test_order_is_keyed_by_seed_and_epoch() -> None:
    first = np.concatenate(batch_order(64, 8, seed=1, epoch=2))
    assert np.array_equal(first, np.concatenate(batch_order(64, 8, seed=1, epoch=2)))
    for seed, epoch in ((1, 3), (2, 2), (2, 1), (1 + 2**32, 2)):
        assert not np.array_equal(first, np.concatenate(batch_order(64, 8, seed=seed, epoch=epoch)))


def test_streams_differ_by_purpose_and_length_of_key() -> None:
    draws = [stream(*key).random(4).tolist() for key in (("a", 1), ("b", 1), ("a", 1, 0), ("a", 0, 1), ("a",))]
    assert len({tuple(draw) for draw in draws}) == len(draws)
    with pytest.raises(FoodkdError, match="below 0"):
        stream("a", -1)


def test_empty_sets_and_batches_are_refused() -> None:
    for count, size in ((0, 8), (8, 0)):
        with pytest.raises(FoodkdError):
            batch_order(count, size, seed=0, epoch=0)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.floats(0.01, 0.6), st.integers(0, 5))
def test_every_class_gives_its_share(sizes: list[int], share: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"{label}/{i}" for i, label in enumerate(labels)]
    held = held_out(labels, names, share, seed=seed, purpose="test")
    for label, size in enumerate(sizes):
        wanted = 0 if size == 1 else min(max(round(share * size), 1), size - 1)
        assert held[labels == label].sum() == wanted


def test_the_split_hangs_on_names_only() -> None:
    labels = np.repeat([0, 1], 50)
    names = [f"{label}/{i}" for i, label in enumerate(labels)]
    held = held_out(labels, names, 0.2, seed=0, purpose="test")
    order = np.random.default_rng(0).permutation(100)
    shuffled = held_out(labels[order], [names[i] for i in order], 0.2, seed=0, purpose="test")
    assert np.array_equal(shuffled, held[order])
    assert not np.array_equal(held, held_out(labels, names, 0.2, seed=1, purpose="test"))
    # Written down once: a change here would silently change every published figure.
    assert np.flatnonzero(held)[:5].tolist() == [2, 7, 8, 9, 18]


@given(st.integers(0, 20))
def test_groups_are_never_parted(seed: int) -> None:
    labels = np.array([0] * 20 + [1] * 20)
    groups = [str(i) for i in range(20)] + [str(i) for i in range(10, 30)]
    held = held_out(labels, groups, 0.3, seed=seed, purpose="test")
    sides = {group: {bool(h) for g, h in zip(groups, held, strict=True) if g == group} for group in groups}
    assert all(len(side) == 1 for side in sides.values())
    assert held[:20].sum() == 6 and held[20:].sum() == 6


def test_a_smaller_limit_takes_some_of_a_larger_ones() -> None:
    labels = np.repeat([0, 1, 2], [10, 3, 20])
    names = [str(i) for i in range(33)]
    few, more = (set(limited(labels, names, n, seed=0).tolist()) for n in (2, 5))
    assert few < more and len(few) == 6 and len(more) == 13
    with pytest.raises(FoodkdError, match="limit"):
        limited(labels, names, 0, seed=0)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(FoodkdError, match="share"):
        held_out(np.zeros(3, int), ["a", "b", "c"], share, seed=0, purpose="test")


SEEDS = st.integers(0, 9)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 40), st.floats(0.05, 0.5), SEEDS)
def test_what_is_set_apart_hangs_on_each_name_alone(sizes: list[int], more: int, share: float, seed: int) -> None:
    def apart(counts: list[int]) -> tuple[list[str], np.ndarray]:
        labels = np.repeat(np.arange(len(counts)), counts)
        names = [f"{label}/{i}" for label, count in enumerate(counts) for i in range(count)]
        return names, set_apart(labels, names, share, seed=seed, purpose="test")

    (names, before), (later_names, after) = apart(sizes), apart([size + more for size in sizes])
    later = dict(zip(later_names, after, strict=True))
    for label, size in enumerate(sizes):
        own = [i for i, name in enumerate(names) if name.startswith(f"{label}/")]
        trained = [names[i] for i in own if not before[i]]
        assert trained and (size == 1 or before[own].any())
        moved = [name for name in trained if later[name]]
        assert not moved or len(trained) == 1  # the only one of a class that was otherwise all set apart


def test_about_the_share_is_set_apart_and_groups_stay_together() -> None:
    labels, groups = np.repeat(np.arange(20), 100), [f"photo{i % 1500}" for i in range(2000)]
    chosen = set_apart(labels, groups, 0.2, seed=0, purpose="test")
    assert 0.18 < chosen.mean() < 0.22
    sides = {group: {bool(c) for g, c in zip(groups, chosen, strict=True) if g == group} for group in groups[:500]}
    assert all(len(side) == 1 for side in sides.values())
    with pytest.raises(FoodkdError, match="set apart"):
        set_apart(labels, groups, 0.0, seed=0, purpose="test")
