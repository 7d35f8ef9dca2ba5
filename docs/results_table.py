"""The tables of README.md, the model card and docs/results.md, made from what the benchmarks measured and kept.

Usage:
    python docs/results_table.py            prints all of them
    python docs/results_table.py --write    puts each into the pages that have its markers
    python docs/results_table.py --check    fails when a page says something else

A page shows a table between `<!-- NAME: begin -->` and `<!-- NAME: end -->`; `sections` lists the names.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from foodkd.explain.answers import Answers  # noqa: E402

CHECKPOINT = Path("checkpoints/food101-64")
PAGES = (Path("README.md"), CHECKPOINT / "README.md", Path("docs/results.md"))
NO_PAIR = "No trained pair is shipped yet, so there is no number to show."
NOT_MEASURED = "The shipped pair has not been measured yet, so there is no number to show."
LABELS = {"teacher": "teacher", "student": "student, distilled", "student-alone": "the same student, trained alone"}


# --- the shipped pair


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
    heads = ["network", "backbone", "parameters", "weight file", "multiply-adds", "top-1", "top-5", "calibration error"]
    return "\n".join([_sentence(metrics), "", _table(heads, rows, left=2), "", _command(metrics)])


def _sentence(metrics: dict[str, Any]) -> str:
    return (
        f"Measured on {metrics['photos']:,} test photos of Food-101 (101 dishes, photos of 64 × 64 pixels). "
        f"Teacher and student give the same answer to {_percent(metrics['agreement'])} of them."
    )


def _command(metrics: dict[str, Any]) -> str:
    return f"Command: `python -m foodkd evaluate {CHECKPOINT.as_posix()} --data ROOT`."


def _row(name: str, network: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    return [
        LABELS[name],
        f"`{network['settings']['backbone']}`, {network['settings']['size']} px",
        f"{network['parameters'] / 1e6:.2f} M",
        f"{network['bytes'] / 1e6:.1f} MB",
        f"{network['multiply_adds'] / 1e6:.0f} M",
        _percent(measured["top1"]),
        _percent(measured["top5"]),
        f"{measured['ece']:.3f}",
    ]


def gain_sentence(answers: Path) -> str:
    """How much more often the student is right than its twin that learned alone, photo by photo, as a sentence."""
    kept = Answers.load(answers)
    gains = kept.right("student").astype(float) - kept.right("student-alone")
    # The mean of thousands of photos: its normal interval is that of the bootstrap to the digits shown.
    mean, half = gains.mean(), 1.96 * gains.std(ddof=1) / np.sqrt(len(gains))
    interval = f"95 % interval over photos {100 * (mean - half):.1f} to {100 * (mean + half):.1f}"
    said = "more than" if mean >= 0 else "fewer than"
    text = (
        f"The student that learned with a teacher is right on {abs(100 * mean):.1f} of 100 test photos {said} the "
        f"same student alone ({interval})."
    )
    return text.replace("-", "\N{MINUS SIGN}")


def agreement_table(info: dict[str, Any] | None) -> str:
    """How alike both networks' maps are beside those of different photos, from pair.json."""
    measured = (info or {}).get("agreement", {})
    heads = ["map", "cosine, same photo", "cosine, other photo", "centred cosine, same", "centred cosine, other"]
    heads += ["overlap of top fifths, same", "other"]
    names = {"iam": "instance activation map"}
    for method, title in (("gradcam", "Grad-CAM"), ("mean", "mean activation")):
        names |= {f"{stage}:{method}": f"stage {stage + 1}, {title}" for stage in range(4)}
    rows = []
    for key, title in names.items():
        if key in measured:
            sides = (measured[key]["matched"], measured[key]["mismatched"])
            cells = [f"{side[part]:.2f}" for part in ("cosine", "cosine_centred") for side in sides]
            rows.append([title, *cells, *(f"{100 * side['overlap']:.0f} %" for side in sides)])
    return _table(heads, rows)


def paper_table(info: dict[str, Any] | None) -> str:
    """The paper's students and this pair's, which can't be compared, with what keeps them apart."""
    rows = [
        [
            "Zhao, Yap, Kot (ICASSP 2021), student",
            "not in the abstract; full-size photos",
            "90.4 %",
            "more than 4 times smaller",
        ],
        ["JDNet (IEEE JSTSP 2020)", "full-size photos", "91.2 %", "4 times smaller"],
    ]
    if info and "student" in (info.get("metrics") or {}):
        teacher, student = (info["networks"][name] for name in ("teacher", "student"))
        smaller = f"{teacher['parameters'] / student['parameters']:.1f} times smaller"
        seen, size = (info["preprocessing"]["resolution"], student["settings"]["size"])
        cost = f"{student['parameters'] / 1e6:.2f} M ({smaller})"
        top1 = _percent(info["metrics"]["student"]["top1"])
        rows.append(["this pair's student", f"{seen} × {seen} pixels, enlarged to {size}", top1, cost])
    return _table(["network", "input", "top-1 on Food-101", "parameters"], rows, left=2)


# --- what the benchmarks kept


def duplicates_table(path: Path) -> str:
    """Accuracy with and without the test photos that also stand in the training split."""
    rates = json.loads(path.read_text(encoding="utf-8"))["rates"]
    rows = []
    for name in (name for name in LABELS if name in rates):
        sides = [rates[name][side] for side in ("all", "without")]
        rows.append([name, *(f"{100 * side['top1']:.2f} / {100 * side['top5']:.2f} %" for side in sides)])
    return _table(["network", "all test photos, top-1 / top-5", "without twins"], rows)


def reduction_table(path: Path) -> str:
    """What the road of a full-size photo costs, and what compression does to the rendered meals."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        [road, *(cell for name in ("teacher", "student") for cell in _road(networks[name]))]
        for road, networks in kept["roads"].items()
    ]
    table = _table(["road", "teacher top-1", "same answer", "student top-1", "same answer"], rows)
    rendered = kept["rendered"]
    return (
        f"{table}\n\nOf the {rendered['teacher']['pictures']} rendered meals, whose large originals exist, the teacher "
        f"gives the same answer to {rendered['teacher']['same_answer']} with and without a JPEG compression "
        f"(quality 90) at 64 px, the student to {rendered['student']['same_answer']}."
    )


def _road(measured: dict[str, float]) -> tuple[str, str]:
    return _percent(measured["top1"]), _percent(measured["same_answer"])


# --- the pages


def sections(root: Path = ROOT) -> dict[str, str]:
    """Every table by its name."""
    folder, docs = root / CHECKPOINT, root / "docs"
    info = read_info(folder)
    made: dict[str, Callable[[], str]] = {
        "results": lambda: results_table(info),
        "gain": lambda: gain_sentence(folder / "answers.npz"),
        "agreement": lambda: agreement_table(info),
        "paper": lambda: paper_table(info),
        "duplicates": lambda: duplicates_table(docs / "duplicates.json"),
        "reduction": lambda: reduction_table(docs / "reduction.json"),
    }
    made |= {name: lambda path=docs / path: path.read_text(encoding="utf-8").strip() for name, path in KEPT.items()}  # type: ignore[misc]
    return {name: make() for name, make in made.items()}


KEPT = {
    "ablation": "ablation/table.md",
    "tuned": "ablation-tuned/table.md",
    "few": "ablation-few/table.md",
    "trials": "trials/table.md",
    "fewtrials": "trials-few/table.md",
    "epochs": "attention/epochs.md",
    "photos": "attention/photos.md",
    "faithfulness": "attention/faithfulness-cells.md",
    "own": "attention/own.md",
    "terms": "attention/terms.md",
    "gradients": "gradients/gradients.md",
    "examples": "examples.md",
}
"""Tables that a benchmark wrote as they are shown: name -> file below docs/."""


def read_info(folder: Path) -> dict[str, Any] | None:
    """The content of pair.json in a checkpoint folder; None where there is none."""
    path = folder / "pair.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def names_in(page: str) -> list[str]:
    """Which tables a page has a place for."""
    return re.findall(r"<!-- ([a-z]+): begin -->", page)


def section(page: str, name: str = "results") -> str:
    """What stands between a page's two markers of one table.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = _markers(name)
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"The page needs the markers {begin} and {end}, once each.")
    return page.partition(begin)[2].partition(end)[0].strip()


def with_section(page: str, table: str, name: str = "results") -> str:
    """A page with another table between its markers."""
    section(page, name)
    begin, end = _markers(name)
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{table}\n{end}{after}"


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def filled(page: str, tables: dict[str, str]) -> str:
    """A page with every table that it has a place for."""
    for name in names_in(page):
        page = with_section(page, tables[name], name)
    return page


def _table(heads: list[str], rows: list[list[str]], *, left: int = 1) -> str:
    """Markdown; the first `left` columns are words, the others numbers."""
    rule = "|" + "---|" * left + "--:|" * (len(heads) - left)
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], rule, *lines[1:]]).replace("| -", "| \N{MINUS SIGN}")


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def main() -> int:
    """Print, write or check the tables; exit status 1 when a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="put the tables into the pages")
    choice.add_argument("--check", action="store_true", help="fail when a page says something else")
    options = parser.parse_args()
    tables = sections()
    if not (options.write or options.check):
        print("\n\n".join(f"{name}:\n{table}" for name, table in tables.items()))
        return 0
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    stale = {page: made for page, text in pages.items() if (made := filled(text, tables)) != text}
    for page, made in stale.items() if options.write else ():
        (ROOT / page).write_text(made, encoding="utf-8")
    if options.check and stale:
        page = next(iter(stale))
        print(f"{page} does not say what was measured; run: python docs/results_table.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
