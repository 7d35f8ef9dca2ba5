"""Photos as a list, each with its two answers: of the test set and of a visitor's own alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from foodkd.explain import readable
from foodkd.explain.answers import UNKNOWN, Answers
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH
from foodkd.ui.testset_board import PAGE

TERMS = {
    "disagreement": "How differently the two networks spread their probability over all dishes (Jensen-Shannon "
    "divergence): 0 bits, the same; 1 bit, no dish in common.",
    "ece": "Expected calibration error: how far confidence and share of right answers lie apart, averaged over the "
    "bars by their photos. 0 is best.",
}


@dataclass(frozen=True)
class Listing:
    """What a list shows: the answers, which rows in which order, which page, and where its pictures come from.

    `thumbnail` gives a row's picture as a URL or None; `opens` tells whether pressing a row can open its photo.
    """

    answers: Answers
    rows: np.ndarray
    page: int
    thumbnail: Callable[[int], str | None]
    opens: Callable[[int], bool]
    key: str

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-len(self.rows) // PAGE))


def term(key: str, label: str) -> str:
    """A word of this tab that explains itself."""
    return f'<span class="fk-term" tabindex="0" data-tip="{w.text(TERMS[key])}">{label}</span>'


def photo_list(listing: Listing) -> str:
    """One page of the list, with its head and the ways to other pages."""
    page = min(listing.page, listing.pages - 1)
    shown = listing.rows[page * PAGE : (page + 1) * PAGE]
    if not len(shown):
        return '<p class="fk-none">No photo is like that.</p>'
    items = "".join(_item(listing, int(row)) for row in shown)
    truth = "<span>it is</span>" if listing.answers.known.any() else ""
    head = (
        f'<div class="fk-photo-head" aria-hidden="true"><span></span><span>photo</span>{truth}'
        f"<span>teacher says</span><span>student says</span><span>disagreement</span></div>"
    )
    known = "" if truth else " fk-unlabelled"
    ways = _ways(listing, page, len(shown))
    return f'<div class="fk-photo-list{known}">{head}<ol start="{page * PAGE + 1}">{items}</ol></div>{ways}'


def _item(listing: Listing, row: int) -> str:
    answers, url = listing.answers, listing.thumbnail(row)
    name = answers.ids[row]
    image = f'<img src="{url}" alt="" draggable="false">' if url else '<span class="fk-no-photo"></span>'
    cells = f'<span class="fk-thumb-small">{image}</span><span class="fk-id">{w.text(name)}</span>'
    label = int(answers.labels[row])
    if answers.known.any():
        said = "not known" if label == UNKNOWN else w.text(readable(answers.classes[label]))
        cells += f'<span class="fk-truth-cell"><small>it is </small>{said}</span>'
    cells += "".join(_answer(answers, network, row) for network in BOTH)
    bits = float(answers.divergence[row])
    bar = f'<i class="fk-bits" aria-hidden="true"><s style="width:{100 * bits:.1f}%"></s></i>'
    cells += f'<span class="fk-divergence">{bar}<span>{bits:.2f} bit</span></span>'
    if not listing.opens(row):
        return f'<li><div class="fk-photo-row">{cells}</div></li>'
    return (
        f'<li><button type="button" class="fk-photo-row" id="fk-{listing.key}-row-{row}" data-act="open" '
        f'data-row="{row}" title="Open this photo on the first tab">{cells}</button></li>'
    )


def _answer(answers: Answers, network: str, row: int) -> str:
    index, share = int(answers.top[network][row, 0]), float(answers.probabilities[network][row, 0])
    label = int(answers.labels[row])
    mark = ""
    if label != UNKNOWN:
        good = index == label
        words = "right" if good else "wrong"
        mark = f'<b class="fk-{words}" role="img" aria-label="{words}">{"✓" if good else "✗"}</b> '
    said = w.text(readable(answers.classes[index]))
    who = f"<small>{w.TITLES[network].lower()}: </small>"
    return f'<span class="fk-said fk-{network}">{who}{mark}{said} <em>{w.percent(share)}</em></span>'


def _ways(listing: Listing, page: int, shown: int) -> str:
    """Which photos these are, and the buttons for the page before and after."""
    first = page * PAGE + 1
    where = f"{first:,} to {first + shown - 1:,} of {len(listing.rows):,}"

    def way(target: int, words: str, name: str) -> str:
        off = "" if 0 <= target < listing.pages else " disabled"
        return (
            f'<button type="button" class="fk-plain" id="fk-{listing.key}-{name}" data-act="page" '
            f'data-page="{target}"{off}>{words}</button>'
        )

    before, after = way(page - 1, "← Before", "before"), way(page + 1, "Next →", "next")
    return f'<div class="fk-pages">{before}<span role="status">{where}</span>{after}</div>'


def problems(sentences: Sequence[str]) -> str:
    """What could not be answered, one sentence each; a long list opens on demand."""
    if not sentences:
        return ""
    items = "".join(f"<li>{w.text(sentence)}</li>" for sentence in sentences)
    title = "1 file was left out" if len(sentences) == 1 else f"{len(sentences)} remarks"
    opened = " open" if len(sentences) <= 5 else ""
    return f'<details class="fk-problems"{opened}><summary>{title}</summary><ul>{items}</ul></details>'
