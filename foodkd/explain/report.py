"""One self-contained HTML report: what the networks said to a photo, where they looked, and what that doesn't prove.

    Path("lunch.html").write_text(report_html(Subject.of(pair, Path("lunch.jpg"), None)))

Nothing in it is loaded from elsewhere: styles and pictures stand in the file. It reads in light and dark, on a phone
and on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from foodkd import __version__
from foodkd.explain import render
from foodkd.explain.colours import colour_table
from foodkd.explain.compare import Measures, compare
from foodkd.explain.faithfulness import KINDS, Faithfulness
from foodkd.explain.figures import TITLES, curves_picture
from foodkd.explain.maps import METHOD_TITLES, ActivationMap, Explanation, needs_class
from foodkd.explain.names import readable
from foodkd.explain.subject import NETWORKS, Drawing, Subject, versions, weights_hashes

LARGE, SMALL = 384, 220  # sides of the drawn maps, pixels
STYLE = Path(__file__).with_name("report.css")


def report_html(
    subject: Subject,
    *,
    drawing: Drawing | None = None,
    method: str = "gradcam",
    curves: Sequence[Faithfulness] = (),
    unit: str = "probability",
    costs: Mapping[str, Mapping[str, int]] | None = None,
) -> str:
    """The report as one HTML document.

    Args:
        subject: photo, networks and class.
        drawing: scales of the maps, by default what speaks against the class stays uncoloured; the sides of its
            pictures are the report's own.
        method: of the layer maps.
        curves: deletion and insertion where they were measured; without any, that section is left out.
        unit: of the curves, "probability" or "logit".
        costs: of each network, as from `pair.costs`; counted here if not given, which takes a pass each.
    """
    drawing = drawing or Drawing(signed=False)
    costs = costs or {one.name: subject.pair.costs(one.name) for one in subject.explanations}
    sections = [
        _photo(subject),
        _answers(subject, costs),
        _iams(subject, drawing),
        _layers(subject, drawing, method),
        _faithfulness(subject, curves, unit) if curves else "",
        _made_with(subject),
    ]
    title = f"{subject.dish}: {subject.name}, seen by two networks"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text('utf-8')}</style>"
    )
    body = f"<h1>{_headline(subject)}</h1>{''.join(sections)}"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'


def _headline(subject: Subject) -> str:
    first = [readable(subject.pair.classes[one.top(1)[0][0]]) for one in subject.explanations[: len(NETWORKS)]]
    if first[0] == first[1]:
        return f"Both networks say <em>{escape(first[0])}</em>"
    return f"The teacher says <em>{escape(first[0])}</em>, the student <em>{escape(first[1])}</em>"


# --- what was seen and said


def _photo(subject: Subject) -> str:
    resolution = subject.pair.preprocessing.resolution
    alt = f"The photo {subject.name}, its centre square"
    whole = _figure(_image(render.canvas(subject.square, LARGE), alt), f"{escape(subject.name)}: the centre square")
    small = _image(subject.small, f"The same, {resolution} by {resolution} pixels", exact=True, classes="pixels")
    seen = _figure(small, f"{resolution} × {resolution} pixels")
    words = (
        "<div><p>Right beside it: all that the networks see. The centre square is reduced, then enlarged to each "
        "network’s input. Finer detail never reaches them.</p><p>Teacher and student were trained together. They know "
        f"{len(subject.pair.classes)} dishes and answer every photo with one of them, whatever it shows.</p></div>"
    )
    return f'<div class="row photo">{whole}{seen}{words}</div>'


def _answers(subject: Subject, costs: Mapping[str, Mapping[str, int]]) -> str:
    tables = "".join(_answer(subject, one) for one in subject.explanations)
    words = (
        "Probabilities are calibrated on held-out photos: of answers given with 70 %, about 70 % were right there. "
        '<span class="quiet">They are a network’s belief, not a proof, and mean little for a photo of anything else '
        "than these dishes.</span>"
    )
    return f"<h2>What they say</h2><p>{words}</p>{_row(tables, len(subject.explanations))}{_costs(subject, costs)}"


def _answer(subject: Subject, one: Explanation) -> str:
    rows = ""
    for index, chance in one.top(5):
        bar = f'<span class="bar"><i style="width:{100 * chance:.1f}%"></i></span>'
        name = escape(readable(subject.pair.classes[index]))
        rows += f'<tr><td>{name}{bar}</td><td class="number">{_percent(chance)}</td></tr>'
    head = f'<thead><tr><th>{_tag(one.name)}</th><th class="number">probability</th></tr></thead>'
    return f'<table>{head}<tbody class="tag {escape(one.name)}">{rows}</tbody></table>'


def _costs(subject: Subject, costs: Mapping[str, Mapping[str, int]]) -> str:
    heads = "".join(f'<th class="number">{text}</th>' for text in ("parameters", "multiply-adds", "weight file"))
    rows = ""
    for one in subject.explanations:
        row, backbone = costs[one.name], subject.pair.settings[one.name].backbone
        values = [f"{row['parameters'] / 1e6:.2f} M", f"{row['multiply_adds'] / 1e6:.0f} M"]
        values.append(f"{row['bytes'] / 1e6:.1f} MB")
        cells = "".join(f'<td class="number">{value}</td>' for value in values)
        rows += f"<tr><th>{_tag(one.name)} <small>{escape(backbone)}, {one.size} px</small></th>{cells}</tr>"
    return f"<table><thead><tr><th>What one answer costs</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"


# --- where they looked


def _iams(subject: Subject, drawing: Drawing) -> str:
    maps = subject.iams
    figures = "".join(_map(subject, one, drawing.scale(one, maps), LARGE) for one in maps)
    compared = compare(maps[1], maps[0])
    scale = render.difference_scale(compared)
    picture = render.difference(render.canvas(subject.square, LARGE), compared, scale=scale, side=LARGE)
    alt = "Signed difference of the student's and the teacher's map"
    bar = _scale(scale, "blue: more teacher · orange: more student; each map at its own scale")
    figures += _figure(_image(picture, alt) + bar, "Difference")
    words = (
        f"Bright places speak for <b>{escape(subject.dish)}</b>, rather than for the average dish, in that network. "
        '<span class="quiet">Bright does not mean that the dish is there: a cell of a late stage has seen nearly the '
        "whole picture.</span>"
    )
    numbers = _agreement(subject, compared)
    columns = 3 if len(maps) == len(NETWORKS) else 2
    return f"<h2>Where they look</h2><p>{words}</p>{_row(figures, columns)}{numbers}"


def _agreement(subject: Subject, here: Measures) -> str:
    unrelated = subject.unrelated(subject.iams[0])
    there = unrelated.mismatched if unrelated else None
    rows: list[tuple[str, Callable[[Measures], str]]] = [
        ("cosine of the maps (1: same shape)", lambda of: _signed(of.cosine, 2)),
        ("overlap of the strongest fifths", lambda of: f"{of.overlap:.0%}"),
        ("distance of the centres, of the photo’s side", lambda of: f"{of.centre_distance:.0%}"),
    ]
    body = ""
    for title, shown in rows:
        value, beside = shown(here), shown(there) if there else "not measured"
        body += f'<tr><th>{title}</th><td class="number">{value}</td><td class="number">{beside}</td></tr>'
    over = f" (mean over {unrelated.photos})" if unrelated else ""
    heads = "".join(f'<th class="number">{text}</th>' for text in ("this photo", f"unrelated photos{over}"))
    limits = (
        "Any two maps are somewhat alike, since food lies in the middle: only what goes beyond unrelated photos counts."
    )
    table = (
        f"<table><thead><tr><th>Do both look at the same thing?</th>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
    return f'{table}<p class="quiet">{limits}</p>'


def _layers(subject: Subject, drawing: Drawing, method: str) -> str:
    about = f" for <b>{escape(subject.dish)}</b>" if needs_class(method) else ", whatever the dish"
    words = (
        f"{METHOD_TITLES[method]} of every distilled stage, early to late{about}, and what a small classifier attached "
        'to that stage in training would answer. <span class="quiet">An early cell sees a small patch, a late one '
        "nearly the whole picture; a map is no proof of a cause.</span>"
    )
    stages = "".join(_stage(subject, drawing, stage, method) for stage in range(subject.stages))
    return f"<h2>Layer by layer</h2><p>{words}</p>{stages}"


def _stage(subject: Subject, drawing: Drawing, stage: int, method: str) -> str:
    maps = subject.layers(stage, method)
    cosine = compare(*maps).cosine
    figures = "".join(_map(subject, one, drawing.scale(one, maps), SMALL) for one in maps)
    answers = "".join(_stage_answer(subject, one, stage) for one in subject.explanations[: len(NETWORKS)])
    unrelated = subject.unrelated(maps[0])
    beside = f"<br>unrelated {_signed(unrelated.mismatched.cosine, 2)}" if unrelated else ""
    head = f"<b>{stage + 1}<small>cosine {_signed(cosine, 2)}{beside}</small></b>"
    return f'<section class="stage" aria-label="Stage {stage + 1}">{head}{figures}{answers}</section>'


def _stage_answer(subject: Subject, one: Explanation, stage: int) -> str:
    values = one.stage_answers()[stage]
    title = "would answer"
    if values is None and stage == len(one.stages) - 1:
        values, title = one.probabilities, "answers"
    if values is None:
        return f"<div>{_tag(one.name)}<br><small>no classifier at this stage</small></div>"
    best = np.argsort(-values, kind="stable")[:3]
    rows = ""
    for index in best:
        name = escape(readable(subject.pair.classes[index]))
        rows += f'<tr><td>{name}</td><td class="number">{_percent(values[index])}</td></tr>'
    return f"<div>{_tag(one.name)} <small>{title}</small><table>{rows}</table></div>"


def _faithfulness(subject: Subject, curves: Sequence[Faithfulness], unit: str) -> str:
    how = {"blur": "a blur", "grey": "plain grey"}[curves[0].baseline]
    chance = {"cells": "the same cells in random order", "moved": "the same map moved elsewhere"}[curves[0].control]
    words = (
        f"The photo was covered with {how}, brightest in the network’s own map first (left), or uncovered in that "
        f"order (right). Dashed: {chance}. With a map that tells the truth the answer falls faster, and rises faster, "
        'than the dashes. <span class="quiet">It proves only that these places matter under this cover: a covered '
        "photo is like none the network has seen.</span>"
    )
    alt = "Deletion and insertion curves of both networks; their areas stand in the table below"
    picture = _image(curves_picture(curves, unit=unit), alt, exact=True, classes="sheet")
    rows = "".join(_area(result, kind, unit) for result in curves for kind in KINDS)
    heads = "".join(f'<th class="number">{name}</th>' for name in ("by the map", "by chance", "map’s lead"))
    head = f"<thead><tr><th>Area under the curve ({escape(unit)})</th>{heads}</tr></thead>"
    table = f"<table>{head}<tbody>{rows}</tbody></table>"
    return f"<h2>Is the map telling the truth?</h2><p>{words}</p>{picture}{table}"


def _area(result: Faithfulness, kind: str, unit: str) -> str:
    mean, spread = result.random_area(kind, unit)
    values = [f"{result.curve(kind).area(unit):.3f}", f"{mean:.3f} ± {spread:.3f}", _signed(result.lead(kind, unit), 3)]
    cells = "".join(f'<td class="number">{value}</td>' for value in values)
    what = "covered, lower is better" if kind == "deletion" else "shown, higher is better"
    return f"<tr><th>{_tag(result.network)} <small>{what}</small></th>{cells}</tr>"


# --- how it was made


def _made_with(subject: Subject) -> str:
    preprocessing = subject.pair.preprocessing
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    sizes = ", ".join(f"{one.size} px for the {TITLES[one.name].lower()}" for one in subject.explanations)
    rows = [
        ("foodkd", f"{escape(__version__)} ({escape(used)})"),
        ("pair", escape(subject.pair.name)),
        ("photo", _hash(subject.facts["sha256"]) if subject.facts.get("sha256") else escape(subject.name)),
        (
            "preprocessing",
            f"centre square, {preprocessing.resolution} × {preprocessing.resolution} pixels, then {sizes}",
        ),
        *((f"weights of the {name}", _hash(value)) for name, value in weights_hashes(subject.pair).items()),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    words = "The same photo, weights and versions give the same numbers. Nothing here is about calories or allergens."
    return f'<h2>How this was made</h2><table><tbody>{body}</tbody></table><p class="quiet">{words}</p>'


def _hash(value: object) -> str:
    return f"<code>SHA-256 {escape(str(value))}</code>"


# --- small parts


def _map(subject: Subject, one: ActivationMap, scale: render.Scale, side: int) -> str:
    picture = render.overlay(render.canvas(subject.square, side), one, scale=scale, side=side)
    caption = f"{_tag(one.network)} {escape(one.stage_name)}, {one.grid[0]} × {one.grid[1]} cells"
    return _figure(_image(picture, f"Map of the {one.title}") + _scale(scale), caption)


def _scale(scale: render.Scale, label: str = "") -> str:
    stops = ", ".join("#{:02x}{:02x}{:02x}".format(*row) for row in colour_table(scale.colormap)[::32])
    low, high = (render.number(value).replace("-", "\N{MINUS SIGN}") for value in (scale.low, scale.high))
    colours = f'<i style="background:linear-gradient(90deg, {stops})"></i>'
    said = label or " · ".join([scale.label, *([f"{scale.ends[0]} – {scale.ends[1]}"] if scale.ends else [])])
    return f'<div class="scale"><span>{low}</span>{colours}<span>{high}</span><small>{escape(said)}</small></div>'


def _figure(inner: str, caption: str) -> str:
    return f"<figure>{inner}<figcaption>{caption}</figcaption></figure>"


def _row(inner: str, columns: int) -> str:
    return f'<div class="row three" style="--columns:{columns}">{inner}</div>'


def _image(picture: np.ndarray, alt: str, *, exact: bool = False, classes: str = "") -> str:
    return f'<img class="{classes}" src="{render.data_uri(picture, exact=exact)}" alt="{escape(alt)}">'


def _tag(network: str) -> str:
    return f'<span class="tag {escape(network)}">{escape(TITLES[network])}</span>'


def _percent(value: float) -> str:
    return "&lt; 0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


__all__ = ["report_html"]
