"""Training: recipes, the loop, run folders, metrics."""

from importlib import resources


def bundled_recipes() -> list[str]:
    """Names of the recipes that come with foodkd; here, since the command line's help lists them at once."""
    folder = resources.files("foodkd.train") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
