"""Pictures of the app: whole pages of every tab, desktop and phone, light and dark.

    python docs/screenshots.py                     # the few that README and docs show, into docs/images
    python docs/screenshots.py --all --out DIR     # all 24, to look at

Needs Chromium (apt-get install chromium) and Playwright's Python package. Each picture is compressed as little as keeps
it below 300 kB, in WebP: a palette small enough for a PNG of that size breaks the colours of the maps into patches.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from foodkd.errors import run_command  # noqa: E402

# What must stand on a tab before it is taken.
TABS = {
    "compare": ".fk-cards",
    "iam": ".fk-wipe",
    "layers": ".fk-stage",
    "faithfulness": ".fk-curves svg",
    "lesson": ".fk-lesson",
    "testset": "#fk-testset-set :is(h2, h3)",
}
SHOWN = (
    *("compare", "iam", "layers", "faithfulness", "lesson", "testset"),
    *("compare-phone", "iam-phone-dark"),
)
SIZES = {"": (1280, 800), "-phone": (390, 844)}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
LIMIT = 300_000  # bytes
TALLEST = 1500  # pixels of what README shows; the rest of a long page is cut off


def main() -> None:
    """Start the app, take the pictures, stop it."""
    parser = argparse.ArgumentParser(description="Screenshots of the app for README and docs.")
    parser.add_argument("--checkpoint", default=str(ROOT / "checkpoints" / "food101-64"))
    parser.add_argument("--data", type=Path, help="the dataset's root, for the test set's photos")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--example", default="", help="name of the example shown; the first if not given")
    parser.add_argument("--all", action="store_true", help="every tab in every size and colour, not only those shown")
    options = parser.parse_args()
    from foodkd.nets import Pair
    from foodkd.ui import build_app, launch

    app = build_app(Pair.load(options.checkpoint), data=options.data)
    _, url, _ = launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    options.out.mkdir(parents=True, exist_ok=True)
    _take_all(url, options.out, options.example, every=options.all)
    app.close(verbose=False)


def _take_all(url: str, out: Path, example: str, *, every: bool) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, CHROMIUM)), None)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for size, (width, height) in SIZES.items():
            context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
            context.set_default_timeout(120_000)
            for tab in TABS:
                names = {scheme: f"{tab}{size}{'-dark' if scheme == 'dark' else ''}" for scheme in ("light", "dark")}
                wanted = {scheme: name for scheme, name in names.items() if every or name in SHOWN}
                if wanted:
                    place = f"{url}?tab={tab}&stage=3&example={example}"
                    _take(context.new_page(), place, TABS[tab], wanted, out, tallest=None if every else TALLEST)
            context.close()
        browser.close()


def _take(page: Any, url: str, shows: str, wanted: dict[str, str], out: Path, *, tallest: int | None) -> None:
    """One tab in each wanted colour scheme, once everything on it is drawn and measured."""
    page.goto(url)
    page.locator(shows).first.wait_for()
    page.wait_for_function("!document.querySelector('[data-ask]')")
    for scheme, name in wanted.items():
        page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
        page.wait_for_timeout(300)  # the open tab's underline slides into place
        _write(page.screenshot(full_page=True), out / f"{name}.webp", tallest)
    page.close()


def _write(picture: bytes, path: Path, tallest: int | None) -> None:
    """Save at the best quality that fits below the limit; a page that is too long is cut, one too large reduced."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, tallest or image.height)))
    while True:
        for quality in (92, 86, 80):
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=quality, method=6)
            if buffer.tell() < LIMIT:
                path.write_bytes(buffer.getvalue())
                print(f"{path.name}: {image.width} x {image.height}, {buffer.tell() // 1000} kB, quality {quality}")
                return
        image = image.resize((round(0.8 * image.width), round(0.8 * image.height)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    run_command(main)
