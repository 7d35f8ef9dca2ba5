"""The handout for a class: one printable page with this pair's own numbers, made from a template."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from foodkd.distill import DistillSettings
from foodkd.distill.terms import recipe_settings
from foodkd.nets import Pair
from foodkd.ui import widgets as w

TEMPLATE = Path(__file__).resolve().parents[2] / "assets" / "lesson" / "handout.html"


def handout(pair: Pair, costs: Mapping[str, Mapping[str, int]]) -> str:
    """The page as HTML that needs nothing else."""
    teacher, student = costs["teacher"], costs["student"]
    settings = recipe_settings(pair)
    return _template().substitute(
        pair=w.text(pair.name),
        classes=len(pair.classes),
        resolution=pair.preprocessing.resolution,
        smaller=f"{teacher['parameters'] / student['parameters']:.1f}",
        rows="".join(_row(pair, name, costs[name]) for name in pair.networks),
        measured=_measured(pair),
        objective=_objective(settings),
        temperature=f"{settings.temperature:g}",
    )


@cache
def _template() -> Template:
    return Template(TEMPLATE.read_text(encoding="utf-8"))


def _metrics(pair: Pair) -> dict[str, Any]:
    metrics = pair.info.get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _row(pair: Pair, name: str, costs: Mapping[str, int]) -> str:
    rates = _metrics(pair).get(name)
    right = w.percent(rates["top1"], digits=1) if isinstance(rates, dict) and "top1" in rates else "not measured"
    backbone = w.text(pair.settings[name].backbone)
    numbers = f"<td>{w.amount(costs['parameters'])}</td><td>{w.amount(costs['bytes'], 'B')}</td><td>{right}</td>"
    return f'<tr><th scope="row">{w.text(w.TITLES[name])}</th><td>{backbone}</td>{numbers}</tr>'


def _measured(pair: Pair) -> str:
    photos = _metrics(pair).get("photos")
    return f"Right first answers on {photos:,} test photos." if isinstance(photos, int) else "No test was recorded."


def _objective(s: DistillSettings) -> str:
    """The weighted sum in words, with this training's weights; what has no weight is left out."""
    parts = ["teacher’s error", f"{s.student_ce:g} × student’s error", f"{s.kd:g} × answers apart"]
    parts += [f"{s.mld:g} × stages apart", f"{s.iam:g} × places apart"]
    return " + ".join(part for part in parts if not part.startswith("0 ×"))
