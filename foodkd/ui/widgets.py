"""What the tabs share: bars, figures, notes and numbers as plain HTML.

Every function takes plain values and returns a string. Names reach the page through `text`, which escapes them.
"""

from abc import ABCMeta
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from foodkd.explain import ActivationMap, render
from foodkd.explain.colours import colour_table
from foodkd.ui.session import View, data_uri

TITLES = {"teacher": "Teacher", "student": "Student", "student-alone": "Student, trained alone"}
TERMS = {
    "teacher": "The large network. It was trained together with the student and is too big for most phones.",
    "student": "The compact network. It learnt from the labels and, at the same time, from the teacher.",
    "student-alone": "The very same compact network, trained on the same photos without any teacher.",
    "probability": "Calibrated: corrected on held-out photos so that of answers given with 70 % some 70 % are right.",
    "parameters": "The learned numbers in the network.",
    "multiply-adds": "Multiplications with an addition that one photo costs: work, whatever the machine.",
    "stage": "Early stages see edges and colours in fine grids, late ones whole things in coarse grids.",
    "evidence": "A dish's score is its lead over the average dish. All places and a constant add up to it exactly.",
    "cosine": "1: the two maps have the same shape; 0: nothing in common; below 0: one looks where the other doesn't.",
    "overlap": "Each network's strongest fifth of the photo: how much of what they cover together both cover.",
    "distance": "How far apart the two maps' centres of mass lie, in percent of the photo's side.",
    "auxiliary": "A small classifier attached to this stage in training: it shows what could be answered from here.",
    "instance activation map": "How much each place of this very photo speaks for one dish against the average (IAM).",
}


def _path(self: gr.Image, payload: Any) -> str | None:
    """The uploaded file's path; None where there is none."""
    return None if payload is None else str(payload.path)


async def _fetched(self: gr.Image, place: Any) -> str | None:
    """The photo's file, fetched if it lies at a web address; whatever goes wrong there is one sentence."""
    try:
        return await gr.Image.async_move_resource_to_block_cache(self, place)
    except Exception as error:
        given = str(place) if len(str(place)) < 200 else f"{str(place)[:200]} ..."
        sentence = f"No photo can be fetched from {given}; give the public http or https address of an image file."
        raise gr.Error(sentence, print_exception=False) from error


# `gr.Image` that hands over the file untouched: Gradio would decode it first, without our limits and words. Made past
# Gradio's own metaclass, which writes a .pyi file into the package for every class statement.
PhotoInput: type[gr.Image] = ABCMeta.__new__(
    type(gr.Image),
    "PhotoInput",
    (gr.Image,),
    {
        "preprocess": _path,
        "async_move_resource_to_block_cache": _fetched,
        "is_template": True,
        "__module__": __name__,
    },
)


def photo_input(**options: Any) -> gr.Image:
    """The field for a visitor's photo; its value is the path of a file that nothing has looked at yet."""
    return PhotoInput(type="filepath", image_mode=None, **options)


def text(value: object) -> str:
    """Any value, safe inside HTML."""
    return escape(str(value), quote=True)


def dish(name: str) -> str:
    """A class name as people write it."""
    return text(name.replace("_", " "))


def percent(value: float, *, digits: int = 0) -> str:
    """A rate of 0..1 as percent; what rounds to nothing or to all is said as such."""
    if digits == 0 and 0 < value < 0.005:
        return "<&#8239;1&#8239;%"
    if digits == 0 and 0.995 <= value < 1:
        return ">&#8239;99&#8239;%"
    return f"{100 * value:.{digits}f}&#8239;%"


def signed(value: float, *, digits: int = 2) -> str:
    """A number with its sign and a true minus."""
    shown = f"{value:+.{digits}f}"
    return shown.replace("-", "\N{MINUS SIGN}") if float(shown) else f"{0:.{digits}f}"


def amount(value: float, unit: str = "") -> str:
    """A large count in thousands (k), millions (M) or billions (G), three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            digits = 0 if value >= 100 * size else 1 if value >= 10 * size else 2
            return f"{value / size:.{digits}f}&#8239;{letter}{unit}"
    return f"{value:.0f}{'&#8239;' + unit if unit else ''}"


def term(key: str, label: str | None = None) -> str:
    """A word that explains itself on hover, focus or tap."""
    return f'<span class="fk-term" tabindex="0" data-tip="{text(TERMS[key])}">{text(label or key)}</span>'


def note(words: str, *, limits: str = "") -> str:
    """The one plain line of a panel: what is seen, and what it doesn't prove (both may hold HTML)."""
    second = f' <span class="fk-limits">{limits}</span>' if limits else ""
    return f'<p class="fk-note">{words}{second}</p>'


def notice(sentences: Sequence[str]) -> str:
    """What went wrong, in so many sentences; nothing where nothing did."""
    if not sentences:
        return ""
    lines = "".join(f"<p>{text(sentence)}</p>" for sentence in sentences)
    return f'<div class="fk-notice" role="alert">{lines}</div>'


def picture(source: str | np.ndarray, alt: str, *, classes: str = "", exact: bool = False) -> str:
    """An image element; `source` is an array (h, w, 3) or a URL."""
    url = source if isinstance(source, str) else data_uri(source, exact=exact)
    return f'<img class="{classes}" src="{url}" alt="{text(alt)}" draggable="false">'


def figure(image: str, caption: str = "", *, classes: str = "") -> str:
    """A picture with its caption (HTML)."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="fk-figure {classes}"><div class="fk-frame">{image}</div>{below}</figure>'


def bars(answers: Iterable[tuple[str, float]], *, chosen: str, label: str, compact: bool = False) -> str:
    """A network's first answers as bars; each is a button that shows the evidence for that class."""
    rows = ""
    for index, (name, value) in enumerate(answers):
        marks = f"{' fk-first' if index == 0 else ''}{' fk-chosen' if name == chosen else ''}"
        plain = bar(dish(name), percent(value), value, marks=marks)
        rows += plain if compact else _pickable(name, value, marks, chosen=name == chosen)
    return f'<ol class="fk-bars{" fk-compact" if compact else ""}" aria-label="{text(label)}">{rows}</ol>'


def bar(name: str, value: str, share: float, *, marks: str = "") -> str:
    """One bar: a name, what is written beside it (both HTML), and how far it reaches, 0..1."""
    return f'<li class="fk-answer{marks}">{_bar(name, value, share)}</li>'


def _bar(name: str, value: str, share: float) -> str:
    return (
        f'<span class="fk-bar-name">{name}</span><span class="fk-bar-value">{value}</span>'
        f'<span class="fk-bar" aria-hidden="true"><i style="width:{100 * share:.1f}%"></i></span>'
    )


def _pickable(name: str, value: float, marks: str, *, chosen: bool) -> str:
    inner = _bar(dish(name), percent(value), value)
    hint = "Maps now show the evidence for this dish" if chosen else "Show the evidence for this dish"
    pressed = "true" if chosen else "false"
    return (
        f'<li><button type="button" class="fk-answer{marks}" data-pick="{text(name)}" aria-pressed="{pressed}" '
        f'title="{hint}">{inner}</button></li>'
    )


def facts(rows: Iterable[tuple[str, str]], *, classes: str = "fk-facts") -> str:
    """Names and values (both HTML) in two columns."""
    inner = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f'<dl class="{classes}">{inner}</dl>'


def number(value: str, name: str, explained: str) -> str:
    """One figure in large type with its name and what it means (HTML)."""
    return f'<div class="fk-number"><b>{value}</b><span>{name}</span><small>{explained}</small></div>'


def tag(network: str) -> str:
    """The network's name in its colour."""
    return f'<span class="fk-tag fk-{network}">{text(TITLES[network])}</span>'


def scale_of(view: View, activation_map: ActivationMap, together: Sequence[ActivationMap]) -> render.Scale:
    """The scale that the visitor chose: of all maps shown together, or the map's own. Evidence against stays clear."""
    if view.scale == "own":
        return render.own_scale(activation_map, signed=False)
    return render.shared_scale(together, signed=False)


def scale_bar(scale: render.Scale, *, label: str = "") -> str:
    """The colours with their numbers, and in words whether two pictures may be compared by them."""
    stops = ", ".join("#{:02x}{:02x}{:02x}".format(*row) for row in colour_table(scale.colormap)[::32])
    low, high = (render.number(value).replace("-", "\N{MINUS SIGN}") for value in (scale.low, scale.high))
    colours = f'<i style="background:linear-gradient(90deg, {stops})" aria-hidden="true"></i>'
    words = f"<small>{text(label or scale.label)}</small>"
    return f'<div class="fk-scale"><span>{low}</span>{colours}<span>{high}</span>{words}</div>'


def where(activation_map: ActivationMap) -> str:
    """Where in the photo a map is strongest, in words."""
    row, column = np.unravel_index(int(activation_map.values.argmax()), activation_map.grid)
    rows, columns = activation_map.positions
    down = ("at the top", "in the middle", "at the bottom")[min(2, int(3 * rows[row]))]
    across = ("left", "centre", "right")[min(2, int(3 * columns[column]))]
    return f"{down}, {across}"


def map_alt(activation_map: ActivationMap, class_name: str | None = None) -> str:
    """A map for people who can't see it."""
    of = f" for {class_name}" if class_name and activation_map.class_index is not None else ""
    what = "Evidence map" if activation_map.kind == "iam" else "Activation map"
    return f"{what} of the {TITLES[activation_map.network].lower()}{of}: strongest {where(activation_map)}"
