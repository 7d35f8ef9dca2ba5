"""Steps that several browser tests take; each waits for what it asks about, however slow the machine."""

from playwright.sync_api import Page, expect

SOURCES = "images => images.map(image => image.src)"


def open_tab(page: Page, name: str, shows: str) -> None:
    """Open a tab; on a phone it may hide behind the menu of further tabs."""
    button, more = page.get_by_role("tab", name=name), page.get_by_label("More tabs")
    expect(button.filter(visible=True).or_(more.filter(visible=True)).first).to_be_visible()
    if not button.is_visible():
        more.click()
        button = page.locator(".overflow-dropdown button", has_text=name)
    button.click()
    expect(page.locator(shows).filter(visible=True).first).to_be_visible()


def pictures(page: Page, where: str) -> list[str]:
    """The sources of a panel's pictures, once it has any: panels of one answer are drawn one after another."""
    images = page.locator(f"{where} img")
    expect(images.first).to_be_attached()
    return images.evaluate_all(SOURCES)


def wait_for_other_pictures(page: Page, where: str, before: list[str]) -> None:
    now = f"({SOURCES})([...document.querySelectorAll(where + ' img')])"
    page.wait_for_function(f"([where, before]) => {now}.join() !== before.join()", arg=[where, before])
