"""Tab 6 in a real browser: filtered, sorted and saved; and a visitor's own photos, on a phone."""

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("playwright", reason="Browser tests need playwright: pip install playwright")
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import Page, expect

from foodkd.data import open_photos
from foodkd.explain.answers import Answers
from foodkd.nets import Pair
from foodkd.train.metrics import labels_for, predict_pair
from tests.browser.conftest import PATIENCE


@pytest.fixture(scope="module")
def answered(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair with its own answers to the generated test photos beside it."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("answered") / "tiny")
    pair, photos = Pair.load(folder), open_photos("generated", None, "test", resolution=64)
    logits = {name: values.numpy() for name, values in predict_pair(pair, photos).items()}
    made = Answers.of(pair, logits, photos.ids, labels_for(pair, photos).numpy(), dataset="generated", split="test")
    made.save(folder / "answers.npz")
    return pair


@pytest.fixture(scope="module")
def app_url(browser, answered: Pair) -> Iterator[str]:
    """An app over that pair, in place of the one that the other browser tests share."""
    from foodkd.ui import build_app, launch

    app = build_app(answered)
    _, url, _ = launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url.rstrip("/")
    app.close(verbose=False)


def rows_of(page: Page, button: str) -> list[list[str]]:
    """The table that a button saves, without its head."""
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.locator(button).click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.reader(io.StringIO(text)))[1:]


def axe(page: Page) -> list[str]:
    """What axe-core finds on the tab in light, and what dark adds: other colours, and nothing else."""
    page.evaluate(AXE_SCRIPT)
    found = []
    for options in ("{}", "{runOnly: ['color-contrast']}"):
        violations = page.evaluate(f"axe.run('#fk-tabs [role=tabpanel]:not([hidden])', {options})")["violations"]
        found += [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]]
        page.evaluate("document.body.classList.toggle('dark')")
    return found


def test_the_test_set_is_filtered_sorted_saved_and_leads_to_the_maps(visit, answered: Pair) -> None:
    answers = Answers.load(answered.path / "answers.npz")
    page = visit("?tab=testset")
    cell = max(answers.quadrants(), key=lambda name: len(answers.quadrants()[name]))
    count = len(answers.quadrants()[cell])
    page.locator(f"#fk-cell-{cell}").click()
    expect(page.locator("#fk-testset-bar [role=status]")).to_contain_text(f"{count} of {len(answers)}")
    expect(page.locator(f"#fk-cell-{cell}")).to_be_focused()
    assert {row[0] for row in rows_of(page, "#fk-csv")} == {answers.ids[i] for i in answers.quadrants()[cell]}
    page.locator("#fk-sort-gap").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    gaps = answers.class_accuracy("teacher") - answers.class_accuracy("student")
    first = page.locator("#fk-testset-classes tbody button").first
    assert first.get_attribute("data-label") == str(int(np.argmax(gaps)))
    dish = first.inner_text()
    first.click()
    expect(page.locator(".fk-chip")).to_have_count(2)
    assert axe(page) == []
    chosen = page.locator("#fk-testset-bar [role=status]").inner_text()
    again = visit(f"?{urlsplit(page.url).query}")
    expect(again.locator("#fk-testset-bar [role=status]")).to_have_text(chosen)
    again.close()
    page.locator("[data-see]").click()
    expect(page.locator("#fk-testset-photos")).to_be_focused()
    expect(page.locator(".fk-set-bar")).to_be_in_viewport()  # what is chosen stays in sight
    page.locator("#fk-make-class").click()
    expect(page.locator("#fk-maps .fk-note")).to_contain_text(dish)


def test_own_photos_are_answered_on_a_phone_and_a_broken_one_is_named(visit, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for name in ("lunch.png", "dinner.png"):
        coarse = random.integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((120, 80)).save(tmp_path / name)
    (tmp_path / "soup.jpg").write_text("not a photo")
    page = visit("?tab=testset", width=390, height=844)
    page.get_by_label("My photos").check()
    page.set_input_files("#fk-testset-upload input[type=file]", sorted(tmp_path.iterdir()))
    expect(page.locator(".fk-own-head")).to_contain_text("2 photos answered")
    expect(page.locator(".fk-problems")).to_contain_text("soup.jpg")
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert axe(page) == []
    assert {row[0] for row in rows_of(page, "#fk-own-csv")} == {"lunch.png", "dinner.png"}
    said = page.locator(".fk-said.fk-teacher").first.inner_text()
    page.locator("button.fk-photo-row").first.click()
    expect(page.locator("#fk-tabs [role=tab][aria-selected=true]")).to_have_text("Compare")
    expect(page.get_by_alt_text("The photo you chose").first).to_be_visible()
    answer = "#fk-answers .fk-card.fk-teacher .fk-first .fk-bar-name"
    page.wait_for_function(f"said => said.includes(document.querySelector('{answer}').innerText)", arg=said)
