"""The panels of "The test set": right and wrong, dishes, mix-ups, photos, and how far confidence can be believed."""

from dataclasses import replace

import numpy as np

from foodkd.explain import readable
from foodkd.explain.answers import QUADRANTS, Answers, Confusion, Reliability, Selection, margin
from foodkd.ui import charts
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH
from foodkd.ui.testset_board import SETS, Choices, Shelf
from foodkd.ui.testset_rows import Listing, photo_list, term

CELLS = {
    "both": "Both are right",
    "teacher": "Only the teacher is right",
    "student": "Only the student is right",
    "neither": "Neither is right",
}
MIXED_UP = 12  # pairs of dishes shown for each network
GAP, PHOTOS = "gap", "photos"


def missing(shelf: Shelf) -> str:
    """Which command makes the answers, where there are none."""
    where = shelf.path
    if where is None:
        return w.note("This pair was not loaded from a folder, so there is no file of what it answered on a test set.")
    folder = w.text(where.parent)
    command = f"python -m foodkd evaluate {folder} --data ROOT --answers {w.text(where)}"
    return w.note(
        "Nobody has written down yet what this pair answers on its test set. This command does, where ROOT is the "
        f'folder of the photos: <code class="fk-command">{command}</code>'
    )


# --- the head: accuracy, agreement, the 2 x 2


def head_panel(answers: Answers, choices: Choices) -> str:
    """One line of figures, each network's bar, and the four cells that filter everything below."""
    said = w.note(
        f"What {_networks_in_words(answers)} answered on {_what(answers)}, which took no part in the training. Press a "
        "cell, a dish or a mix-up: what lies below shows only those photos.",
        limits="People set the labels, and some are wrong or could as well be another dish; a network can be right "
        "about the dish and wrong by the label.",
    )
    if not answers.known.any():
        return f'<h3 class="fk-set-title">{_agree(answers)}</h3>{said}'
    rights = [f'the {_called(name)} <b class="fk-{name}">{_share(answers.accuracy(name))}</b>' for name in answers.top]
    line = f"Rightly named: by {', by '.join(rights)}. <span>{_agree(answers)}</span>"
    cells = f'<div class="fk-set-head">{_cells(answers, choices)}{_rates(answers)}</div>'
    return f'<h3 class="fk-set-title">{line}</h3>{said}{cells}'


def _networks_in_words(answers: Answers) -> str:
    third = " (and the same student, trained alone)" if "student-alone" in answers.top else ""
    return f"{w.term('teacher')} and {w.term('student')}{third}"


def _what(answers: Answers) -> str:
    name = w.text(SETS.get(answers.dataset, "your own folder" if answers.dataset == "folder" else answers.dataset))
    part = {"test": "test", "validation": "validation", "train": "training"}.get(answers.split, "")
    return f"{len(answers):,} {part} photos of {name}".replace("  ", " ")


def _agree(answers: Answers) -> str:
    return f"Teacher and student give the same answer to {_share(answers.agreement)}."


def _called(network: str) -> str:
    return {"student-alone": "student trained alone"}.get(network, network)


def _share(value: float) -> str:
    return w.percent(value, digits=1)


def _cells(answers: Answers, choices: Choices) -> str:
    """The 2 x 2, its rows the teacher, its columns the student."""
    known, chosen = int(answers.known.sum()), choices.selection.quadrant
    buttons = {}
    for name, rows in answers.quadrants().items():
        pressed = "true" if name == chosen else "false"
        buttons[name] = (
            f'<button type="button" class="fk-cell fk-cell-{name}" id="fk-cell-{name}" data-act="cell" '
            f'data-cell="{name}" aria-pressed="{pressed}"><b>{_share(len(rows) / known)}</b>'
            f"<span>{CELLS[name]}</span><small>{len(rows):,} photos</small></button>"
        )
    heads = [f'<span class="fk-cell-head">{w.tag("student")} {word}</span>' for word in ("right", "wrong")]
    sides = [f'<span class="fk-cell-side">{w.tag("teacher")} {word}</span>' for word in ("right", "wrong")]
    both, teacher, student, neither = (buttons[name] for name in QUADRANTS)
    inner = f"<span></span>{''.join(heads)}{sides[0]}{both}{teacher}{sides[1]}{student}{neither}"
    return f'<div class="fk-cells" role="group" aria-label="Right and wrong of teacher and student">{inner}</div>'


def _rates(answers: Answers) -> str:
    """A bar per network: right at once, and right among the first five."""
    rows = ""
    for name in answers.networks:
        first, among = answers.accuracy(name), answers.accuracy(name, 5)
        bar = (
            f'<i class="fk-rate-bar" aria-hidden="true"><s style="width:{100 * among:.1f}%"></s>'
            f'<b style="width:{100 * first:.1f}%"></b></i>'
        )
        words = f"<span>{_share(first)} at once</span><span>{_share(among)} among five</span>"
        rows += f'<div class="fk-rate fk-{name}">{w.tag(name)}{bar}<p>{words}</p></div>'
    off = 100 * margin(int(answers.known.sum()))
    note = f'<p class="fk-under">With so many photos a share is certain to about ± {off:.1f} points.</p>'
    return f'<div class="fk-rates">{rows}{note}</div>'


# --- the bar: what is chosen


def bar_panel(answers: Answers, choices: Choices) -> str:
    """How many photos are shown, what they were chosen by, and what can be done with them."""
    selection = choices.selection
    count = int(selection.mask(answers).sum())
    chips = ""
    if selection.quadrant:
        chips += _chip("cell", CELLS[selection.quadrant])
    if selection.label is not None:
        chips += _chip("label", f"it is {_name(answers, selection.label)}")
    if selection.answer is not None:
        network, given = selection.answer
        chips += _chip("answer", f"the {_called(network)} says {_name(answers, given)}")
    offers = ""
    if selection.label is not None:
        dish = w.text(answers.classes[selection.label])
        offers = (
            f'<button type="button" class="fk-plain" id="fk-make-class" data-act="dish" data-dish="{dish}">'
            f"Maps for {_name(answers, selection.label)}</button>"
        )
    see = '<button type="button" class="fk-plain" data-see="fk-testset-photos">See the photos</button>' if chips else ""
    csv = '<button type="button" class="fk-plain" id="fk-csv" data-act="csv">Download CSV</button>'
    shown = f"<b>{count:,}</b> of {len(answers):,} photos" if chips else f"All <b>{count:,}</b> photos"
    return f'<div class="fk-set-bar"><span role="status">{shown}</span>{chips}<span>{see}{offers}{csv}</span></div>'


def _chip(what: str, words: str) -> str:
    return (
        f'<button type="button" class="fk-chip" id="fk-chip-{what}" data-act="drop" data-drop="{what}" '
        f'aria-label="{words}: show all again">{words} <span aria-hidden="true">×</span></button>'
    )


def _name(answers: Answers, index: int) -> str:
    return w.text(readable(answers.classes[index]))


# --- accuracy per dish


def classes_panel(answers: Answers, choices: Choices) -> str:
    """Every dish with the share that each network names rightly; sortable, and each a filter."""
    if not answers.known.any():
        return ""
    counts = answers.class_counts()
    off = 100 * margin(int(np.median(counts[counts > 0])))
    said = w.note(
        "Of the photos of each dish, the share that each network names rightly.",
        limits=f"With {int(np.median(counts[counts > 0]))} photos of a dish, its share is certain only to about "
        f"± {off:.0f} points.",
    )
    heads = "".join(_sort_head(key, title, choices) for key, title in _columns(answers).items())
    shares = {name: answers.class_accuracy(name) for name in answers.networks}
    inside = answers.class_counts(_without_label(choices).mask(answers))
    order = class_order(answers, choices)
    rows = "".join(_class_row(answers, choices, i, {n: float(v[i]) for n, v in shares.items()}, inside) for i in order)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h3>Dish by dish</h3>{said}{_scroller(table, 'Accuracy of each dish')}"


def _scroller(inner: str, label: str) -> str:
    return f'<div class="fk-scroller" role="region" aria-label="{label}" tabindex="0">{inner}</div>'


def _without_label(choices: Choices) -> Selection:
    """What is chosen but for the dish: the table shows all dishes."""
    return replace(choices.selection, label=None, answer=None)


def _columns(answers: Answers) -> dict[str, str]:
    """Sortable columns: key -> title."""
    third = {"student-alone": "alone"} if "student-alone" in answers.networks else {}
    return {"class": "dish", "teacher": "teacher", "student": "student", GAP: "gap", **third, PHOTOS: "photos"}


def class_order(answers: Answers, choices: Choices) -> list[int]:
    """Class indices in the order that the table shows; classes without photos come last."""
    key = choices.sort if choices.sort in _columns(answers) else "class"
    names = [readable(name).casefold() for name in answers.classes]
    if key == "class":
        return sorted(range(len(names)), key=names.__getitem__, reverse=choices.falling)
    if key == GAP:
        values = answers.class_accuracy("teacher") - answers.class_accuracy("student")
    elif key == PHOTOS:
        values = answers.class_counts(_without_label(choices).mask(answers)).astype(float)
    else:
        values = answers.class_accuracy(key)
    signed = -values if choices.falling else values
    return sorted(range(len(names)), key=lambda i: (np.isnan(values[i]), signed[i], names[i]))


def _sort_head(key: str, title: str, choices: Choices) -> str:
    state = "none" if key != choices.sort else "descending" if choices.falling else "ascending"
    arrow = {"none": "", "ascending": " ↑", "descending": " ↓"}[state]
    button = f'<button type="button" id="fk-sort-{key}" data-act="sort" data-sort="{key}">{title}{arrow}</button>'
    track = '<td class="fk-track-cell"><small>0 to 100&#8239;%</small></td>' if key == "class" else ""
    return f'<th scope="col" aria-sort="{state}">{button}</th>{track}'


def _class_row(answers: Answers, choices: Choices, index: int, shares: dict[str, float], inside: np.ndarray) -> str:
    total = int((answers.labels == index).sum())
    chosen = index == choices.selection.label
    pressed = "true" if chosen else "false"
    name = (
        f'<th scope="row"><button type="button" id="fk-dish-{index}" data-act="label" data-label="{index}" '
        f'aria-pressed="{pressed}">{_name(answers, index)}</button></th>'
    )
    narrowed = int(inside[index]) != total or bool(choices.selection.quadrant)
    count = f"{int(inside[index])}<small> of {total}</small>" if narrowed else f"{total}"
    if not total:
        cells = "<td>–</td>" * (len(shares) + 1)
        return f"<tr>{name}<td></td>{cells}<td>0</td></tr>"
    gap = w.signed(100 * (shares["teacher"] - shares["student"]), digits=0)
    own = {n: f'<td class="fk-{n}">{100 * share:.0f}</td>' for n, share in shares.items()}
    third = own.get("student-alone", "")
    mark = ' class="fk-chosen"' if chosen else ""
    cells = f"{own['teacher']}{own['student']}<td>{gap}</td>{third}<td>{count}</td>"
    return f'<tr{mark}>{name}<td class="fk-track-cell">{_track(shares)}</td>{cells}</tr>'


def _track(shares: dict[str, float]) -> str:
    """The networks' shares as marks on one line, dot and diamonds as everywhere."""
    low, high = sorted((shares["teacher"], shares["student"]))
    line = f'<s style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></s>'
    marks = "".join(f'<i class="fk-{n}" style="left:{100 * share:.1f}%"></i>' for n, share in reversed(shares.items()))
    return f'<span class="fk-track" aria-hidden="true">{line}{marks}</span>'


# --- who takes what for what


def pairs_panel(answers: Answers, choices: Choices) -> str:
    """The dishes that each network mixes up most, side by side; each is a filter."""
    if not answers.known.any():
        return ""
    chosen = replace(choices.selection, answer=None).mask(answers)
    found = {name: answers.confusions(name, chosen)[:MIXED_UP] for name in BOTH}
    top = max((pair.count for pairs in found.values() for pair in pairs), default=1)
    lists = "".join(_pair_list(answers, choices, name, pairs, top) for name, pairs in found.items())
    said = w.note(
        "What is taken for what, most photos first: <b>dish</b> → answer.",
        limits="A mix-up both share speaks for dishes that look alike, or for labels that could be either.",
    )
    return f'<h3>Mix-ups</h3>{said}<div class="fk-mixups">{lists}</div>'


def _pair_list(answers: Answers, choices: Choices, network: str, pairs: list[Confusion], top: int) -> str:
    items = "".join(_pair(answers, choices, network, pair, top) for pair in pairs)
    inner = f"<ol>{items}</ol>" if items else '<p class="fk-none">None among these photos.</p>'
    return f'<section class="fk-{network}"><p class="fk-label">{w.tag(network)}</p>{inner}</section>'


def _pair(answers: Answers, choices: Choices, network: str, pair: Confusion, top: int) -> str:
    selection = choices.selection
    pressed = selection.label == pair.label and selection.answer == (network, pair.answer)
    return (
        f'<li><button type="button" class="fk-mixup" id="fk-mix-{network}-{pair.label}-{pair.answer}" '
        f'data-act="answer" data-network="{network}" data-label="{pair.label}" data-answer="{pair.answer}" '
        f'aria-pressed="{"true" if pressed else "false"}"><span><b>{_name(answers, pair.label)}</b> → '
        f"{_name(answers, pair.answer)}</span><em>{pair.count}</em>"
        f'<span class="fk-bar" aria-hidden="true"><i style="width:{100 * pair.count / top:.1f}%"></i></span>'
        "</button></li>"
    )


# --- the photos


def photos_panel(shelf: Shelf, answers: Answers, choices: Choices) -> str:
    """The chosen photos, those that divide teacher and student most first."""
    rows = answers.by_disagreement(choices.selection.mask(answers))
    here = shelf.desk.data is not None and any(shelf.photo(int(row)) for row in rows[:3])
    without = "" if here else " To see the photos, start the app with <code>--data ROOT</code>."
    opens = " Press a photo to open it on the first tab." if here else ""
    said = w.note(
        f"Where {term('disagreement', 'teacher and student disagree')} most comes first.{opens}{without}",
        limits="Disagreement says that at least one of them is unsure or wrong, not which.",
    )
    listing = Listing(answers, rows, choices.page, shelf.thumbnail, lambda row: shelf.photo(row) is not None, "set")
    return f'<h3 id="fk-testset-photos" tabindex="-1">Photo by photo</h3>{said}{photo_list(listing)}'


# --- reliability


def reliability_panel(answers: Answers, choices: Choices) -> str:
    """Of answers given with a certain confidence, how many are right; per network, over all photos or one dish's."""
    if not answers.known.any():
        return ""
    label = choices.selection.label
    chosen = None if label is None else answers.labels == label
    of = "all photos" if label is None else f"the photos of {_name(answers, label)}"
    figures = "".join(_diagram(name, answers.reliability(name, chosen)) for name in BOTH)
    said = w.note(
        f"Over {of}: of answers given with the confidence below, the share that is right. Bars as high as the dashed "
        "line would mean that the confidence can be taken at its word; the short line in a bar is its mean confidence.",
        limits="That holds over many photos; it says nothing about a single one, nor about photos unlike these. Few "
        "photos in a bar, and its height means little. The cells above don’t filter it: among answers that are all "
        "right there is nothing to compare.",
    )
    return f'<h3>Can the confidence be believed?</h3>{said}<div class="fk-reliabilities">{figures}</div>'


def _diagram(network: str, found: Reliability) -> str:
    words = (
        f"Reliability of the {network}: expected calibration error {found.ece:.3f} over {found.counts.sum():,} photos."
    )
    ece = f"{term('ece', 'calibration error')} <b>{found.ece:.3f}</b>" if found.counts.any() else "no photo"
    caption = f'<figcaption>{w.tag(network)}<span class="fk-arch">{ece}</span></figcaption>'
    drawn = charts.reliability_chart(network, found, words)
    return f'<figure class="fk-figure">{caption}{drawn}{_numbers(network, found)}</figure>'


def _numbers(network: str, found: Reliability) -> str:
    """The same as a table, for those who can't see the chart or want the figures."""
    rows, bins = "", len(found.counts)
    for place in range(bins):
        if found.counts[place]:
            between = f"{100 * place / bins:.0f}–{100 * (place + 1) / bins:.0f}&#8239;%"
            cells = f"<td>{_share(float(found.confidence[place]))}</td><td>{_share(float(found.accuracy[place]))}</td>"
            rows += f'<tr><th scope="row">{between}</th>{cells}<td>{found.counts[place]:,}</td></tr>'
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("confidence", "its mean", "right", "photos"))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<details class="fk-bins"><summary>The figures of the {network}</summary>{table}</details>'


__all__ = [
    "CELLS",
    "bar_panel",
    "class_order",
    "classes_panel",
    "head_panel",
    "missing",
    "pairs_panel",
    "photos_panel",
    "reliability_panel",
]
