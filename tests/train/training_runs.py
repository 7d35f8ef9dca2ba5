"""What the tests of training share besides fixtures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from foodkd.train.recipe import Recipe

Tiny = Callable[..., Recipe]


def contents(run: Path) -> dict[str, Any]:
    """All that two runs of one recipe must share, bit for bit."""
    weights = {str(p.relative_to(run)): _digest(p) for p in sorted(run.rglob("*.safetensors"))}
    maps = {p.name: {k: v.tobytes() for k, v in np.load(p).items()} for p in sorted(run.glob("playback/*.npz"))}
    recorded = {name: (run / name).read_text() for name in ("history.jsonl", "recipe.json", "best/pair.json")}
    return weights | maps | recorded


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
