"""The lesson in a real browser: guess and reveal, the temperature, the label, the playback, large type."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="Browser tests need playwright: pip install playwright")
from playwright.sync_api import Page, expect

from foodkd.explain.playback import Playback
from foodkd.explain.soft_labels import entropy, soft_labels, softened_divergence
from foodkd.nets import Pair
from foodkd.ui.lesson_soft import shown_share
from tests.browser.pages import pictures

BOTH = ("teacher", "student")


@pytest.fixture(scope="module")
def examples(tiny_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of the shipped pictures under the names of dishes that the tiny pair knows."""
    shipped = Path(__file__).resolve().parents[2] / "assets" / "examples"
    folder = tmp_path_factory.mktemp("examples")
    rows = json.loads((shipped / "examples.json").read_text(encoding="utf-8"))[:4]
    for row, dish in zip(rows, tiny_pair.classes, strict=False):
        shutil.copy(shipped / row["file"], folder)
        row["class"] = dish
    (folder / "examples.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def taught(tiny_pair: Pair, examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The tiny pair with a playback of three points beside it."""
    random, names = np.random.default_rng(1), [path.stem for path in sorted(examples.glob("*.jpg"))]
    shape, rates = (3, len(names)), {name: np.array([0.2, 0.4, 0.5]) for name in BOTH}
    shares = {name: random.random(shape) for name in BOTH}
    made = Playback(
        classes=tiny_pair.classes,
        examples=tuple(names),
        dishes=np.arange(len(names)),
        epochs=np.array([0.5, 1.0, 1.5]),
        maps={name: random.normal(size=(*shape, 4, 4)) for name in BOTH},
        answers={name: np.zeros(shape, int) for name in BOTH},
        sure=shares,
        dish=shares,
        place={name: np.array([7.5, 16.0, 64.0]) for name in BOTH},
        cosine=random.random(shape),
        history={"kd": np.array([2.0, 1.5, 1.0])} | {f"{name}/top1": rate for name, rate in rates.items()},
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    made.save(folder / "playback.npz")
    return replace(tiny_pair, path=folder)


@pytest.fixture(scope="module")
def app_url(browser, taught: Pair, examples: Path) -> Iterator[str]:
    from foodkd.ui import build_app, launch

    app = build_app(taught, examples=examples)
    _, url, _ = launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url.rstrip("/")
    app.close(verbose=False)


def to_step(page: Page, number: int) -> None:
    page.locator(f"#fk-step-{number}").click()
    expect(page.locator(f'.fk-lesson[data-step="{number}"]')).to_be_visible()
    expect(page.locator("#fk-lesson-panel [data-ask]")).to_have_count(0)


def lesson(visit, **options) -> Page:
    page = visit("?tab=lesson", **options)
    expect(page.locator("#fk-lesson-panel [data-ask]")).to_have_count(0)
    return page


def test_guess_first_then_reveal_by_keyboard(visit):
    page = lesson(visit)
    guess = page.locator("#fk-guess-second")
    expect(page.locator(".fk-verdict-line")).to_have_count(0)
    guess.focus()
    page.keyboard.press("Enter")
    expect(guess).to_have_attribute("aria-pressed", "true")
    expect(guess).to_be_focused()  # the panel was drawn anew around it
    page.locator("#fk-reveal").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".fk-verdict-line")).to_contain_text("guessed")
    expect(page.locator(".fk-answers-two .fk-card")).to_have_count(2)
    page.locator("#fk-after").focus()
    page.keyboard.press("Enter")
    expect(page.locator('.fk-lesson[data-step="2"]')).to_be_visible()
    expect(page.locator("#fk-lesson-title")).to_be_focused()
    page.locator("#fk-before").click()
    expect(page.locator(".fk-verdict-line")).to_be_visible()


def test_a_link_opens_the_step_that_it_was_copied_at(visit):
    page = visit("?tab=lesson&step=3")
    expect(page.locator('.fk-lesson[data-step="3"]')).to_be_visible()
    to_step(page, 6)
    expect(page).to_have_url(re.compile("tab=lesson&step=6"))
    page.locator("#fk-step-1").click()
    expect(page).not_to_have_url(re.compile("step="))


def shown(page: Page, name: str) -> list[str]:
    return [part.inner_text() for part in page.locator(f".fk-soft .fk-{name} b").all()]


def test_the_temperature_moves_at_once_and_its_numbers_are_pythons(visit):
    page = lesson(visit)
    to_step(page, 2)
    sent = json.loads(page.locator(".fk-dark").get_attribute("data-soft"))
    order = json.loads(page.locator(".fk-dark").get_attribute("data-shown"))
    logits = {name: np.array(sent[name]) for name in BOTH}
    for tau in ("1", "0.5", "2.4", "10"):
        page.locator("#fk-tau").evaluate(
            "(slider, tau) => { slider.value = tau; slider.dispatchEvent(new Event('input', { bubbles: true })); }", tau
        )
        for name in BOTH:
            shares = soft_labels(logits[name], float(tau))
            assert shown(page, name) == [shown_share(float(shares[index])) for index in order], tau
            assert page.locator(f'[data-entropy="{name}"]').inner_text() == f"{entropy(shares):.2f}"
        distance = softened_divergence(logits["teacher"], logits["student"], float(tau))
        assert page.locator("[data-distance]").inner_text() == f"{distance:.3f}"
    page.locator("#fk-tau").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".fk-tau output")).to_have_text("9.9")
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("tab", name="How distillation works").click()
    expect(page.locator(".fk-tau output")).to_have_text("9.9")


def test_another_label_changes_the_errors_and_not_the_answers(visit):
    page = lesson(visit)
    to_step(page, 3)
    part = {
        name: page.locator(f'[data-term="{name}"] [data-name="part"] > span') for name in ("ce_student", "kd", "iam")
    }
    before = {name: cell.inner_text() for name, cell in part.items()}
    label = page.locator("#fk-label")
    other = next(v for v in label.locator("option").all() if v.get_attribute("selected") is None)
    label.focus()
    label.select_option(other.get_attribute("value"))
    expect(page.locator("#fk-own-label")).to_be_visible()
    expect(page.locator("#fk-lesson-panel [data-ask]")).to_have_count(0)
    after = {name: cell.inner_text() for name, cell in part.items()}
    assert after["kd"] == before["kd"]
    assert after["ce_student"] != before["ce_student"] and after["iam"] != before["iam"]
    expect(label).to_be_focused()


def test_the_training_plays_by_slider_key_and_button(visit):
    page = lesson(visit)
    to_step(page, 4)
    epoch = page.locator(".fk-point:visible .fk-epoch b").first
    expect(epoch).to_have_text("1.50")
    page.locator("#fk-at").focus()
    page.keyboard.press("ArrowLeft")
    expect(epoch).to_have_text("1.00")
    stops = page.locator(".fk-now").first.get_attribute("data-stops").split(" ")
    expect(page.locator(".fk-now").first).to_have_attribute("x1", stops[1])
    page.keyboard.press("Home")
    expect(epoch).to_have_text("0.50")
    page.locator("#fk-play").click()
    expect(epoch).to_have_text("1.50")
    expect(page.locator("#fk-play")).to_contain_text("Play")
    before = pictures(page, ".fk-point:visible")
    page.locator(".fk-played-picker button").last.click()
    expect(page.locator(".fk-played-picker button").last).to_have_attribute("aria-pressed", "true")
    assert pictures(page, ".fk-point:visible") != before


def test_every_step_fits_a_phone_and_large_type_stays(visit):
    page = lesson(visit, width=390, height=844)
    size = "element => element.getBoundingClientRect().height"
    small = page.locator("#fk-lesson-title").evaluate(size)
    page.locator("#fk-large").click()
    assert page.locator("#fk-lesson-title").evaluate(size) > small
    for number in range(2, 7):
        to_step(page, number)
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), number
    expect(page.locator("#fk-large")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as saved:
        page.get_by_text("Download the handout").click()
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    sheet = page.context.new_page()
    sheet.set_content(text)
    assert sheet.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1  # a single sheet of paper
    assert saved.value.suggested_filename == "foodkd-lesson-tiny.html" and "How a small network learns" in text
