"""Tab 3, Layer by layer: a row per stage with both maps, how alike they are, and what could be answered from there."""

from collections.abc import Sequence

import numpy as np

from foodkd.explain import ActivationMap, compare, needs_class, render
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, Desk, View, data_uri

SIDE = 360
MEANINGS = {
    "mean": "Bright: the stage's features are strongly active there, whatever the dish.",
    "gradcam": "Bright: features that raise the dish's score, weighted by their effect over the whole picture.",
    "layercam": "Bright: features that raise the dish's score at that very place; finer than Grad-CAM early on.",
    "eigencam": "Bright: the pattern that explains most of the stage's activity, whatever the dish.",
}


def rows_panel(desk: Desk, view: View) -> str:
    """All stages, early to late; the current one is drawn large."""
    about = f" The dish: <b>{w.text(desk.name(desk.class_index(view)))}</b>." if needs_class(view.method) else ""
    said = w.note(
        f"{MEANINGS[view.method]}{about}",
        limits="An early cell sees a small patch, a late one nearly the whole picture; a map is no proof of a cause.",
    )
    square = render.canvas(view.photo.square, SIDE)
    rows = "".join(_row(desk, view, stage, square) for stage in range(desk.stages))
    return f'{said}<div class="fk-stages">{rows}</div>'


def _row(desk: Desk, view: View, stage: int, square: np.ndarray) -> str:
    maps = {name: desk.layer(view, name, stage) for name in BOTH}
    current = stage == view.stage
    order = "earliest" if stage == 0 else "latest" if stage == desk.stages - 1 else ""
    head = (
        f'<button type="button" class="fk-stage-head" data-stage="{stage + 1}" aria-expanded="{str(current).lower()}">'
        f"<b>{stage + 1}</b><span>stage<small>{order}</small></span></button>"
    )
    figures = "".join(_figure(desk, view, maps[name], list(maps.values()), square) for name in BOTH)
    answers = "".join(_answers(desk, view, name, stage) for name in BOTH)
    inner = (
        f'{head}<div class="fk-stage-maps">{figures}</div>{_alike(desk, maps)}'
        f'<div class="fk-stage-answers">{answers}</div>'
    )
    marks = f'class="fk-stage{" fk-current" if current else ""}" data-index="{stage + 1}"'
    return f'<section {marks} aria-label="Stage {stage + 1}">{inner}</section>'


def _figure(desk: Desk, view: View, one: ActivationMap, together: Sequence[ActivationMap], square: np.ndarray) -> str:
    scale = w.scale_of(view, one, together)
    url = data_uri(render.overlay(square, one, scale=scale, side=SIDE))
    dish = desk.name(desk.class_index(view)) if one.class_index is not None else None
    caption = (
        f'{w.tag(one.network)}<span class="fk-arch">{w.text(one.stage_name)}, {one.grid[0]} × {one.grid[1]}</span>'
    )
    inner = f'<div class="fk-frame">{w.picture(url, w.map_alt(one, dish))}</div>{w.scale_bar(scale)}'
    return f'<figure class="fk-figure fk-{one.network}"><figcaption>{caption}</figcaption>{inner}</figure>'


def _alike(desk: Desk, maps: dict[str, ActivationMap]) -> str:
    """The agreement of the two maps of one stage, beside that of unrelated photos where it was measured."""
    value, unrelated = compare(maps["teacher"], maps["student"]).cosine, desk.mismatched(maps["teacher"])
    beside = (
        f"unrelated photos: {w.signed(unrelated.mismatched.cosine)}" if unrelated else "unrelated photos: not measured"
    )
    level = f'<span class="fk-level" aria-hidden="true"><i style="width:{100 * max(0.0, value):.0f}%"></i></span>'
    name = f"<span>{w.term('cosine', 'cosine')}</span>"
    return f'<div class="fk-alike"><b>{w.signed(value)}</b>{name}{level}<small>{beside}</small></div>'


def _answers(desk: Desk, view: View, name: str, stage: int) -> str:
    """The first three answers of the stage's auxiliary classifier; at the last stage without one, the network's own."""
    explanation = desk.answer(view.photo, name)
    values = explanation.stage_answers()[stage]
    title = w.term("auxiliary", "would answer here")
    if values is None and stage == len(explanation.stages) - 1:
        values, title = explanation.probabilities, "final answer"
    if values is None:
        none = '<p class="fk-none">no classifier at this stage</p>'
        return f'<div class="fk-{name}"><p class="fk-label">{w.tag(name)}</p>{none}</div>'
    best = np.argsort(-values, kind="stable")[:3]
    listed = [(desk.pair.classes[int(index)], float(values[index])) for index in best]
    bars = w.bars(listed, chosen="", label=f"{w.TITLES[name]}, stage {stage + 1}", compact=True)
    return f'<div class="fk-{name}"><p class="fk-label">{w.tag(name)} {title}</p>{bars}</div>'
