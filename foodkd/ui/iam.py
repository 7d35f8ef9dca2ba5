"""Tab 2, Where they look: the instance activation map of one class in both networks, compared, and one place of it."""

from collections.abc import Callable
from typing import Any

from foodkd.explain import ActivationMap, Evidence, MapComparison, Measures, compare, render
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, Desk, View, data_uri

SIDE = 448  # of the drawn maps, pixels


def maps_panel(desk: Desk, view: View) -> str:
    """Both maps side by side; each takes clicks and arrow keys."""
    maps = _maps(desk, view)
    said = w.note(
        f"Bright places speak for <b>{w.text(desk.name(desk.class_index(view)))}</b>, rather than for the average "
        f"dish, in that network: its {w.term('instance activation map')}. Click or tap a place, or move with the arrow "
        "keys, to take it apart.",
        limits="Bright does not mean that the dish is there: a cell of a late layer has seen nearly the whole picture. "
        "What speaks against the dish stays uncoloured.",
    )
    pair = "".join(_clickable(desk, view, one, list(maps.values())) for one in maps.values())
    return f'{said}<div class="fk-pair">{pair}</div>'


def alike_panel(desk: Desk, view: View) -> str:
    """Do both look at the same thing? The wipe between the maps, their difference, and three numbers."""
    maps = _maps(desk, view)
    inner = f"{_agreement(desk, maps)}{_wipe(view, maps)}{_difference(view, maps)}"
    return f'<h3>Do they look at the same thing?</h3><div class="fk-trio">{inner}</div>'


def _maps(desk: Desk, view: View) -> dict[str, ActivationMap]:
    return {name: desk.iam(view, name) for name in BOTH}


def _drawn(view: View, activation_map: ActivationMap, together: list[ActivationMap]) -> str:
    scale = w.scale_of(view, activation_map, together)
    return data_uri(render.overlay(view.photo.square, activation_map, scale=scale, side=SIDE))


def _clickable(desk: Desk, view: View, one: ActivationMap, together: list[ActivationMap]) -> str:
    """A map that takes clicks and arrow keys; the arrows move by one of its own cells."""
    label = f"{w.TITLES[one.network]}'s map. Arrow keys move the place that is taken apart below."
    x, y = place_of(desk, view)
    frame = (
        f'<div class="fk-frame fk-places" tabindex="0" role="application" aria-label="{w.text(label)}" '
        f'data-step="{one.step / one.size:.5f}" data-x="{x:.4f}" data-y="{y:.4f}">'
        f"{w.picture(_drawn(view, one, together), w.map_alt(one, desk.name(desk.class_index(view))))}"
        f'<span class="fk-spot" style="left:{100 * x:.2f}%;top:{100 * y:.2f}%" aria-hidden="true"></span></div>'
    )
    rows, columns = one.grid
    caption = f'{w.tag(one.network)}<span class="fk-arch">{rows} × {columns} cells</span>'
    scale = w.scale_bar(w.scale_of(view, one, together))
    return f'<figure class="fk-figure fk-{one.network}"><figcaption>{caption}</figcaption>{frame}{scale}</figure>'


def place_of(desk: Desk, view: View) -> tuple[float, float]:
    """The place taken apart, as fractions from left and top: the visitor's, or else the teacher's strongest cell."""
    if view.place is not None:
        return view.place
    strongest = desk.iam(view, "teacher")
    row, column = divmod(int(strongest.values.argmax()), strongest.grid[1])
    rows, columns = strongest.positions
    return float(columns[column]), float(rows[row])


def _wipe(view: View, maps: dict[str, ActivationMap]) -> str:
    """One map over the other with a movable edge: a range input, so that it works with fingers and with keys."""
    drawn = {name: _drawn(view, one, list(maps.values())) for name, one in maps.items()}
    under = w.picture(drawn["student"], "The student's map")
    over = w.picture(drawn["teacher"], "The teacher's map, laid over the student's up to the edge", classes="fk-over")
    slider = (
        '<input type="range" min="0" max="100" value="50" aria-label="Edge between both maps: the teacher\'s is left">'
    )
    edge = '<span class="fk-edge" aria-hidden="true"></span>'
    ends = f'{w.tag("teacher")}<span class="fk-arch">drag the edge</span>{w.tag("student")}'
    told = "both on one scale, as above" if view.scale == "shared" else "each on its own scale, as above"
    frame = f'<div class="fk-frame fk-wipe" style="--edge:50%">{under}{over}{edge}{slider}</div>'
    inner = f'<figcaption class="fk-ends">{ends}</figcaption>{frame}<p class="fk-under">{told}</p>'
    return f'<figure class="fk-figure">{inner}</figure>'


def _difference(view: View, maps: dict[str, ActivationMap]) -> str:
    compared = _compared(maps)
    image = w.picture(render.difference(view.photo.square, compared, side=SIDE), _difference_alt(compared))
    caption = '<b>Difference</b><span class="fk-arch">each map at its own scale</span>'
    scale = render.difference_scale(compared)
    bar = w.scale_bar(scale, label="blue: more teacher · orange: more student")
    frame = f'<div class="fk-frame">{image}</div>'
    return f'<figure class="fk-figure"><figcaption>{caption}</figcaption>{frame}{bar}</figure>'


def _difference_alt(compared: MapComparison) -> str:
    (student_x, student_y), (teacher_x, teacher_y) = compared.centres
    return (
        "Signed difference of both maps. "
        f"Centre of the teacher's: {100 * teacher_x:.0f} % from the left, {100 * teacher_y:.0f} % from the top; "
        f"of the student's: {100 * student_x:.0f} % and {100 * student_y:.0f} %"
    )


def _compared(maps: dict[str, ActivationMap]) -> MapComparison:
    """Student minus teacher: on the blue-to-orange scale each then has its own colour of the app."""
    return compare(maps["student"], maps["teacher"])


def _agreement(desk: Desk, maps: dict[str, ActivationMap]) -> str:
    """The three numbers, each beside what unrelated photos reach."""
    here, unrelated = _compared(maps), desk.mismatched(maps["teacher"])
    rows: list[tuple[str, str, Callable[[Measures], str]]] = [
        ("cosine", "cosine of the maps", lambda of: w.signed(of.cosine)),
        ("overlap", "overlap of the strongest fifths", lambda of: w.percent(of.overlap)),
        ("distance", "distance of the centres", lambda of: w.percent(of.centre_distance)),
    ]
    numbers = ""
    for term, name, value in rows:
        base = f"<b>{value(unrelated.mismatched)}</b>" if unrelated else "not measured"
        numbers += w.number(value(here), w.term(term, name), f"unrelated photos: {base}")
    over = f" (mean over {unrelated.photos})" if unrelated else ""
    limits = f"Any two maps are somewhat alike, since food lies in the middle: compare with unrelated photos{over}."
    return f'<div class="fk-numbers">{numbers}{w.note("", limits=limits)}</div>'


def place_panel(desk: Desk, view: View) -> str:
    """One place taken apart in both networks: its share of the class's score, what it argues for, what is like it."""
    cards = "".join(_place(desk, view, name) for name in BOTH)
    said = w.note(
        f"What the marked cell alone {w.term('evidence', 'adds to the score')}, and which cells look like it.",
        limits="A cell knows its surroundings: cover the place, and the answer may stay.",
    )
    return f'<h3>The marked place</h3>{said}<div class="fk-stack">{cards}</div>'


def _place(desk: Desk, view: View, name: str) -> str:
    one = desk.iam(view, name)
    row, column = cell = one.cell_at(*place_of(desk, view))
    evidence, target = desk.answer(view.photo, name).evidence(*cell), desk.class_index(view)
    where = f'<span class="fk-arch">column {column + 1}, row {row + 1} of {one.grid[1]} × {one.grid[0]}</span>'
    added = _sum(desk.name(target), evidence.shares[target], evidence.bias[target], evidence.logits[target], one)
    argued = _shares([(desk.name(index), share) for index, share in evidence.top(3)])
    body = f'<div class="fk-card-body">{added}<p class="fk-label">It argues most for</p>{argued}</div>'
    figure = _similar(view, evidence, name)
    return f'<section class="fk-card fk-{name} fk-place"><header>{w.tag(name)}{where}</header>{figure}{body}</section>'


def _similar(view: View, evidence: Evidence, name: str) -> str:
    scale = render.Scale(0.0, 1.0, "similarity to the marked cell")
    options: dict[str, Any] = {"side": 240, "mark": evidence.cell, "colormap": "viridis"}
    drawn = render.overlay(view.photo.square, evidence.similarity, scale=scale, **options)
    alt = f"Cells that the {name} finds like the marked one: strongest {w.where(evidence.similarity)}"
    return w.figure(w.picture(drawn, alt), "bright: cells like the marked one")


def _sum(dish: str, share: float, bias: float, logit: float, one: ActivationMap) -> str:
    """The cell's share written as the addition that it is part of."""
    cells, others = one.values.size, logit - bias - share
    about = "" if one.additive else " (to first order)"
    rows = [
        ("this cell", w.signed(share)),
        (f"the other {cells - 1} cells", w.signed(others)),
        ("constant", w.signed(bias)),
        (f"score of {w.text(dish)}{about}", w.signed(logit)),
    ]
    return w.facts(rows, classes="fk-sum")


def _shares(argued: list[tuple[str, float]]) -> str:
    largest = max((abs(share) for _, share in argued), default=1.0) or 1.0
    rows = "".join(w.bar(name, w.signed(share), max(0.0, share / largest)) for name, share in argued)
    return f'<ol class="fk-bars fk-compact">{rows}</ol>'
