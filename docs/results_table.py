"""The table of results in README.md and in the model card, made from the shipped pair's pair.json.

Usage:
    python docs/results_table.py            prints it
    python docs/results_table.py --write    puts it into both, between their markers
    python docs/results_table.py --check    fails when one of them says something else
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = Path("checkpoints/food101-64")
PAGES = (Path("README.md"), CHECKPOINT / "README.md")
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NO_PAIR = "No trained pair is shipped yet, so there is no number to show."
NOT_MEASURED = "The shipped pair has not been measured yet, so there is no number to show."
LABELS = {"teacher": "teacher", "student": "student, distilled", "student-alone": "the same student, trained alone"}


def results_table(info: dict[str, Any] | None) -> str:
    """Markdown for a pair.

    Args:
        info: the content of pair.json: "metrics" as `foodkd evaluate --json` writes them, "networks" with their costs;
            None where no pair is shipped.

    Returns:
        A sentence, a table with a row per network that was measured, and the command behind the numbers.
    """
    if info is None:
        return NO_PAIR
    metrics = info.get("metrics") or {}
    rows = [_row(name, info["networks"][name], metrics[name]) for name in LABELS if name in metrics]
    if not rows:
        return NOT_MEASURED
    head = ["| network | backbone | parameters | weight file | multiply-adds | top-1 | top-5 | calibration error |"]
    rule = ["|---|---|--:|--:|--:|--:|--:|--:|"]
    return "\n".join([_sentence(metrics), "", *head, *rule, *rows, "", _command(metrics)])


def _sentence(metrics: dict[str, Any]) -> str:
    return (
        f"Measured on {metrics['photos']:,} test photos of Food-101 (101 dishes, photos of 64 × 64 pixels). "
        f"Teacher and student give the same answer to {_percent(metrics['agreement'])} of them."
    )


def _command(metrics: dict[str, Any]) -> str:
    return f"Command: `python -m foodkd evaluate {CHECKPOINT.as_posix()} --data ROOT`."


def _row(name: str, network: dict[str, Any], measured: dict[str, Any]) -> str:
    cells = [
        LABELS[name],
        f"`{network['settings']['backbone']}`, {network['settings']['size']} px",
        f"{network['parameters'] / 1e6:.2f} M",
        f"{network['bytes'] / 1e6:.1f} MB",
        f"{network['multiply_adds'] / 1e6:.0f} M",
        _percent(measured["top1"]),
        _percent(measured["top5"]),
        f"{measured['ece']:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def read_info(folder: Path) -> dict[str, Any] | None:
    """The content of pair.json in a checkpoint folder; None where there is none."""
    path = folder / "pair.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def section(page: str) -> str:
    """What stands between a page's two markers.

    Raises:
        ValueError: a marker is missing.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"The page needs the markers {BEGIN} and {END}, once each.")
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def with_section(page: str, table: str) -> str:
    """A page with another table between its markers."""
    section(page)
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> int:
    """Print, write or check the table; exit status 1 when a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="put the table into the pages")
    choice.add_argument("--check", action="store_true", help="fail when a page says something else")
    options = parser.parse_args()
    table = results_table(read_info(ROOT / CHECKPOINT))
    if not (options.write or options.check):
        print(table)
        return 0
    stale = [page for page in PAGES if section((ROOT / page).read_text(encoding="utf-8")) != table]
    for page in stale if options.write else ():
        text = (ROOT / page).read_text(encoding="utf-8")
        (ROOT / page).write_text(with_section(text, table), encoding="utf-8")
    if options.check and stale:
        print(
            f"{stale[0]} does not say what pair.json says; run: python docs/results_table.py --write", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
