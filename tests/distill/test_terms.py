"""The objective taken apart for one photo: the numbers are the training code's own, and the pair stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from foodkd.distill import DistillSettings, JointDistiller
from foodkd.distill.terms import PhotoTerms, StillObjective, photo_terms, recipe_settings
from foodkd.errors import FoodkdError
from foodkd.nets import Pair

BOTH = ("teacher", "student")
RECIPE = {"temperature": 3.0, "reverse": 0.5, "mld": 0.4, "mld_stages": [0.0, 0.5, 0.25, 0.0], "iam": 2.0}


def with_recipe(pair: Pair, **distill: Any) -> Pair:
    """The same networks under another recipe."""
    parts = pair.classes, pair.preprocessing, pair.networks, pair.settings, pair.auxiliary, pair.temperatures
    return Pair(*parts, {"recipe": {"distill": distill}})


@pytest.fixture
def photo(tiny_pair: Pair) -> np.ndarray:
    side = tiny_pair.preprocessing.resolution
    return np.random.default_rng(3).integers(0, 256, (side, side, 3), dtype=np.uint8)


def by_hand(pair: Pair, settings: DistillSettings, photo: np.ndarray, label: int) -> dict[str, float]:
    """A distiller over deep copies, as training would build it, with the pair's auxiliary classifiers."""
    networks = [copy.deepcopy(pair.networks[name]) for name in BOTH]
    with torch.random.fork_rng(devices=[]):
        distiller = JointDistiller(*networks, settings, sizes=(pair.sizes["teacher"], pair.sizes["student"]))
    for name in distiller.auxiliary:
        distiller.auxiliary[name].load_state_dict(pair.auxiliary[name].state_dict())
    distiller.eval()
    with torch.no_grad():
        found = distiller([pair.tensor(name, photo) for name in BOTH], torch.tensor([label]))
    return {name: float(value) for name, value in found.items()}


def values(terms: PhotoTerms) -> dict[str, float]:
    return {term.name: term.value for term in terms.terms}


@pytest.mark.parametrize("recipe", [{}, RECIPE, {"mode": "one-way", "mld_ce": 0.0}, {"kd": 0.0, "iam": 0.0}])
def test_the_terms_are_those_of_a_distiller_built_by_hand(
    tiny_pair: Pair, photo: np.ndarray, recipe: dict[str, Any]
) -> None:
    recipe = recipe | {"mld_width": 16}  # the tiny pair's auxiliary classifiers
    pair, settings = with_recipe(tiny_pair, **recipe), DistillSettings.model_validate(recipe)
    expected, found = by_hand(pair, settings, photo, 2), photo_terms(pair, photo, 2)
    assert found.settings == settings and found.missing == () and found.label == 2
    assert values(found) == pytest.approx({name: v for name, v in expected.items() if name not in ("loss", "mld")})
    assert found.loss == pytest.approx(expected["loss"])
    assert sum(term.part for term in found.terms) == pytest.approx(found.loss)
    assert sum(t.part for t in found.terms if t.name.startswith("mld/")) == pytest.approx(
        settings.mld * expected["mld"]
    )


def test_what_the_label_changes_and_what_it_does_not(tiny_pair: Pair, photo: np.ndarray) -> None:
    objective = StillObjective(tiny_pair)
    first, second = (values(objective.terms(photo, label)) for label in (0, 1))
    assert first["kd"] == second["kd"] > 0
    for name in ("ce_teacher", "ce_student", "mld/1", "mld/2", "iam"):
        assert first[name] != second[name]
    for name in BOTH:
        with torch.no_grad():
            logits = tiny_pair.networks[name](tiny_pair.tensor(name, photo)).logits[0].double()
        assert first[f"ce_{name}"] == pytest.approx(-float(torch.log_softmax(logits, 0)[0]), rel=1e-5)


def test_two_equal_networks_have_nothing_to_tell_each_other(tiny_pair: Pair, photo: np.ndarray) -> None:
    parts = {name: {n: getattr(tiny_pair, name)["student"] for n in BOTH} for name in ("networks", "settings")}
    heads = {name: tiny_pair.auxiliary["student"] for name in BOTH}
    twins = Pair(tiny_pair.classes, tiny_pair.preprocessing, **parts, auxiliary=heads)  # type: ignore[arg-type]
    twins.info = {"recipe": {"distill": {"mld_ce": 0.0}}}
    found = values(photo_terms(twins, photo, 1))
    for name in ("kd", "mld/1", "mld/2", "iam"):
        assert found[name] == pytest.approx(0, abs=1e-5)
    assert found["ce_teacher"] == found["ce_student"] > 0


def flags(module: nn.Module) -> Iterator[tuple[Any, ...]]:
    for part in module.modules():
        yield id(part), part.training, len(part._forward_hooks)
    for tensor in [*module.parameters(), *module.buffers()]:
        yield id(tensor), tensor.requires_grad, tensor.grad is None, tensor.clone()


def same(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> bool:
    pairs = zip(before, after, strict=True)
    return all(a[:3] == b[:3] and (len(a) < 4 or torch.equal(a[3], b[3])) for a, b in pairs)


def test_the_pair_and_the_random_numbers_stay_bit_for_bit(tiny_pair: Pair, photo: np.ndarray) -> None:
    parts = [*tiny_pair.networks.values(), *tiny_pair.auxiliary.values()]
    before, random = [list(flags(part)) for part in parts], torch.get_rng_state()
    objective = StillObjective(tiny_pair)
    objective.terms(photo, 0)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(same(old, list(flags(part))) for old, part in zip(before, parts, strict=True))
    assert not any(module.training for part in parts for module in part.modules())
    own = {id(tensor) for part in parts for tensor in part.parameters()}
    assert {id(tensor) for tensor in objective.distiller.parameters()} == own


def test_what_can_not_be_shown_is_named(tiny_pair: Pair, photo: np.ndarray) -> None:
    bare = with_recipe(tiny_pair)
    bare.auxiliary = {}
    found = photo_terms(bare, photo, 0)
    assert [name for name, _ in found.missing] == ["mld"] and not any("mld" in name for name in values(found))
    projected = photo_terms(with_recipe(tiny_pair, mld_form="features"), photo, 0)
    assert [name for name, _ in projected.missing] == ["mld"] and "projections" in projected.missing[0][1]
    alone = photo_terms(with_recipe(tiny_pair, iam_own=True), photo, 0)
    assert [name for name, _ in alone.missing] == ["iam"] and "iam" not in values(alone)
    assert "ce_teacher" in values(photo_terms(with_recipe(tiny_pair, mode="student-alone"), photo, 0))


def test_wrong_labels_and_foreign_recipes_are_refused(tiny_pair: Pair, photo: np.ndarray) -> None:
    with pytest.raises(FoodkdError, match="no class 4; the pair knows classes 0 to 3"):
        photo_terms(tiny_pair, photo, 4)
    with pytest.raises(FoodkdError, match=r"distill\.wisdom"):
        recipe_settings(with_recipe(tiny_pair, wisdom=1))
    assert recipe_settings(tiny_pair) == DistillSettings()
