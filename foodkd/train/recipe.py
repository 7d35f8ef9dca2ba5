"""Recipes: everything that decides a training run, validated before anything is computed."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from foodkd.data import IMAGENET_MEAN, IMAGENET_STD, Augmentation, Preprocessing
from foodkd.distill import DistillSettings
from foodkd.errors import FoodkdError
from foodkd.nets import NetworkSettings
from foodkd.train import bundled_recipes

__all__ = ["DataSettings", "LearningSettings", "Recipe", "TrainSettings", "bundled_recipes", "load_recipe"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Settings):
    """Which photos.

    Attributes:
        dataset: food101, uecfood256, folder or generated.
        resolution: side in pixels to which every photo's centre square is reduced: all that the networks ever see.
        holdout: share of the training photos of each class kept for validation; generated pictures have their own.
        limit: at most this many training photos per class; None for all.
        mean, std: channel statistics (ImageNet's with ImageNet starting weights).
        options: of the dataset, such as crops = "whole" for uecfood256.
    """

    dataset: Literal["food101", "uecfood256", "folder", "generated"]
    resolution: int = Field(default=64, ge=16, le=1024)
    holdout: float = Field(default=0.02, gt=0, lt=1)
    limit: int | None = Field(default=None, ge=2)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    options: dict[str, Any] = {}

    @field_validator("std")
    @classmethod
    def _above_zero(cls, std: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(std) <= 0:
            raise ValueError("must be above 0 in every channel")
        return std

    def preprocessing(self) -> Preprocessing:
        """What the checkpoint will carry."""
        return Preprocessing(resolution=self.resolution, mean=self.mean, std=self.std)


class LearningSettings(_Settings):
    """How one network learns.

    Attributes:
        rate: peak learning rate of AdamW.
        fresh_factor: times that for parts without starting weights (new heads, auxiliary classifiers).
        weight_decay: on weights, not on biases or norms.
        clip: largest norm of the gradient, per network; 0 for none.
        frozen_stages: the first stages that stay as they started; fine-tuning is a quarter faster with one.
        precision: of its passes. bfloat16 helps networks of dense convolutions and hurts depthwise ones on CPUs.
    """

    rate: float = Field(default=1e-3, gt=0)
    fresh_factor: float = Field(default=5.0, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip: float = Field(default=2.0, ge=0)
    frozen_stages: int = Field(default=0, ge=0, le=4)
    precision: Literal["float32", "bfloat16"] = "float32"


class TrainSettings(_Settings):
    """The loop.

    Attributes:
        epochs: passes over the training photos; fractions allowed.
        batch_size: photos per step and process.
        schedule: "one-cycle" warms up and anneals; "cosine" only anneals; "constant" warms up and stays, for a trunk
            that other runs go on from and anneal. The first two end at a thousandth of the peak.
        warmup: share of the steps spent warming up (one-cycle and constant).
        ema: decay of the averaged weights that are evaluated and saved; 0 for none.
        evaluate_every: epochs between evaluations on the validation photos; each is a line of the history.
        save_every: minutes between saves of the resume state.
        keep_weights: keep fp16 weights of every evaluation, for playback.
        coarse: share of the training done on smaller inputs (progressive resolution); 0 for none.
        coarse_scale: their size as a share of the full one.
        recalibrate: batches on which batch-norm statistics are measured before the first step (after a stride was
            taken out), augmented as in training.
        norm_batches: the same for the weights that are evaluated and saved, as their average lags behind; 0 leaves the
            running ones.
        norm_photos: those batches "plain", as photos are met afterwards, or "augmented" as in training.
        workers: threads that read photos ahead.
    """

    epochs: float = Field(default=30.0, gt=0)
    batch_size: int = Field(default=64, ge=2)
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    ema: float = Field(default=0.998, ge=0, lt=1)
    evaluate_every: float = Field(default=1.0, gt=0)
    save_every: float = Field(default=5.0, gt=0)
    keep_weights: bool = True
    coarse: float = Field(default=0.0, ge=0, lt=1)
    coarse_scale: float = Field(default=0.75, gt=0, le=1)
    recalibrate: int = Field(default=0, ge=0)
    norm_batches: int = Field(default=0, ge=0)
    norm_photos: Literal["plain", "augmented"] = "plain"
    workers: int = Field(default=1, ge=1)


class Recipe(_Settings):
    """A whole training run. Two runs of one recipe on one machine give the same weights.

    Attributes:
        name: what the pair will be called.
        seed: of initialisation, data order, augmentation and dropout.
        data, teacher, student, distill, augment, train: the parts.
        teacher_learning, student_learning: how each network learns.
        teacher_checkpoint: a checkpoint folder whose teacher starts this run (mode "one-way" needs it).
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0)
    data: DataSettings
    teacher: NetworkSettings
    student: NetworkSettings
    teacher_learning: LearningSettings = LearningSettings(rate=3e-4, precision="float32")
    student_learning: LearningSettings = LearningSettings()
    teacher_checkpoint: Path | None = None
    distill: DistillSettings = DistillSettings()
    augment: Augmentation = Augmentation()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _a_frozen_teacher_knows_something(self) -> Recipe:
        if self.distill.mode == "one-way" and self.teacher_checkpoint is None:
            raise ValueError('distill.mode = "one-way" needs teacher_checkpoint: a folder with a trained teacher')
        return self


def load_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate a recipe.

    Args:
        source: a bundled name or the path of a .toml file.
        overrides: "KEY=VALUE" with dotted keys, such as "distill.iam=0"; values as in TOML, bare words are strings.

    Raises:
        FoodkdError: no such recipe, not TOML, or a wrong key or value; the sentence names it and what is allowed.
    """
    settings = _parse(source)
    for override in overrides:
        _override(settings, override)
    for key, value in _leaves(settings):
        if isinstance(value, float) and not math.isfinite(value):
            raise FoodkdError(f"Recipe {source}: {key} = {value}: a setting must be a finite number.")
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise FoodkdError(f"Recipe {source}: {_sentence(error)}") from None


def _parse(source: str) -> dict[str, Any]:
    path = Path(source)
    if source in bundled_recipes():
        content = (resources.files("foodkd.train") / "recipes" / f"{source}.toml").read_bytes()
    elif path.suffix == ".toml" and path.is_file():
        content = path.read_bytes()
    else:
        bundled = ", ".join(bundled_recipes())
        raise FoodkdError(f"There is no recipe '{source}'; give one of {bundled}, or a .toml file.")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FoodkdError(f"Recipe {source} is not valid TOML: {error}.") from None


def _leaves(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; those of lists under their list's key."""
    for key, value in settings.items():
        for part in value if isinstance(value, list) else [value]:
            yield from _leaves(part, f"{prefix}{key}.") if isinstance(part, dict) else [(f"{prefix}{key}", part)]


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise FoodkdError(f"--set {override}: give KEY=VALUE, for example distill.iam=0.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word
    *path, last = key.strip().split(".")
    for part in path:
        settings = settings.setdefault(part, {})
        if not isinstance(settings, dict):
            raise FoodkdError(f"--set {override}: {part} is a value, not a section.")
    settings[last] = value


def _sentence(error: ValidationError) -> str:
    """The first thing wrong, as one sentence: the key, the value, what is allowed."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {key}; {_near(key)}"
    if first["type"] == "missing":
        return f"{key} is missing; set it."
    more = f" ({len(error.errors()) - 1} more to mend)" if len(error.errors()) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if isinstance(first["input"], dict) and first["type"] == "value_error":  # of a section: the message names the keys
        return f"{key}: {message}{more}." if key else f"{message}{more}."
    value = json.dumps(first["input"], default=str)
    return f"{key} = {value[:80]}{'...' if len(value) > 80 else ''}: {message}{more}."


def _near(key: str) -> str:
    names = _names(Recipe)
    section, _, last = key.rpartition(".")
    siblings = [name for name in names if name.rpartition(".")[0] == section]
    misplaced = [name for name in names if name.rpartition(".")[2] == last]
    for candidates in (misplaced, siblings, names):
        close = difflib.get_close_matches(last, [name.rpartition(".")[2] for name in candidates], n=3)
        if close:
            return f"did you mean {' or '.join(n for n in candidates if n.rpartition('.')[2] in close)}?"
    return f"allowed here: {', '.join(siblings or names)}."


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        names += _names(field.annotation, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]  # type: ignore[arg-type]
    return names
