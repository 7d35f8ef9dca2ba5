"""What a visitor does, done in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("playwright", reason="Browser tests need playwright: pip install playwright")
from playwright.sync_api import Page, expect

from tests.browser.pages import open_tab, pictures, wait_for_other_pictures


def headline(page: Page) -> str:
    return page.locator(".fk-verdict h2").inner_text()


def choose_class(page: Page, name: str) -> None:
    field = page.get_by_label("Maps show the evidence for")
    field.click()
    field.fill(name)
    page.get_by_role("option", name=name, exact=True).click()


def scrolls_sideways(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_it_opens_with_a_photo_that_both_have_answered(visit, tiny_pair):
    page = visit()
    assert headline(page)
    expect(page.locator(".fk-card .fk-frame img")).to_have_count(2)
    expect(page.locator(".fk-card button.fk-answer")).to_have_count(2 * min(5, len(tiny_pair.classes)))
    expect(page.locator(".fk-original img")).to_be_visible()
    assert "error" not in page.locator("main").inner_text().lower()


def test_an_example_is_picked(visit):
    page = visit()
    before = pictures(page, ".fk-original")
    page.locator(".fk-examples button").nth(1).click()
    expect(page.locator(".fk-examples button").nth(1)).to_have_attribute("aria-pressed", "true")
    wait_for_other_pictures(page, ".fk-original", before)


def test_a_second_pair_answers_beside_the_first_and_the_link_knows(visit, own_photo):
    page = visit(width=390, height=844)
    second = page.locator("#fk-beside-panel")
    expect(second.locator(".fk-card")).to_have_count(0)
    page.get_by_label("Add the second pair, my own pair").check()
    expect(second.locator(".fk-card")).to_have_count(2)
    page.wait_for_function("location.search.includes('beside=yes')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = pictures(page, "#fk-beside-panel")
    page.set_input_files("#fk-upload input[type=file]", own_photo)
    expect(page.get_by_alt_text("The photo you chose").first).to_be_visible()
    wait_for_other_pictures(page, "#fk-beside-panel", before)
    again = visit("?beside=yes")
    expect(again.locator("#fk-beside-panel .fk-card")).to_have_count(2)
    again.get_by_label("Add the second pair, my own pair").uncheck()
    expect(again.locator("#fk-beside-panel .fk-card")).to_have_count(0)


def test_a_photo_is_uploaded_and_drives_every_tab(visit, own_photo):
    page = visit()
    page.set_input_files("#fk-upload input[type=file]", own_photo)
    expect(page.get_by_alt_text("The photo you chose").first).to_be_visible()
    expect(page.locator(".fk-own")).to_have_text("without your own photo")
    crop = page.locator(".fk-crop").bounding_box()
    photo = page.locator(".fk-original img").bounding_box()
    assert crop["width"] == pytest.approx(photo["width"] * 2 / 3, abs=2)
    open_tab(page, "Where they look", ".fk-places")
    expect(page.locator(".fk-verdict img")).to_have_attribute("alt", "The photo you chose")
    open_tab(page, "Layer by layer", ".fk-stage")


def test_a_file_that_is_no_photo_gets_a_sentence_and_the_answer_stays(visit, tmp_path):
    page = visit()
    before = headline(page), pictures(page, ".fk-card")
    (tmp_path / "soup.jpg").write_text("not a photo")
    page.set_input_files("#fk-upload input[type=file]", tmp_path / "soup.jpg")
    notice = page.get_by_role("alert").filter(has_text="soup.jpg")
    expect(notice).to_be_visible()
    assert "Traceback" not in page.locator("body").inner_text()
    assert (headline(page), pictures(page, ".fk-card")) == before
    page.locator(".fk-examples button").nth(1).click()
    expect(notice).to_have_count(0)
    page.set_input_files("#fk-upload input[type=file]", tmp_path / "soup.jpg")
    expect(notice).to_be_visible()


def test_another_class_changes_the_maps_on_every_tab(visit, tiny_pair):
    page = visit()
    before = pictures(page, ".fk-card")
    other = page.locator(".fk-card button.fk-answer:not(.fk-chosen)").last
    name = other.get_attribute("data-pick")
    other.click()
    expect(page.locator(f'.fk-card button.fk-chosen[data-pick="{name}"]').first).to_be_visible()
    wait_for_other_pictures(page, ".fk-card", before)
    open_tab(page, "Where they look", ".fk-places")
    expect(page.locator("#fk-maps .fk-note")).to_contain_text(name.replace("_", " "))
    third = next(c for c in tiny_pair.classes if c != name).replace("_", " ")
    choose_class(page, third)
    expect(page.locator("#fk-maps .fk-note")).to_contain_text(third)


def test_the_scale_is_said_in_the_picture(visit):
    page = visit()
    open_tab(page, "Where they look", ".fk-places")
    expect(page.locator("#fk-maps .fk-scale small").first).to_contain_text("shared scale")
    page.get_by_label("own", exact=True).check()
    expect(page.locator("#fk-maps .fk-scale small").first).to_contain_text("own scale")


def test_a_place_is_taken_apart_by_click_and_by_arrow_keys(visit):
    page = visit()
    open_tab(page, "Where they look", ".fk-place")
    frame = page.locator(".fk-places").first
    box = frame.bounding_box()
    frame.click(position={"x": 6, "y": 6})
    where = page.locator(".fk-place header").first
    expect(where).to_contain_text("column 1, row 1")
    spots = page.locator(".fk-spot").evaluate_all("all => all.map(spot => parseFloat(spot.style.left))")
    assert spots == pytest.approx([100 * 6 / box["width"]] * 2, abs=1)
    frame.focus()
    page.keyboard.press("ArrowRight")
    expect(where).to_contain_text("column 2, row 1")


def test_the_wipe_moves_with_the_keyboard(visit):
    page = visit()
    open_tab(page, "Where they look", ".fk-wipe")
    page.locator(".fk-wipe input").focus()
    page.keyboard.press("Home")
    assert page.locator(".fk-wipe").evaluate("frame => frame.style.getPropertyValue('--edge')") == "0%"
    page.keyboard.press("ArrowRight")
    assert page.locator(".fk-wipe").evaluate("frame => frame.style.getPropertyValue('--edge')") == "1%"


def test_the_tabs_are_walked_with_arrow_keys(visit):
    page = visit()
    page.get_by_role("tab", name="Compare").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Where they look")).to_be_focused()
    expect(page.locator(".fk-places").first).to_be_visible()
    page.keyboard.press("Home")
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")


def test_a_finger_marks_a_place_and_moves_the_wipe(visit):
    page = visit("?tab=iam", width=390, height=844, touch=True)
    page.locator(".fk-places").first.tap(position={"x": 6, "y": 6})
    expect(page.locator(".fk-place header").first).to_contain_text("column 1, row 1")
    expect(page).to_have_url(re.compile("place="))
    wipe = page.locator(".fk-wipe input")
    box = wipe.bounding_box()
    wipe.tap(position={"x": 0.2 * box["width"], "y": 0.5 * box["height"]})
    edge = page.locator(".fk-wipe").evaluate("frame => parseFloat(frame.style.getPropertyValue('--edge'))")
    assert edge == pytest.approx(20, abs=6)


def test_method_and_stage_change_and_the_link_knows(visit):
    page = visit()
    open_tab(page, "Layer by layer", ".fk-stage")
    before = pictures(page, ".fk-stages")
    page.get_by_label("Mean activation").check()
    expect(page.locator("#fk-rows .fk-note")).to_contain_text("strongly active")
    wait_for_other_pictures(page, ".fk-stages", before)
    page.locator("#fk-stage input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".fk-stage.fk-current")).to_have_attribute("data-index", "2")
    page.locator(".fk-stage-head").nth(2).click()
    expect(page.locator(".fk-stage.fk-current")).to_have_attribute("data-index", "3")
    expect(page.locator(".fk-copy")).to_have_attribute("data-query", re.compile("tab=layers.*method=mean.*stage=3"))
    expect(page).to_have_url(re.compile("stage=3"))


def test_a_link_restores_the_view(visit, tiny_pair):
    first = visit()
    example = first.locator(".fk-examples button").nth(2).get_attribute("data-example")
    dish = tiny_pair.classes[3]
    page = visit(f"?example={example}&class={dish}&tab=layers&stage=2&method=layercam&scale=own&unit=logit&place=20+30")
    expect(page.locator(".fk-stage.fk-current")).to_have_attribute("data-index", "2")
    expect(page.locator("#fk-rows .fk-note")).to_contain_text(dish.replace("_", " "))
    expect(page.get_by_label("Layer-CAM")).to_be_checked()
    expect(page.get_by_label("own", exact=True)).to_be_checked()
    expect(page).to_have_url(re.compile("place=20.0"))
    asked = parse_qs(urlsplit(page.url).query)
    wanted = {"example": example, "class": dish, "tab": "layers", "stage": "2", "method": "layercam", "scale": "own"}
    wanted |= {"unit": "logit", "place": "20.0 30.0"}
    assert asked == {name: [value] for name, value in wanted.items()}
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator(f'.fk-examples button[data-example="{example}"]')).to_have_attribute("aria-pressed", "true")


def test_a_broken_link_says_what_it_named_and_still_opens(visit):
    page = visit("?example=gruel&scale=own")
    expect(page.get_by_role("alert")).to_contain_text("gruel")
    assert headline(page)
    expect(page.get_by_label("own", exact=True)).to_be_checked()


def test_two_visitors_keep_their_own_photos(visit):
    one, other = visit(), visit()
    one.locator(".fk-examples button").nth(1).click()
    other.locator(".fk-examples button").nth(2).click()
    expect(one.locator(".fk-examples button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(other.locator(".fk-examples button").nth(2)).to_have_attribute("aria-pressed", "true")
    for page in (one, other):
        page.get_by_label("own", exact=True).check()
        expect(page.locator("#fk-answers .fk-note")).to_contain_text("own scale")
    wait_for_other_pictures(one, ".fk-verdict", pictures(other, ".fk-verdict"))


def test_a_phone_shows_every_tab_without_sideways_scrolling(visit):
    page = visit(width=390, height=844)
    assert not scrolls_sideways(page)
    expect(page.locator(".fk-card .fk-frame img")).to_have_count(2)
    tabs = {"Where they look": ".fk-wipe", "Layer by layer": ".fk-stage", "Is the map telling the truth?": "svg"}
    for name, shows in tabs.items():
        open_tab(page, name, shows)
        assert not scrolls_sideways(page), name


def test_light_and_dark_are_a_touch_apart(visit):
    page = visit()
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("Switch between light and dark").click()
    page.wait_for_function(f"light => {paper} !== light", arg=light)


def test_a_map_is_put_to_the_test_and_the_baseline_changes_what_comes_out(visit):
    page = visit()
    open_tab(page, "Is the map telling the truth?", ".fk-curves svg")
    expect(page.locator(".fk-curves figure")).to_have_count(2)
    expect(page.locator("[data-ask]")).to_have_count(0)
    before = page.locator(".fk-areas").first.inner_text()
    page.locator("#fk-baseline").get_by_label("plain grey").check()
    expect(page.locator(".fk-areas").first).not_to_have_text(before)
