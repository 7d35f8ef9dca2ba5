"""Downloads in a real browser: by mouse, by keyboard, on a phone."""

import io
import json
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="Browser tests need playwright: pip install playwright")
from PIL import Image
from playwright.sync_api import Download, Page, expect

from tests.browser.conftest import PATIENCE


def saved(page: Page, kind: str) -> tuple[str, bytes]:
    """Press an offer of the menu; the name and content that the browser saved."""
    if not page.locator(".fk-download[open]").count():
        page.locator(".fk-download summary").click()
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.locator(f'[data-download="{kind}"]').click()
    download: Download = waiting.value
    return download.suggested_filename, Path(download.path()).read_bytes()


def test_each_download_is_saved_and_the_report_loads_nothing(visit, browser, tmp_path) -> None:
    page = visit("?tab=iam")
    expect(page.locator(".fk-wipe")).to_be_visible()
    name, content = saved(page, "picture")
    assert name.startswith("foodkd-") and name.endswith("-iam.png")
    assert Image.open(io.BytesIO(content)).format == "PNG"
    name, content = saved(page, "files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        assert {row["file"] for row in manifest["maps"]} <= set(archive.namelist())
    name, content = saved(page, "report")
    expect(page.locator("a.fk-save")).to_be_focused()
    (tmp_path / name).write_bytes(content)
    opens_by_itself(browser, tmp_path / name)


def opens_by_itself(browser, report: Path) -> None:
    """On a phone without a network, in the dark."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True, color_scheme="dark")
    try:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
        assert page.locator("img").count() > 8
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    finally:
        context.close()


def test_the_menu_works_by_keyboard_and_closes(visit) -> None:
    page = visit()
    page.locator(".fk-copy").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".fk-download summary")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator('[data-download="picture"]')).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".fk-menu")).to_be_hidden()
    expect(page.locator(".fk-download summary")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator(".fk-verdict h2").click()
    expect(page.locator(".fk-menu")).to_be_hidden()


def test_on_a_phone_the_menu_stays_on_the_screen_and_names_an_own_photo(visit, own_photo) -> None:
    page = visit(width=390, height=844)
    page.set_input_files("#fk-upload input[type=file]", own_photo)
    expect(page.locator(".fk-own")).to_be_visible()
    page.locator(".fk-download summary").click()
    box = page.locator(".fk-menu").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    name, _ = saved(page, "picture")
    assert name.startswith("foodkd-lunch-") and name.endswith("-compare.png")
    page.get_by_label("own", exact=True).check()
    expect(page.locator("a.fk-save")).to_have_count(0)  # it showed another view
