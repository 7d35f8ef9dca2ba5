"""A running app over the tiny pair, for tests that speak to it as a client, and the desk behind it."""

from collections.abc import Iterator

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from foodkd.nets import Pair


@pytest.fixture(scope="session")
def desk(tiny_pair: Pair):
    from foodkd.ui.session import Desk, read_examples

    return Desk(tiny_pair, read_examples())


@pytest.fixture(scope="session")
def app(tiny_pair: Pair) -> Iterator[gr.Blocks]:
    from foodkd.ui import build_app, launch

    app = build_app(tiny_pair)
    launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield app
    app.close(verbose=False)


@pytest.fixture(scope="session")
def app_url(app: gr.Blocks) -> str:
    return app.local_url


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Twenty different pictures on disk, wider than high."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(5)
    paths = []
    for number in range(20):
        coarse = random.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 64)).save(folder / f"{number}.png")
        paths.append(str(folder / f"{number}.png"))
    return paths
