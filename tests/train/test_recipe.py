"""Recipes: what is right passes, and what is wrong gets one sentence naming the key, the value and what is allowed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import Tiny

from foodkd.errors import FoodkdError
from foodkd.train.recipe import Recipe, bundled_recipes, load_recipe


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_are_valid_and_survive_json(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.model_validate(json.loads(recipe.model_dump_json())) == recipe


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("distill.iamm=1", ["distill.iamm", "did you mean distill.iam"]),
        ("train.zzz=1", ["train.zzz", "allowed here", "train.epochs"]),
        ("train.rate=1", ["train.rate", "did you mean teacher_learning.rate or student_learning.rate?"]),
        ("train.epochs=ten", ["train.epochs", '"ten"', "valid number"]),
        ("train.epochs=0", ["train.epochs = 0", "greater than 0"]),
        ("train.epochs=inf", ["train.epochs = inf", "finite"]),
        ("distill.kd=nan", ["distill.kd = nan", "finite"]),
        ("data.std=[1, 0, 1]", ["data.std = [1, 0, 1]", "above 0"]),
        ("augment.scale=[0.5, inf]", ["augment.scale = inf", "finite"]),
        ("distill.mode=both", ["distill.mode", '"both"', "'joint'", "'one-way'"]),
        ("distill.mode=one-way", ["one-way", "teacher_checkpoint"]),
        ("train.batch_size=1.5", ["train.batch_size = 1.5", "integer"]),
        ("name=a/b", ["name", '"a/b"']),
        ("seed=-1", ["seed = -1", "greater than or equal to 0"]),
        ("distill=3", ["distill = 3"]),
        ("name.first=1", ["--set name.first=1", "name is a value"]),
        ("nothing", ["--set nothing", "KEY=VALUE"]),
        ("=1", ["--set =1", "KEY=VALUE"]),
    ],
)
def test_a_wrong_override_gets_one_sentence(override: str, parts: list[str], tiny: Tiny) -> None:
    with pytest.raises(FoodkdError) as caught:
        tiny(override)
    sentence = str(caught.value)
    assert all(part in sentence for part in parts), sentence
    assert "\n" not in sentence and len(sentence) < 400


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"name = ", "not valid TOML"),
        (b"\xff\xfe\x00", "not valid TOML"),
        (b'name = "x"', "data is missing"),
        (b'name = "x"\n[data]\ndataset = "menu"\n', "'food101', 'uecfood256', 'folder' or 'generated'"),
    ],
)
def test_a_wrong_file_gets_one_sentence(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(content)
    with pytest.raises(FoodkdError, match=r"wrong\.toml") as caught:
        load_recipe(str(path))
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_recipe_gets_the_names() -> None:
    with pytest.raises(FoodkdError, match=r"no recipe 'smok'; give one of .*smoke.* or a .toml file"):
        load_recipe("smok")


def test_a_file_with_a_byte_order_mark_is_read(tiny_file: Path, tmp_path: Path) -> None:
    (tmp_path / "notepad.toml").write_bytes(b"\xef\xbb\xbf" + tiny_file.read_bytes())
    assert load_recipe(str(tmp_path / "notepad.toml")).name == "tiny"


def test_overrides_take_toml_and_bare_words_and_the_last_wins(tiny: Tiny) -> None:
    sets = [
        "distill.mode=student-alone",
        "augment.scale=[0.5, 0.9]",
        "train.keep_weights=false",
        "data.options.classes=5",
    ]
    recipe = tiny(*sets, "seed=1", "seed=2")
    assert recipe.distill.mode == "student-alone" and recipe.augment.scale == (0.5, 0.9)
    assert recipe.train.keep_weights is False and recipe.seed == 2
    assert recipe.data.options == {"classes": 5, "per_class": 12}


@settings(deadline=None)
@given(value=st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=12)), key=st.sampled_from(
    ["train.epochs", "train.ema", "teacher_learning.rate", "distill.reverse", "seed", "teacher.size", "augment.flip"]
))  # fmt: skip
def test_any_override_gives_a_recipe_that_holds_it_or_a_sentence(value: object, key: str, tiny: Tiny) -> None:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        recipe = tiny(f"{key}={text}")
    except FoodkdError as error:
        assert "\n" not in str(error) or "\n" in text
        return
    section, _, name = key.rpartition(".")
    held = getattr(getattr(recipe, section) if section else recipe, name)
    assert math.isfinite(held) and held >= 0
    if isinstance(value, int | float):
        # An integer beyond 2^53 is held as the nearest float.
        assert held == (float(value) if isinstance(held, float) else value)
