"""The panels of "My photos": the progress, what was answered, and what could not be."""

import numpy as np

from foodkd.explain.answers import Answers
from foodkd.ui import widgets as w
from foodkd.ui.session import Desk
from foodkd.ui.testset_board import Choices, thumbnail
from foodkd.ui.testset_rows import Listing, photo_list, problems, term
from foodkd.ui.testset_uploads import FILE_BYTES, PHOTOS, Tray

INTRODUCTION = (
    "<h3>What do they say to my photos?</h3>"
    + w.note(
        "Drop photos here, or a zip of them: both networks answer each, and the photos that divide them most come "
        "first. In a zip, a folder that is called like a dish (<code>ramen/lunch.jpg</code>) names the right answer.",
        limits="Two answers that agree can still be wrong, above all on dishes that the networks never learned.",
    )
    + f'<p class="fk-under">At most {PHOTOS} photos at a time, {FILE_BYTES // 10**6} MB a file. An upload is deleted '
    "once it was read; a small picture of each photo stays for this visit only.</p>"
)


def answered_panel(desk: Desk, choices: Choices) -> str:
    """Nothing before the first upload; the progress while photos are read; then the list."""
    tray = choices.tray
    if tray is None:
        return ""
    said = problems(tray.problems)
    if tray.waiting:
        return _progress(tray) + said
    if tray.answers is None:
        return '<p class="fk-none" role="status">None of these files is a photo that could be answered.</p>' + said
    return f"{_summary(tray.answers)}{said}{_list(desk, tray, tray.answers, choices)}"


def _progress(tray: Tray) -> str:
    done = tray.total - tray.waiting
    words = f"Teacher and student have looked at {done} of {tray.total} photos …"
    bar = f'<progress max="{tray.total}" value="{done}" aria-label="Photos answered"></progress>'
    return f'<p class="fk-waiting" data-ask="{done}" role="status">{words}{bar}</p>'


def _summary(answers: Answers) -> str:
    same = round(answers.agreement * len(answers))
    photos = "1 photo" if len(answers) == 1 else f"{len(answers)} photos"
    line = f"{photos} answered; teacher and student say the same to {same}."
    known = int(answers.known.sum())
    if known:
        teacher, student = (round(answers.accuracy(name) * known) for name in ("teacher", "student"))
        line += f" Of {known} whose folder names a dish, the teacher is right on {teacher}, the student on {student}."
    csv = '<button type="button" class="fk-plain" id="fk-own-csv" data-act="csv">Download CSV</button>'
    return f'<div class="fk-own-head"><p role="status">{line}</p>{csv}</div>'


def _list(desk: Desk, tray: Tray, answers: Answers, choices: Choices) -> str:
    def small(row: int) -> str | None:
        return thumbnail(tray.kept[row].picture(), desk) if row < len(tray.kept) else None

    gone = "" if tray.kept else " The pictures of this upload had to make room for newer ones."
    opens = " Press a photo to open it on the first tab." if tray.kept else gone
    said = w.note(f"Where {term('disagreement', 'teacher and student disagree')} most comes first.{opens}")
    rows: np.ndarray = answers.by_disagreement()
    return said + photo_list(Listing(answers, rows, choices.own_page, small, lambda row: row < len(tray.kept), "own"))
