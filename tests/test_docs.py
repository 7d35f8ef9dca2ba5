"""What README and docs/ say must be what the code does: recipes, settings, command lines."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from foodkd.cli import app
from foodkd.train.recipe import Recipe, bundled_recipes, load_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def setting_names(model: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        names |= setting_names(field.annotation, f"{prefix}{name}.") if nested else {prefix + name}  # type: ignore[arg-type]
    return names


def complete(block: str) -> str:
    """A block that shows one section only, completed by the guide's own recipe."""
    shown = tomllib.loads(block)
    if "name" in shown:
        return block
    sections = re.split(r"(?=^\[)", blocks(ROOT / "docs/own-data.md", "toml")[0], flags=re.M)
    kept = [section for section in sections if not any(section.startswith(f"[{name}]") for name in shown)]
    return "\n".join([*kept, block])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_shown_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        path = tmp_path / "shown.toml"
        path.write_text(complete(block))
        recipe = load_recipe(str(path))
        for section, values in tomllib.loads(block).items():
            if isinstance(values, dict):
                assert set(values) <= getattr(recipe, section).model_fields_set


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    sections = "|".join(name for name, field in Recipe.model_fields.items() if _is_section(field.annotation))
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)", text)) | set(re.findall(r"--set ([a-z_.]+)=", text))
    assert not named - setting_names(Recipe)


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def test_the_method_names_every_setting_of_the_objective() -> None:
    text = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    objective = {name for name in setting_names(Recipe) if name.startswith("distill.")}
    assert not {name for name in objective if f"`{name}`" not in text}


def toml_value(text: str) -> Any:
    """What the text is in TOML; a bare word stands for itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def test_overrides_shown_are_possible() -> None:
    shown = {found for page in PAGES for found in re.findall(r"--set ([a-z_.]+=[^\s`]+)", page.read_text())}
    assert "distill.iam=0" in shown
    for override in sorted(shown):
        key, _, value = override.partition("=")
        # One-way distillation needs a trained teacher, which the same command line names.
        resolved = load_recipe("smoke", ["teacher_checkpoint=runs/teacher", override]).model_dump(mode="json")
        for part in key.split("."):
            resolved = resolved[part]
        assert resolved == toml_value(value)


def test_bundled_recipes_named_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"foodkd train ([a-z0-9-]+)(?=\s)", page.read_text())}
    assert named and named <= set(bundled_recipes())


def shown_commands(program: str) -> list[list[str]]:
    """Arguments of every command of a program in a page's shell blocks, lines continued, comments left out."""
    shown = "".join(block.replace("\\\n", " ") for page in PAGES for block in blocks(page, "bash"))
    lines = shown.splitlines()
    found = [shlex.split(line, comments=True) for line in lines if line.startswith(program)]
    return [words[len(program.split()) :] for words in found]


@pytest.mark.parametrize("words", shown_commands("python -m foodkd"), ids=" ".join)
def test_command_lines_shown_are_understood(words: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(None, words[0])  # type: ignore[attr-defined]
    assert command is not None
    command.make_context(words[0], words[1:])  # raises a usage error for an option or a value that does not exist


def test_options_of_the_app_shown_exist() -> None:
    printed = subprocess.run([sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    options = {word for words in shown_commands("python app.py") for word in words if word.startswith("--")}
    assert options and all(option in printed.stdout for option in options)


def heading_anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_headings_linked_to_exist() -> None:
    links = [
        (page, *match)
        for page in PAGES
        for match in re.findall(r"\]\(([a-z-]*(?:\.md)?)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert links
    for page, path, anchor in links:
        target = page.parent / path if path else page
        assert anchor in heading_anchors(target), f"{page.name}: {path}#{anchor}"
