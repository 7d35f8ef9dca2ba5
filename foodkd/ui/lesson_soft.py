"""Step 2 of the lesson: both networks' soft labels for the photo at hand, and the temperature that brings them out.

The logits are sent once; the browser softens them as the slider moves, with the same formula as
`foodkd.explain.soft_labels`, which draws the first state.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foodkd.distill.terms import recipe_settings
from foodkd.explain.soft_labels import entropy, leading, soft_labels, softened_divergence
from foodkd.ui import widgets as w
from foodkd.ui.lesson_board import Board, Choices
from foodkd.ui.session import BOTH, View

SHOWN = 8
START = 1.0  # the networks' own answers; the heat is the visitor's to turn up
LOWEST, HIGHEST, STEP = 0.5, 10.0, 0.1
FORMULAS = {
    "tau": "p(k) = exp(z(k) / τ) / Σ exp(z(j) / τ), the sum over all dishes j; z are the raw scores (logits).",
    "entropy": "H = −Σ p(k) log₂ p(k) bits; 2 to the power of H equally likely dishes would be as open.",
    "distance": "τ² · KL(teacher ‖ student) = τ² Σ p(k) · ln(p(k) / q(k)); p the teacher's shares, "
    "q the student's. KD in step 3 adds the other way round.",
}


@dataclass(frozen=True)
class Softened:
    """Both networks' soft labels at one temperature, as the panel shows them."""

    temperature: float
    shares: dict[str, np.ndarray]
    entropies: dict[str, float]
    distance: float

    @classmethod
    def of(cls, logits: dict[str, np.ndarray], temperature: float) -> "Softened":
        """From raw logits (K,) by network."""
        shares = {name: soft_labels(logits[name], temperature) for name in BOTH}
        entropies = {name: entropy(shares[name]) for name in BOTH}
        return cls(
            temperature, shares, entropies, softened_divergence(logits["teacher"], logits["student"], temperature)
        )


def panel(board: Board, view: View, choices: Choices) -> str:
    """The slider, the bars, and what the numbers say."""
    desk = board.desk
    logits = {name: desk.answer(view.photo, name).logits for name in BOTH}
    used = recipe_settings(desk.pair).temperature
    soft = Softened.of(logits, START)
    shown = leading(soft.shares["teacher"], soft.shares["student"], SHOWN)
    said = w.note(
        "“It is 100&#8239;% a pizza” says no more than a label. The teacher’s <b>whole list</b> says more: which "
        "wrong dishes come close. Turn up the <b>temperature τ</b> and it shows. The student learns from this list.",
        limits=f"τ divides the raw scores, as in the training (there τ = {used:g}). Tab 1 shows calibrated "
        f"probabilities instead: scores divided by {_calibrated(board)}, so that they can be believed.",
    )
    data = {name: [float(value) for value in logits[name]] for name in BOTH}
    names = [desk.name(index) for index in range(len(desk.pair.classes))]
    hold = (
        f'data-soft="{w.text(json.dumps(data))}" data-names="{w.text(json.dumps(names))}" '
        f'data-shown="{w.text(json.dumps(shown))}" data-start="{START:g}" data-photo="{view.photo.key}"'
    )
    rows = "".join(_row(desk.name(index), index, soft) for index in shown) + _rest(shown, soft)
    listed = f'<ol class="fk-soft" aria-label="Shares of the likeliest dishes in both networks">{rows}</ol>'
    legend = f'<p class="fk-soft-legend">{w.tag("teacher")} {w.tag("student")}</p>'
    aside = f'<div class="fk-soft-aside">{_numbers(soft)}{_wrong(desk.name, soft)}</div>'
    inner = f'{_slider(used)}<div class="fk-soft-row"><div>{legend}{listed}</div>{aside}</div>'
    return f'{said}<div class="fk-dark" {hold}>{inner}</div>'


def _calibrated(board: Board) -> str:
    temperatures = board.desk.pair.temperatures
    return " and ".join(f"{temperatures[name]:.3f} ({name})" for name in BOTH)


def _slider(used: float) -> str:
    marks = [(1.0, "as they answer"), (used, "as in the training"), (HIGHEST, "nearly flat")]
    buttons = "".join(
        f'<button type="button" data-tau="{value:g}">τ = {value:g}<small>{words}</small></button>'
        for value, words in marks
    )
    tau = f'<span class="fk-term" tabindex="0" data-tip="{w.text(FORMULAS["tau"])}">Temperature τ</span>'
    return (
        f'<div class="fk-tau"><label for="fk-tau">{tau} = <output>{START:.1f}</output></label>'
        f'<input id="fk-tau" type="range" min="{LOWEST}" max="{HIGHEST}" step="{STEP}" value="{START:g}" '
        f'aria-label="Temperature">{buttons}</div>'
    )


def _row(name: str, index: int, soft: Softened) -> str:
    bars = "".join(_bar(network, soft.shares[network][index]) for network in BOTH)
    return f'<li data-class="{index}"><span>{w.text(name)}</span>{bars}</li>'


def _rest(shown: list[int], soft: Softened) -> str:
    left = len(soft.shares["teacher"]) - len(shown)
    if left <= 0:
        return ""
    bars = "".join(_bar(network, 1 - soft.shares[network][shown].sum()) for network in BOTH)
    return f'<li data-class="rest"><span>all {left} others</span>{bars}</li>'


def _bar(network: str, share: float) -> str:
    return (
        f'<span class="fk-soft-bar fk-{network}"><i style="--share:{share:.4f}"></i><b>{shown_share(share)}</b></span>'
    )


def shown_share(share: float) -> str:
    """A share as the browser writes it, too: percent with one digit."""
    return f"{100 * share:.1f}\N{NARROW NO-BREAK SPACE}%"


def _numbers(soft: Softened) -> str:
    tip = w.text(FORMULAS["entropy"])
    rows = ""
    for name in BOTH:
        bits = f'<span data-entropy="{name}">{soft.entropies[name]:.2f}</span>'
        like = f'<span data-open="{name}">{2 ** soft.entropies[name]:.1f}</span>'
        words = f"{w.tag(name)}: as open as a choice among <b>{like}</b> equal dishes"
        rows += f'<p>{words} <small><span class="fk-term" tabindex="0" data-tip="{tip}">{bits} bits</span></small></p>'
    tip = w.text(FORMULAS["distance"])
    label = f'<span class="fk-term" tabindex="0" data-tip="{tip}">Distance</span>'
    return f"{rows}<p>{label} from teacher to student at this τ: <b data-distance>{soft.distance:.3f}</b></p>"


def _wrong(name_of: Callable[[int], str], soft: Softened) -> str:
    """The teacher's list without its first line."""
    shares = soft.shares["teacher"]
    order = np.argsort(-shares, kind="stable")[:4]
    left = 1 - shares[order[0]]
    parts = ", ".join(
        f'{w.text(name_of(int(i)))} <span data-among="{int(i)}">{shown_share(shares[i] / left if left else 0.0)}</span>'
        for i in order[1:]
    )
    first = w.text(name_of(int(order[0])))
    return (
        f'<div class="fk-dark-box" data-first="{int(order[0])}"><b>Dark knowledge.</b> Strike out the teacher’s first '
        f"answer, <em>{first}</em>. Of what is left, these get most: {parts}. "
        "<br>What do they share with the photo: shape, colour, the plate? No label says that; the teacher does.</div>"
    )
