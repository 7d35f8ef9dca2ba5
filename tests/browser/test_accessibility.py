"""What keeps people from using a page, as far as a machine can find it: axe-core on every tab, and motion."""

import pytest

pytest.importorskip("playwright", reason="Browser tests need playwright: pip install playwright")
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.browser.pages import open_tab

TABS = {  # title -> what is there once the tab is drawn
    "Compare": ".fk-card",
    "Where they look": ".fk-wipe",
    "Layer by layer": ".fk-stage",
    "Is the map telling the truth?": ".fk-areas",
    "How distillation works": ".fk-lesson",
    "Across the test set": "#fk-tabs [role=tabpanel]",
}
LESSON_STEPS = 6
# Findings that stay, by axe's rule and the element it names, each with its reason. None: what axe found inside
# Gradio's own parts (the footer's contrast, colours that faded through an unreadable grey) the style sheet mends.
KNOWN: dict[tuple[str, str], str] = {}


def findings(page: Page, where: str = "document", *rules: str) -> dict[tuple[str, str], str]:
    """What axe finds there as it stands: (rule, element) -> how serious, and why; by these rules, or by all."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    context = "document" if where == "document" else f"'{where}'"
    found = page.evaluate(f"options => axe.run({context}, options)", options)["violations"]
    return {
        (rule["id"], " ".join(map(str, node["target"]))): f"{rule['impact']}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    }


def in_both_themes(page: Page, where: str) -> dict[tuple[str, str], str]:
    """What axe finds there in light, and what dark adds: other colours, and nothing else."""
    page.evaluate("document.body.classList.remove('dark')")
    light = findings(page, where)
    page.evaluate("document.body.classList.add('dark')")
    return findings(page, where, "color-contrast") | light


def open_drawn(page: Page, title: str) -> None:
    """Open a tab and wait until it is drawn."""
    open_tab(page, title, TABS[title])
    expect(page.locator("[data-ask]")).to_have_count(0)  # nothing is still on its way


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_on_any_tab_in_light_or_dark(visit, width):
    page = visit(width=width, height=844)
    page.evaluate(AXE_SCRIPT)
    found: dict[tuple[str, str], str] = {}
    for title in TABS:
        open_drawn(page, title)
        where = "document" if title == "Compare" else "#fk-tabs"  # what stands above all tabs is looked at once
        found |= {key: f"{title}: {why}" for key, why in in_both_themes(page, where).items()}
        if title == "How distillation works" and width == 1280:
            found |= on_further_steps(page)
    assert {key: why for key, why in found.items() if key not in KNOWN} == {}
    assert not set(KNOWN) - set(found), "these are no longer found: strike them off the list"


def on_further_steps(page: Page) -> dict[tuple[str, str], str]:
    """What axe finds on the lesson's steps after the first."""
    found: dict[tuple[str, str], str] = {}
    for step in range(2, LESSON_STEPS + 1):
        page.locator(f"#fk-step-{step}").click()
        expect(page.locator(f'.fk-lesson[data-step="{step}"]')).to_be_visible()
        expect(page.locator("[data-ask]")).to_have_count(0)
        found |= {key: f"step {step}: {why}" for key, why in in_both_themes(page, ".fk-lesson").items()}
    return found


def test_axe_finds_what_is_wrong(browser):
    page = browser.new_page()
    page.set_content('<main><img src="data:,"><p style="color: #ddd; background: #fff">Soup of the day</p></main>')
    page.evaluate(AXE_SCRIPT)
    assert {rule for rule, _ in findings(page, "main")} == {"image-alt", "color-contrast"}
    page.close()


MOVING = """() => document.getAnimations().filter(one => one.effect.getComputedTiming().duration > 1)
    .map(one => `${one.effect.target.className}: ${one.transitionProperty || one.animationName}`)"""


def touches(page: Page) -> list[str]:
    """What moves while the page is used: another dish, another theme, another tab."""
    moving: list[str] = []
    for touch in (".fk-card button.fk-answer:not(.fk-chosen)", ".fk-theme", "#fk-tabs [role=tab] >> nth=1"):
        page.locator(touch).last.click()
        for _ in range(5):
            page.wait_for_timeout(20)
            moving += page.evaluate(MOVING)
    return moving


def test_nothing_moves_for_those_who_ask_for_less_motion(visit):
    page = visit()
    assert touches(page) == []
    page.emulate_media(reduced_motion="no-preference")
    page.locator("#fk-tabs [role=tab]").first.click()
    assert touches(page), "with motion allowed, the same touches do move something"
