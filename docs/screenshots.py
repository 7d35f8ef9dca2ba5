"""Makes the pictures of the app in README and docs: every tab, desktop and phone, light and dark.

    python docs/screenshots.py [--checkpoint DIR_OR_HUB_ID] [--out docs/images] [--example NAME]

Needs Chromium (apt-get install chromium) and Playwright's Python package. Each picture is reduced to as many colours as
keep it below 300 kB.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TABS = {"compare": ".fk-cards", "iam": ".fk-wipe", "layers": ".fk-stage", "faithfulness": ".fk-curves svg"}
SIZES = {"": (1280, 800), "-phone": (390, 844)}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
LIMIT = 300_000  # bytes


def main() -> int:
    """Start the app, take the pictures, stop it."""
    parser = argparse.ArgumentParser(description="Screenshots of the app for README and docs.")
    parser.add_argument("--checkpoint", default=str(ROOT / "checkpoints" / "food101-64"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--example", default="", help="name of the example shown; the first if not given")
    options = parser.parse_args()
    from foodkd.errors import FoodkdError
    from foodkd.nets import Pair
    from foodkd.ui import build_app, launch

    try:
        app = build_app(Pair.load(options.checkpoint))
    except FoodkdError as error:
        print(error, file=sys.stderr)
        return 1
    _, url, _ = launch(app, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    options.out.mkdir(parents=True, exist_ok=True)
    _take_all(url, options.out, options.example)
    app.close(verbose=False)
    return 0


def _take_all(url: str, out: Path, example: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, CHROMIUM)), None)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                context.set_default_timeout(120_000)
                for tab in TABS:
                    name = f"{tab}{size}{'-dark' if scheme == 'dark' else ''}.png"
                    _write(_take(context.new_page(), url, tab, example), out / name)
                context.close()
        browser.close()


def _take(page: Any, url: str, tab: str, example: str) -> bytes:
    """One picture of what stands in the window, once it is drawn."""
    page.goto(f"{url}?tab={tab}&stage=3" + (f"&example={example}" if example else ""))
    page.wait_for_selector(TABS[tab])
    page.wait_for_timeout(600)  # the open tab's underline and the bars slide into place
    picture: bytes = page.screenshot()
    page.close()
    return picture


def _write(picture: bytes, path: Path) -> None:
    """Save with as many colours as fit below the limit."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64, 32):
        buffer = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG).save(buffer, "PNG", optimize=True)
        if buffer.tell() < LIMIT:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path.name}: {buffer.tell() // 1000} kB, {colours} colours")


if __name__ == "__main__":
    sys.exit(main())
