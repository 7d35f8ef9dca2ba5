"""One app and one Chromium for all browser tests; each test gets a fresh visitor.

Every visitor's console and network are watched: an error, or a request that leaves this machine, fails the test.
"""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "Browser tests need Chromium: apt-get install chromium (and pip install playwright)."
PATIENCE = 60_000  # milliseconds, for a slow machine; nothing here measures time


def _missing() -> None:
    """Skip, or fail where a skip would hide that nothing was tried."""
    if os.environ.get("FOODKD_REQUIRE_BROWSER") == "1" or os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@pytest.fixture(scope="session")
def browser():
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        _missing()
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def app_url(browser, tiny_pair) -> Iterator[str]:
    from foodkd.ui import build_app, launch

    second = copy.copy(tiny_pair)
    second.info = {**tiny_pair.info, "name": "my own pair"}
    app = build_app(tiny_pair, beside=second)
    _, url, _ = launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url.rstrip("/")
    app.close(verbose=False)


@pytest.fixture
def visit(browser, app_url) -> Iterator[Callable]:
    """visit(query="", width=1280, height=800, touch=False) opens the app as another visitor."""
    contexts, wrong = [], []

    def opened(query: str = "", *, width: int = 1280, height: int = 800, touch: bool = False):
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", has_touch=touch)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if _local(request.url, app_url) else wrong.append(request.url))
        page.goto(f"{app_url}/{query}")
        page.wait_for_selector(".fk-verdict h2")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == [], "console errors, or requests that leave this machine"


def _local(url: str, app_url: str) -> bool:
    return url.startswith((app_url, "data:", "blob:"))


@pytest.fixture(scope="session")
def own_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo nobody has seen: 120 x 80, coarse colours."""
    path = tmp_path_factory.mktemp("own") / "lunch.png"
    coarse = np.random.default_rng(11).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((120, 80)).save(path)
    return path
