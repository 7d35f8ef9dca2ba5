"""A tiny recipe, real processes to train it in, and one finished run for all who only look."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from training_runs import Tiny

from foodkd.train.loop import train
from foodkd.train.recipe import load_recipe

TINY = """
name = "tiny"
[data]
dataset = "generated"
resolution = 32
options = { classes = 3, per_class = 12 }
[teacher]
backbone = "shufflenet_v2_x1_0"
size = 32
output_stride = 16
[student]
backbone = "shufflenet_v2_x0_5"
size = 32
output_stride = 16
dropout = 0.2
[distill]
mld_width = 8
[train]
epochs = 2
batch_size = 12
ema = 0.8
evaluate_every = 1
save_every = 0.00001
"""


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps, two evaluations, the state saved after every step."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_file: Path) -> Tiny:
    """tiny("KEY=VALUE", ...): the recipe with overrides."""
    return lambda *overrides: load_recipe(str(tiny_file), overrides)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes that start within milliseconds, since they are forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    metrics = ["torchmetrics.functional.classification", "torch.utils.tensorboard", "matplotlib.backends.backend_agg"]
    context.set_forkserver_preload(["foodkd.train.loop", "tqdm", "matplotlib.figure", *metrics])
    return context


@pytest.fixture(scope="session")
def learned(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run long enough to learn something. Only look."""
    out = tmp_path_factory.mktemp("runs") / "learned"
    settings = ["data.options.per_class=48", "data.options.classes=3", "train.epochs=6", "train.evaluate_every=3"]
    rates = ["teacher_learning.rate=0.004", "student_learning.rate=0.006", "train.save_every=5", "distill.mld=0.1"]
    with torch.random.fork_rng():
        train(
            tiny(*settings, *rates, "augment.scale=[0.8, 1.0]", "student.dropout=0.0"), data=None, out=out, quiet=True
        )
    return out
