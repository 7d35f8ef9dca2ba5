"""Charts as inline SVG: they follow the page's colours in light and dark, and every point says its value."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from foodkd.explain.answers import Reliability
from foodkd.ui.widgets import text

WIDTH, HEIGHT = 440, 268
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 12, 46
STRIP = 58  # what a reliability diagram's counts take below the axis


@dataclass(frozen=True, eq=False)
class Line:
    """One line: `tips` are shown at its points; a `dashed` one has no marks; `spread` is drawn as a band around it.

    `network` gives colour and mark: "teacher" (dots) or "student" (diamonds).
    """

    network: str
    xs: np.ndarray
    ys: np.ndarray
    tips: Sequence[str] = ()
    dashed: bool = False
    spread: np.ndarray | None = None


@dataclass(frozen=True)
class Axis:
    """One axis: where its ends lie, what is written at which places, and its title."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str

    def share(self, values: np.ndarray | float) -> np.ndarray:
        """Values as a share of the axis, 0 at its low end."""
        return (np.asarray(values, float) - self.low) / (self.high - self.low)


def percent_axis(title: str, high: float = 1.0) -> Axis:
    """From 0 % to a round number at or above `high`."""
    _, top, step = _round_ends(0.0, min(1.0, max(high, 0.01)))
    marks = np.arange(0, top + step / 2, step)
    digits = _decimals(100 * step)
    return Axis(
        0.0, top, tuple((float(mark), f"{100 * mark:.{digits}f}\N{NARROW NO-BREAK SPACE}%") for mark in marks), title
    )


def number_axis(title: str, low: float, high: float) -> Axis:
    """Between round numbers around `low` and `high`."""
    bottom, top, step = _round_ends(low, high)
    digits = _decimals(step)
    marks = np.arange(bottom, top + step / 2, step)
    named = tuple((float(mark), f"{mark + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")) for mark in marks)
    return Axis(bottom, top, named, title)


def _decimals(step: float) -> int:
    """How many decimals write multiples of a step in full: 0.25 needs two."""
    return next(digits for digits in range(12) if abs(round(step, digits) - step) <= 1e-6 * step)


def _round_ends(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of about four steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-6)
    raw = span / 4
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return floor(low / step + 1e-9) * step, max(ceil(high / step - 1e-9), floor(low / step) + 1) * step, step


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, label: str) -> str:
    """The chart; `label` says in words what it shows, for those who can't see it."""
    drawn = "".join(_band(line, x, y) for line in lines) + "".join(_line(line, x, y) for line in lines)
    return (
        f'<svg class="fk-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(label)}">'
        f"{_frame(x, y)}{drawn}{''.join(_points(line, x, y) for line in lines)}</svg>"
    )


def reliability_chart(network: str, found: Reliability, label: str) -> str:
    """Accuracy of the answers by their confidence as bars, the diagonal where both are equal, and counts below."""
    x, y = percent_axis("confidence of the answer"), percent_axis("of these right")
    ends = f'x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{TOP}"'
    bins = range(len(found.counts))
    drawn = "".join(_bin(found, place) for place in bins if found.counts[place])
    title = f'<text x="10" y="{HEIGHT + STRIP / 2 + 8}" text-anchor="start">photos</text>'
    return (
        f'<svg class="fk-chart fk-reliability fk-{network}" viewBox="0 0 {WIDTH} {HEIGHT + STRIP}" role="img" '
        f'aria-label="{text(label)}">{_frame(x, y)}<g class="fk-marks fk-{network}">{drawn}</g>'
        f'<line class="fk-equal" {ends}/>{title}</svg>'
    )


def _bin(found: Reliability, place: int) -> str:
    """One bin: a bar up to its accuracy, a mark at its mean confidence, its count below, all told on hover."""
    bins, right = len(found.counts), WIDTH - RIGHT
    width, floor_at = (right - LEFT) / bins, HEIGHT - BOTTOM
    left, count = LEFT + place * width, int(found.counts[place])
    high = float(found.accuracy[place]) * (floor_at - TOP)
    sure = floor_at - float(found.confidence[place]) * (floor_at - TOP)
    tip = (
        f"{count:,} answers between {100 * place / bins:.0f} and {100 * (place + 1) / bins:.0f} %: mean confidence "
        f"{100 * found.confidence[place]:.1f} %, right {100 * found.accuracy[place]:.1f} %"
    )
    tall = 26 * count / int(found.counts.max())
    bar = f'x="{left + 1.5:.1f}" width="{width - 3:.1f}"'
    middle = left + width / 2
    return (
        f'<g><title>{text(tip)}</title><rect class="fk-bin" {bar} y="{floor_at - high:.1f}" height="{high:.1f}"/>'
        f'<line class="fk-sure" x1="{left + 1.5:.1f}" x2="{left + width - 1.5:.1f}" y1="{sure:.1f}" y2="{sure:.1f}"/>'
        f'<rect class="fk-share" {bar} y="{HEIGHT + 12}" height="{max(1.0, tall):.1f}"/>'
        f'<text class="fk-count" x="{middle:.1f}" y="{HEIGHT + STRIP - 8}" text-anchor="middle">{short(count)}</text>'
        f'<rect class="fk-hit" x="{left:.1f}" width="{width:.1f}" y="{TOP}" height="{HEIGHT + STRIP - TOP}"/></g>'
    )


def short(count: int) -> str:
    """A count in at most four signs."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"


def with_marker(chart: str, x: Axis, stops: np.ndarray) -> str:
    """The chart with an upright line at the last stop; the page's script moves it to another by `data-stops`."""
    places = [LEFT + float(x.share(stop)) * (WIDTH - LEFT - RIGHT) for stop in stops]
    where = f'x1="{places[-1]:.1f}" x2="{places[-1]:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
    listed = " ".join(f"{place:.1f}" for place in places)
    return chart.replace("</svg>", f'<line class="fk-now" data-stops="{listed}" {where}/></svg>')


def _places(line: Line, x: Axis, y: Axis, shift: np.ndarray | float = 0.0) -> np.ndarray:
    """(n, 2) places in the drawing; what leaves an axis stays at its end."""
    across = LEFT + x.share(line.xs).clip(0, 1) * (WIDTH - LEFT - RIGHT)
    down = HEIGHT - BOTTOM - y.share(line.ys + shift).clip(0, 1) * (HEIGHT - TOP - BOTTOM)
    return np.stack([across, down], 1)


def _path(places: np.ndarray) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in places)


def _band(line: Line, x: Axis, y: Axis) -> str:
    if line.spread is None or not line.spread.any():
        return ""
    edges = np.concatenate([_places(line, x, y, line.spread), _places(line, x, y, -line.spread)[::-1]])
    return f'<polygon class="fk-band fk-{line.network}" points="{_path(edges)}"/>'


def _line(line: Line, x: Axis, y: Axis) -> str:
    dashed = " fk-dashed" if line.dashed else ""
    return f'<polyline class="fk-line fk-{line.network}{dashed}" points="{_path(_places(line, x, y))}"/>'


def _points(line: Line, x: Axis, y: Axis) -> str:
    """A mark and, around it, a larger place to point at, with the value in words."""
    if line.dashed:
        return ""
    shapes = ""
    for (across, down), tip in zip(_places(line, x, y), line.tips, strict=True):
        said = f'<circle class="fk-hit" cx="{across:.1f}" cy="{down:.1f}" r="9"><title>{text(tip)}</title></circle>'
        shapes += f"{_mark(line.network, across, down)}{said}"
    return f'<g class="fk-marks fk-{line.network}">{shapes}</g>'


def _mark(network: str, across: float, down: float) -> str:
    if network == "teacher":
        return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.8"/>'
    return f'<path d="M{across:.1f},{down - 3.8:.1f} l3.8,3.8 l-3.8,3.8 l-3.8,-3.8z"/>'


def _frame(x: Axis, y: Axis) -> str:
    floor_at, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    shapes = ""
    for value, name in y.ticks:
        down = floor_at - float(y.share(value)) * (floor_at - TOP)
        shapes += f'<line class="fk-grid" x1="{LEFT}" x2="{right}" y1="{down:.1f}" y2="{down:.1f}"/>'
        shapes += f'<text x="{LEFT - 7}" y="{down + 4:.1f}" text-anchor="end">{text(name)}</text>'
    for value, name in x.ticks:
        across = LEFT + float(x.share(value)) * (right - LEFT)
        shapes += f'<text x="{across:.1f}" y="{floor_at + 17}" text-anchor="middle">{text(name)}</text>'
    middle = (TOP + floor_at) / 2
    shapes += (
        f'<text class="fk-axis" x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{text(x.title)}</text>'
    )
    turned = f'transform="rotate(-90 10 {middle})"'
    return f'{shapes}<text class="fk-axis" x="10" y="{middle}" text-anchor="middle" {turned}>{text(y.title)}</text>'
