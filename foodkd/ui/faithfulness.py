"""Tab 4, Is the map telling the truth? Cover what it marks, cover what you like, or break the network, and look.

Nothing here is known beforehand and each network takes about a second: a panel that lacks something says so in its
HTML, the browser then asks for it, one network at a time. So the tab opens at once, shows what is ready, and lets other
visitors' touches in between.
"""

import base64
import binascii
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from foodkd.errors import FoodkdError
from foodkd.explain import ActivationMap, Curve, Faithfulness, RandomisedStep, cover_up, on_photo, render
from foodkd.explain import faithfulness as measured
from foodkd.explain import randomisation as randomised
from foodkd.explain.faithfulness import BASELINES, CONTROLS, KINDS, UNITS, baseline_picture, pictures_needed
from foodkd.ui import charts
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, Desk, View, data_uri

TITLE = "Is the map telling the truth?"
STEPS, ORDERS = 16, 3
BRUSH_SIDE = 64  # the hand's mask is no finer than this; on larger reduced photos one of its places covers several
TOP = 0.2  # "the brightest fifth"
SCRIPT = Path(__file__).resolve().parents[2] / "assets" / "ui" / "faithfulness.js"
BASELINE_NAMES = {"blur": "blur", "grey": "plain grey"}
UNIT_NAMES = {"probability": "probability", "logit": "score"}
CONTROL_NAMES = {"cells": "random cells", "moved": "the map, moved"}
DASHES = {
    "cells": "the same cells in random order, which lie scattered",
    "moved": "the same map turned and moved elsewhere, so as clumped as it is",
}
TERMS = {
    "area": "Area under the curve: its mean height. Of the probability it lies between 0 and 100 %.",
    "random": f"The dashed lines: the mean of {ORDERS} orders by chance, and how far they spread.",
    "score": "The logit, less the mean of all dishes': the dish's lead over the average dish. It has no fixed ends.",
    "cosine": "1: same shape as the trained network's map; 0: nothing in common; below 0: the opposite.",
    "rank": "Do both maps put the cells into the same order (Spearman)? 1: the same; 0: unrelated; below 0: reversed.",
}

# What a panel still lacks, the browser asks for.
ASK = """
const ask = () => { if (element.querySelector("[data-ask]")) trigger("select", {}); };
ask();
watch("value", ask);
"""

Updates = dict[Any, Any]
OpenPhoto = Callable[..., Updates]


class Bench:
    """What was measured lately, shared by all visitors: by content, bounded.

    Args:
        desk: the pair and its answers.
        limit: results kept, the latest.
    """

    def __init__(self, desk: Desk, *, limit: int = 96) -> None:
        """An empty bench."""
        self.desk = desk
        self._limit = limit
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def curves(self, view: View, name: str, *, known: bool = False) -> Faithfulness | None:
        """A network's curves for the view's class; with `known`, only if they need no measuring."""

        def measure() -> Faithfulness:
            iam = self.desk.iam(view, name)
            options: dict[str, Any] = {"baseline": view.baseline, "control": view.control}
            return measured(self.desk.pair, view.photo.small, iam, steps=STEPS, orders=ORDERS, **options)

        return self._remembered(("curves", name, view.baseline, view.control, *self._what(view)), measure, known)

    def broken(self, view: View, name: str, *, known: bool = False) -> tuple[RandomisedStep, ...] | None:
        """The maps of a network that loses its weights part by part; with `known`, only if they are there."""

        def measure() -> tuple[RandomisedStep, ...]:
            return tuple(randomised(self.desk.pair, view.photo.small, self.desk.iam(view, name)))

        return self._remembered(("broken", name, *self._what(view)), measure, known)

    def next_missing(self, look: Callable[..., Any], view: View) -> str | None:
        """The first network whose result `look` (one of the above) still lacks."""
        return next((name for name in BOTH if look(view, name, known=True) is None), None)

    def _what(self, view: View) -> tuple[Any, ...]:
        return view.photo.key, self.desk.class_index(view)

    def _remembered(self, key: tuple[Any, ...], measure: Callable[[], Any], known: bool) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if known:
            return None
        result = measure()
        with self._lock:
            self._kept[key] = result
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return result


def _term(key: str, label: str) -> str:
    return f'<span class="fk-term" tabindex="0" data-tip="{w.text(TERMS[key])}">{label}</span>'


# --- the curves


def curves_panel(bench: Bench, view: View) -> str:
    """Deletion and insertion of both networks beside random orders; what is missing is asked for by the browser."""
    found = {name: bench.curves(view, name, known=True) for name in BOTH}
    results = [result for result in found.values() if result is not None]
    dish = w.text(bench.desk.name(bench.desk.class_index(view)))
    said = w.note(
        f"The photo is covered cell by cell, brightest in the network’s own map for <b>{dish}</b> first (left), or "
        f"uncovered in that order (right). Dashed: {DASHES[view.control]}. With a map that tells the truth, the "
        "answer falls faster, and rises faster, than the dashes.",
        limits="It proves only that these places matter to the network under this cover: a covered photo is like none "
        "it has seen. Scattered cells break up more of it than a clump does, so random cells are hard to beat on the "
        "left and easy on the right.",
    )
    charts_drawn = "".join(_curve_figure(results, view, kind, dish) for kind in KINDS) if results else ""
    strips = "".join(_strip(bench.desk, view, result) for result in results)
    waiting = "" if len(results) == len(BOTH) else _waiting(bench, view, len(results))
    return f'{said}{waiting}<div class="fk-curves">{charts_drawn}</div><div class="fk-strips">{strips}</div>'


def _waiting(bench: Bench, view: View, done: int) -> str:
    pictures = pictures_needed(STEPS, ORDERS, view.control)
    name = w.TITLES[BOTH[done]].lower()
    words = f"The {name} is looking at the photo {pictures} times, each time covered otherwise …"
    share = f'<progress max="{len(BOTH)}" value="{done}" aria-label="Networks measured"></progress>'
    return f'<p class="fk-waiting" data-ask="{done}" role="status">{words}{share}</p>'


def _curve_figure(results: Sequence[Faithfulness], view: View, kind: str, dish: str) -> str:
    """One chart with both networks' lines, and their numbers below it."""
    deletion = kind == "deletion"
    title = "Covering the brightest first" if deletion else "Showing the brightest first"
    good = "lower is better" if deletion else "higher is better"
    x = charts.percent_axis(f"share of the photo {'covered' if deletion else 'shown'}")
    lines = [line for result in results for line in _lines(result, view.unit, kind)]
    label = f"{title}: {UNIT_NAMES[view.unit]} of {dish}. " + " ".join(_in_words(r, kind, view.unit) for r in results)
    drawn = charts.line_chart(lines, x, _height_axis(lines, view.unit), label)
    caption = f'<figcaption><b>{title}</b><span class="fk-arch">{good}</span></figcaption>'
    return f'<figure class="fk-figure fk-curve">{caption}{drawn}{_areas(results, kind, view.unit)}</figure>'


def _height_axis(lines: Sequence[charts.Line], unit: str) -> charts.Axis:
    top, bottom = max(float(line.ys.max()) for line in lines), min(float(line.ys.min()) for line in lines)
    return (
        charts.percent_axis("probability", top) if unit == "probability" else charts.number_axis("score", bottom, top)
    )


def _lines(result: Faithfulness, unit: str, kind: str) -> list[charts.Line]:
    own, chance = result.curve(kind), result.random_mean(kind)
    name, spread = result.network, result.random_spread(kind, unit)
    verb = "covered" if kind == "deletion" else "shown"
    heights = zip(own.fractions, own.values(unit), chance.values(unit), strict=True)
    tips = [
        f"{w.TITLES[name]}, {100 * share:.0f} % {verb}: {_value(here, unit)}, by chance {_value(random, unit)}"
        for share, here, random in heights
    ]
    dashes = charts.Line(name, chance.fractions, chance.values(unit), dashed=True, spread=spread)
    return [dashes, charts.Line(name, own.fractions, own.values(unit), tips)]


def _value(value: float, unit: str) -> str:
    """As plain text, for titles."""
    return f"{100 * value:.1f} %" if unit == "probability" else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _in_words(result: Faithfulness, kind: str, unit: str) -> str:
    own: Curve = result.curve(kind)
    mean = result.random_area(kind, unit)[0]
    first, last = own.values(unit)[[0, -1]]
    ends = f"from {_value(first, unit)} to {_value(last, unit)}"
    areas = f"mean height {_value(own.area(unit), unit)}, by chance {_value(mean, unit)}"
    return f"{w.TITLES[result.network]}: {ends}, {areas}."


def _areas(results: Sequence[Faithfulness], kind: str, unit: str) -> str:
    """The areas as a table; the last column says in words what the difference is worth."""
    rows = "".join(_area_row(result, kind, unit) for result in results)
    heads = f"<td></td><th>{_term('area', 'by the map')}</th><th>{_term('random', 'by chance')}</th><th>map’s lead</th>"
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    unit_said = "mean probability" if unit == "probability" else f"mean {_term('score', 'score')}"
    return f'<div class="fk-areas">{table}<p class="fk-under">Area under each curve: {unit_said}.</p></div>'


def _area_row(result: Faithfulness, kind: str, unit: str) -> str:
    (mean, spread), lead = result.random_area(kind, unit), result.lead(kind, unit)
    # Unbroken: a narrow cell breaks before it.
    plus_minus = f"± {_value(spread, unit).lstrip('+')}".replace(" ", "\N{NO-BREAK SPACE}")
    cells = f"<td>{_value(result.curve(kind).area(unit), unit)}</td><td>{_value(mean, unit)} {plus_minus}</td>"
    signed = f"{100 * lead:+.1f} %" if unit == "probability" else f"{lead:+.2f}"
    shown = signed.replace("-", "\N{MINUS SIGN}")
    last = f"<td><b>{shown}</b><small>{worth(lead, spread)}</small></td>"
    return f'<tr><th scope="row">{w.tag(result.network)}</th>{cells}{last}</tr>'


def worth(lead: float, spread: float) -> str:
    """A lead in words: what lies within the spread of the orders by chance is none."""
    if abs(lead) <= spread:
        return "no better than chance"
    return "better than chance" if lead > 0 else "worse than chance"


def _strip(desk: Desk, view: View, result: Faithfulness) -> str:
    """What the network saw while its photo was covered."""
    frames = ""
    for share in (0.0, 0.125, 0.25, 0.5, 0.75):
        seen = result.covered(desk.pair.preprocessing, view.photo.small, share)
        probability = np.interp(share, result.deletion.fractions, result.deletion.probabilities)
        alt = f"The photo as the {result.network} saw it with {100 * share:g} % covered"
        caption = f"{100 * share:g}&#8239;% covered<br>{w.percent(float(probability))}"
        frames += w.figure(w.picture(seen, alt, classes="fk-pixels", exact=True), caption)
    return f'<div class="fk-strip-row-of"><p class="fk-label">{w.tag(result.network)} saw</p><div>{frames}</div></div>'


# --- cover it yourself


def brush_panel(desk: Desk, view: View) -> str:
    """The photo to cover by brush, by key, or by one press on a network's brightest fifth."""
    side = min(BRUSH_SIDE, len(view.photo.small))
    base = baseline_picture(desk.pair.preprocessing, view.photo.small, view.baseline)
    maps = {name: desk.iam(view, name) for name in BOTH}
    said = w.note(
        "Paint over parts of the photo: both networks answer again, to what is left. On a keyboard: arrows move the "
        "brush, space covers, backspace uncovers.",
        limits="If an answer stays, the networks had other reasons as well; if it falls, the cover itself may be why.",
    )
    hidden = f'<img class="fk-base" src="{data_uri(base, exact=True)}" alt="" hidden>'
    frame = f'<div class="fk-frame fk-canvas" {_FRAME}>{_layers(view, maps)}{_CANVAS.format(side=side)}</div>'
    tools = f'<div class="fk-tools">{_TOOLS}{_fifths(maps, side)}</div>'
    data = f'data-side="{side}" data-mask="{w.text(view.mask)}" data-photo="{view.photo.key}"'
    return f'<h3>Cover it yourself</h3>{said}<div class="fk-cover" {data}>{frame}{hidden}{tools}</div>'


_FRAME = (
    'tabindex="0" role="application" aria-label="The photo, to be covered. Arrow keys move the brush, space covers, '
    'backspace uncovers."'
)
_CANVAS = '<canvas width="{side}" height="{side}"></canvas><span class="fk-brush" aria-hidden="true"></span>'
_TOOLS = """
<div role="group" aria-label="Brush"><button type="button" data-mode="cover" aria-pressed="true">Cover</button>
<button type="button" data-mode="uncover" aria-pressed="false">Uncover</button>
<label>size <input type="range" min="1" max="12" value="5" aria-label="Size of the brush"></label></div>
<div role="group" aria-label="Picture under the brush">
<button type="button" data-show="photo" aria-pressed="true">Photo</button>
<button type="button" data-show="teacher" aria-pressed="false">Teacher’s map</button>
<button type="button" data-show="student" aria-pressed="false">Student’s map</button></div>
"""


def _layers(view: View, maps: dict[str, ActivationMap]) -> str:
    """The photo and both maps on top of one another; all but one are hidden."""
    whole = render.canvas(view.photo.square, 448)
    drawn = f'<img data-under="photo" src="{data_uri(whole)}" alt="The photo, square" draggable="false">'
    for name, one in maps.items():
        picture = render.overlay(view.photo.square, one, scale=render.own_scale(one, signed=False), side=448)
        alt = w.text(w.map_alt(one, one.class_name))
        drawn += f'<img data-under="{name}" src="{data_uri(picture)}" alt="{alt}" draggable="false" hidden>'
    return drawn


def _fifths(maps: dict[str, ActivationMap], side: int) -> str:
    """One press covers a network's brightest fifth, or all but it; another takes everything off."""
    buttons = ""
    for name, one in maps.items():
        whose = f"the {name}’s brightest fifth"
        buttons += f'<button type="button" data-put="{packed(brightest(one, side))}">Cover {whose}</button>'
        buttons += f'<button type="button" data-put="{packed(~brightest(one, side))}">all but {whose}</button>'
    actions = '<button type="button" data-undo>Undo</button><button type="button" data-clear>Uncover all</button>'
    return f'<div role="group" aria-label="Cover at once">{buttons}{actions}</div>'


def brightest(activation_map: ActivationMap, side: int) -> np.ndarray:
    """The brightest fifth of the photo by a map, bool (side, side)."""
    order = np.argsort(-on_photo(activation_map, side).ravel(), kind="stable")
    mask = np.zeros(side * side, bool)
    mask[order[: round(TOP * side * side)]] = True
    return mask.reshape(side, side)


def packed(mask: np.ndarray) -> str:
    """A mask (side, side) as text: a bit per place, row by row, in base64."""
    return base64.b64encode(np.packbits(mask.ravel()).tobytes()).decode("ascii")


def unpacked(mask: str, side: int) -> np.ndarray:
    """The mask (side, side) of such a text; nothing is covered where it is empty.

    Raises:
        FoodkdError: it is no mask of that side.
    """
    if not mask:
        return np.zeros((side, side), bool)
    try:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(mask, validate=True), np.uint8))
    except (binascii.Error, ValueError):
        bits = np.zeros(0, np.uint8)
    if not 0 <= bits.size - side * side < 8:
        raise FoodkdError(f"What was painted does not fit this photo of {side} x {side} places; paint it again.")
    return bits[: side * side].reshape(side, side).astype(bool)


def covered_panel(desk: Desk, view: View) -> str:
    """Both networks' answers to the photo as it is covered now, beside those to the whole photo."""
    mask = unpacked(view.mask, min(BRUSH_SIDE, len(view.photo.small)))
    covered = cover_up(desk.pair, view.photo.small, mask, baseline=view.baseline) if mask.any() else None
    seen = view.photo.small if covered is None else covered.small
    share = "nothing is covered yet" if covered is None else f"{w.percent(covered.share)} of it covered"
    picture = w.picture(seen, "The reduced photo that both networks see now", classes="fk-pixels", exact=True)
    top = f'<div class="fk-seen">{picture}<span><b>What both see now</b><br>{share}</span></div>'
    cards = ""
    for name in BOTH:
        before = desk.answer(view.photo, name)
        cards += _covered_card(desk, view, name, before, before if covered is None else covered.answers[name])
    return f'<div role="status">{top}<div class="fk-stack">{cards}</div></div>'


def _covered_card(desk: Desk, view: View, name: str, before: Any, now: Any) -> str:
    target = desk.class_index(view)
    dish, old, new = w.text(desk.name(target)), float(before.probabilities[target]), float(now.probabilities[target])
    first = now.top(1)[0][0]
    stays = first == before.top(1)[0][0]
    verdict = "same first answer" if stays else f"now says <b>{w.text(desk.name(first))}</b>"
    head = f'<header>{w.tag(name)}<span class="fk-arch">{verdict}</span></header>'
    scores = f"{w.signed(float(before.logits[target]))} → {w.signed(float(now.logits[target]))}"
    rows = [
        (f"probability of {dish}", f"{w.percent(old)} → <b>{w.percent(new)}</b>"),
        (f"its {_term('score', 'score')}", scores),
    ]
    answers = [(desk.pair.classes[index], value) for index, value in now.top(3)]
    bars = w.bars(answers, chosen="", label=f"{w.TITLES[name]}, covered photo", compact=True)
    return f'<section class="fk-card fk-{name}">{head}{bars}{w.facts(rows)}</section>'


# --- randomised weights


def broken_panel(bench: Bench, view: View, *, asked: bool = False) -> str:
    """The map while its network loses what it learned, from the head down; empty until somebody asked."""
    found = {name: bench.broken(view, name, known=True) for name in BOTH}
    rows = "".join(_broken_row(bench.desk, view, name, steps) for name, steps in found.items() if steps is not None)
    done = sum(steps is not None for steps in found.values())
    if not rows and not asked:
        return ""
    if done == len(BOTH):
        return rows
    words = f"The {w.TITLES[BOTH[done]].lower()} is losing its weights, part by part, and draws its map each time …"
    share = f'<progress max="{len(BOTH)}" value="{done}" aria-label="Networks done"></progress>'
    ask = f' data-ask="{done}"' if asked else ""
    return f'{rows}<p class="fk-waiting"{ask} role="status">{words}{share}</p>'


def _broken_row(desk: Desk, view: View, name: str, steps: Sequence[RandomisedStep]) -> str:
    original, taps = desk.iam(view, name), desk.pair.networks[name].taps
    figures = _small_map(view, original, "as trained", "")
    for step in steps:
        part = "last layer" if step.part == "head" else f"stage {taps.index(step.part) + 1}"
        cosine, rank = w.signed(step.cosine), w.signed(step.rank_correlation)
        numbers = f"{_term('cosine', 'cosine')} {cosine}<br>{_term('rank', 'order')} {rank}"
        figures += _small_map(view, step.map, f"{'' if step.part == 'head' else '+ '}{part}", numbers)
    lead = f'<p class="fk-label">{w.tag(name)} made random, from the last layer down</p>'
    return f'<div class="fk-broken">{lead}<div>{figures}</div></div>'


def _small_map(view: View, one: ActivationMap, title: str, numbers: str) -> str:
    # Of random weights every place may speak against the dish: only the shape of these maps is to be seen.
    scale = render.Scale(*one.value_range, "from its weakest to its strongest place")
    picture = render.overlay(view.photo.square, one, scale=scale, side=168)
    alt = f"{w.map_alt(one, one.class_name)}; weights: {title}"
    return w.figure(w.picture(picture, alt), f"<b>{w.text(title)}</b><br>{numbers}")


# --- the tab


class Tab:
    """The tab's components; build it inside its `gr.Tab`.

    Args:
        desk: the pair and its answers.
        view: what the page opens with; the panels stay empty until the tab is opened.
    """

    def __init__(self, desk: Desk, view: View) -> None:
        """Lay out."""
        self.bench = Bench(desk)
        with gr.Row(elem_classes="fk-layer-controls"):
            choices = [(name, key) for key, name in BASELINE_NAMES.items()]
            self.baseline = gr.Radio(
                choices, value=view.baseline, label="Cover with", elem_id="fk-baseline", min_width=200
            )
            choices = [(name, key) for key, name in UNIT_NAMES.items()]
            self.unit = gr.Radio(choices, value=view.unit, label="Watch the", elem_id="fk-unit", min_width=200)
            choices = [(name, key) for key, name in CONTROL_NAMES.items()]
            self.control = gr.Radio(
                choices, value=view.control, label="Compare with", elem_id="fk-control", min_width=240
            )
        self.curves = _html("fk-curves-panel", ASK)
        with gr.Row(elem_classes="fk-cover-row"):
            self.brush = _html("fk-brush-panel", SCRIPT.read_text(encoding="utf-8"))
            self.covered = _html("fk-covered-panel")
        gr.HTML(_BROKEN_NOTE, elem_classes=["fk-html"], apply_default_css=False, js_on_load=None)
        self.check = gr.Button("Make the weights random", elem_id="fk-check", size="sm")
        self.broken = _html("fk-broken-panel", ASK)

    @property
    def all(self) -> list[Any]:
        """Every component that events read or draw."""
        own = [self.baseline, self.unit, self.control, self.curves]
        return [*own, self.brush, self.covered, self.check, self.broken]

    def drawn(self, view: View) -> Updates:
        """All panels as the view has them; nothing slow is computed."""
        desk = self.bench.desk
        panels = {self.curves: curves_panel(self.bench, view), self.brush: brush_panel(desk, view)}
        panels |= {self.covered: covered_panel(desk, view), self.broken: broken_panel(self.bench, view)}
        return panels | {self.baseline: view.baseline, self.unit: view.unit, self.control: view.control}

    def connect(self, on: Callable[..., None], state: gr.State, open_photo: OpenPhoto | None = None) -> None:
        """Bind the events: `on(trigger, event, inputs)` calls `event(view, *inputs)` and takes back updates."""
        self._state = state
        on(self.baseline.input, self.on_baseline, [self.baseline])
        on(self.unit.input, self.on_unit, [self.unit])
        on(self.control.input, self.on_control, [self.control])
        on(self.curves.select, self.on_measure, trigger_mode="multiple")
        on(self.brush.select, self.on_brush, trigger_mode="always_last")
        on(self.check.click, self.on_check)
        on(self.broken.select, self.on_break, trigger_mode="multiple")

    def on_baseline(self, view: View, baseline: str) -> Updates:
        """Another cover: the curves, and what is covered by hand, are others."""
        view = replace(view, baseline=baseline if baseline in BASELINES else view.baseline)
        return self.drawn(view) | {self._state: view}

    def on_unit(self, view: View, unit: str) -> Updates:
        """Probabilities or scores: the same measurement, drawn otherwise."""
        view = replace(view, unit=unit if unit in UNITS else view.unit)
        return {self.curves: curves_panel(self.bench, view), self._state: view}

    def on_control(self, view: View, control: str) -> Updates:
        """Another sort of chance to compare with."""
        view = replace(view, control=control if control in CONTROLS else view.control)
        return {self.curves: curves_panel(self.bench, view), self._state: view}

    def on_measure(self, view: View) -> Updates:
        """The browser found a network without curves: measure one, draw what there is."""
        missing = self.bench.next_missing(self.bench.curves, view)
        if missing is not None:
            self.bench.curves(view, missing)
        return {self.curves: curves_panel(self.bench, view)}

    def on_brush(self, view: View, event: gr.EventData) -> Updates:
        """Something was covered or uncovered by hand; a mask painted on an earlier photo is not this one's."""
        mask, key = str(event._data.get("mask", "")), str(event._data.get("photo", ""))
        unpacked(mask, min(BRUSH_SIDE, len(view.photo.small)))  # refused before it is kept
        view = replace(view, covered=(key, mask))
        return {self.covered: covered_panel(self.bench.desk, view), self._state: view}

    def on_check(self, view: View) -> Updates:
        """The weights are to be made random: say so; the browser then asks for one network after the other."""
        return {self.broken: broken_panel(self.bench, view, asked=True)}

    def on_break(self, view: View) -> Updates:
        """Make the next network's weights random and draw its maps."""
        missing = self.bench.next_missing(self.bench.broken, view)
        if missing is not None:
            self.bench.broken(view, missing)
        return {self.broken: broken_panel(self.bench, view, asked=True)}


_BROKEN_NOTE = "<h3>Would the map look the same without any learning?</h3>" + w.note(
    "A copy of each network loses what it learned, from the last layer down: its weights are shuffled. A map that "
    "shows what was learned must change at once.",
    limits="A map that changes is not thereby right; one that stays shows the photo, not the network. Each small map "
    "is coloured from its own weakest to its own strongest place.",
)


def _html(name: str, js: str | None = None) -> gr.HTML:
    return gr.HTML("", elem_id=name, elem_classes=["fk-html"], apply_default_css=False, js_on_load=js)
