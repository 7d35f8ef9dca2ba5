"""The objective taken apart for one photo: the training's own code, run once without learning.

terms = photo_terms(pair, pair.preprocessing.small(photo), label)
for term in terms.terms: print(term.name, term.value, term.weight, term.part)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from foodkd.distill.joint import DistillSettings, JointDistiller
from foodkd.errors import FoodkdError
from foodkd.nets import Pair, TappedClassifier

BOTH = ("teacher", "student")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Term:
    """One term: its name as in training ("mld/1": the stage with index 1), its value and what it is multiplied by."""

    name: str
    value: float
    weight: float

    @property
    def part(self) -> float:
        """What the term adds to the loss."""
        return self.weight * self.value


@dataclass(frozen=True)
class PhotoTerms:
    """All terms of one photo and one label at the end of the training, when every ramp has reached 1.

    Attributes:
        label: the class index that counts as right.
        terms: in the order of the objective; their parts add up to `loss`.
        loss: the weighted total, as the training code returns it.
        settings: the objective's settings.
        missing: terms that the settings ask for and this pair can't show, each with the reason.
    """

    label: int
    terms: tuple[Term, ...]
    loss: float
    settings: DistillSettings
    missing: tuple[tuple[str, str], ...] = ()


class StillObjective:
    """The objective of a pair's training, to be asked for one photo after another; nothing learns and the pair stays.

    A distiller sets its networks' modes: it gets copies of the modules that share the pair's tensors, so that the pair
    keeps its modes and no weight is held twice.

    Args:
        pair: in eval.

    Raises:
        FoodkdError: the pair's recipe has an objective that this foodkd doesn't know.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        settings, self.missing = _possible(pair, recipe_settings(pair))
        teacher, student = (_sharing(pair.networks[name]) for name in BOTH)
        sizes = (pair.sizes["teacher"], pair.sizes["student"])
        with torch.random.fork_rng(devices=[]):  # fresh auxiliary classifiers are drawn, only to be replaced
            self.distiller = JointDistiller(teacher, student, settings, sizes=sizes)
        if settings.mld > 0:
            self.distiller.auxiliary = nn.ModuleDict({name: _sharing(pair.auxiliary[name]) for name in BOTH})
        self.distiller.eval()

    def terms(self, small: np.ndarray, label: int) -> PhotoTerms:
        """Every term for one photo (uint8 (R, R, 3)), as if `label` were its label.

        Raises:
            FoodkdError: no such class.
        """
        if not 0 <= label < len(self.pair.classes):
            known = f"classes 0 to {len(self.pair.classes) - 1}"
            raise FoodkdError(f"There is no class {label}; the pair knows {known}.")
        images = [self.pair.tensor(name, small) for name in BOTH]
        with torch.no_grad():
            found = self.distiller(images, torch.tensor([label]), progress=1.0)
        values = {name: float(value) for name, value in found.items()}
        weights = term_weights(self.distiller.settings)
        terms = tuple(Term(name, values[name], weights[name]) for name in weights if name in values)
        return PhotoTerms(label, terms, values["loss"], self.distiller.settings, self.missing)


def photo_terms(pair: Pair, small: np.ndarray, label: int) -> PhotoTerms:
    """Every term of the objective for one photo and one label; for several, keep a `StillObjective`."""
    return StillObjective(pair).terms(small, label)


def recipe_settings(pair: Pair) -> DistillSettings:
    """The objective that the pair was trained with, as its recipe has it; the defaults where it has none.

    Raises:
        FoodkdError: the recipe names settings that this foodkd doesn't know.
    """
    recipe: Any = pair.info.get("recipe")
    given = recipe.get("distill", {}) if isinstance(recipe, dict) else {}
    try:
        return DistillSettings.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"])
        raise FoodkdError(
            f"The pair's recipe has a 'distill.{key}' that this foodkd does not understand ({wrong['msg']}); open it "
            "with the version that trained it."
        ) from None


def _possible(pair: Pair, settings: DistillSettings) -> tuple[DistillSettings, tuple[tuple[str, str], ...]]:
    """The settings without what these networks, or what was shipped with them, can't compute."""
    changed: dict[str, Any] = {} if settings.mode in ("joint", "one-way") else {"mode": "joint"}
    missing = []
    if settings.mld > 0 and (reason := _without_stages(pair, settings)):
        changed["mld"] = 0.0
        missing.append(("mld", reason))
    networks: list[TappedClassifier] = [pair.networks[name] for name in BOTH]
    if settings.iam > 0 and not all(network.additive for network in networks):
        changed["iam"] = 0.0
        missing.append(("iam", "a network's head does more than average, so it has no class activation map"))
    elif settings.iam > 0 and settings.iam_own:
        changed["iam"] = 0.0
        missing.append(
            ("iam", "it compares what is the photo's own beside the others of a batch, and this is one photo")
        )
    return settings.model_copy(update=changed), tuple(missing)


def _without_stages(pair: Pair, settings: DistillSettings) -> str:
    """Why the stages can't be compared; empty where they can."""
    if settings.mld_form == "features":
        return "it compares projected features, and the projections are not kept with the pair"
    wanted = {str(stage) for stage in settings.tapped}
    kept = [pair.auxiliary[name] for name in BOTH if name in pair.auxiliary]
    whole = len(kept) == 2 and all(wanted <= set(heads.heads) for heads in kept)
    return "" if whole and wanted else "the stages' auxiliary classifiers are not kept with the pair"


def _sharing(module: M) -> M:
    """A copy of the modules around the very same tensors."""
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def term_weights(settings: DistillSettings) -> dict[str, float]:
    """What each term is multiplied by in the loss; MLD stage by stage."""
    stages = {f"mld/{stage}": settings.mld * settings.mld_stages[stage] for stage in settings.tapped}
    both = {"ce_teacher": 1.0, "ce_student": settings.student_ce, "kd": settings.kd}
    return {**both, **stages, "iam": settings.iam}


__all__ = ["PhotoTerms", "StillObjective", "Term", "photo_terms", "recipe_settings", "term_weights"]
