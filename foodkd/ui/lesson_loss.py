"""Step 3 of the lesson: the terms of the objective for the photo at hand, computed by the training code itself."""

from foodkd.distill import DistillSettings
from foodkd.distill.terms import PhotoTerms, Term
from foodkd.ui import widgets as w
from foodkd.ui.compare import example_of
from foodkd.ui.lesson_board import Board, Choices, asking
from foodkd.ui.session import Desk, View

NAMES = {
    "ce_teacher": "Teacher’s error",
    "ce_student": "Student’s error",
    "kd": "Answers apart",
    "mld": "Stages apart",
    "iam": "Places apart",
}
SHORT = {"ce_teacher": "CE", "ce_student": "CE", "kd": "KD", "mld": "MLD", "iam": "IAM"}
ASKS = {
    "ce_teacher": "How surprised is the teacher by this label? 0: it was sure of it.",
    "ce_student": "How surprised is the student by it?",
    "kd": "How far do both softened lists of step 2 lie apart? No label is needed.",
    "mld": "What could each network answer from its half-done work, and do these answers differ?",
    "iam": "Do both find their evidence for this label in the same places of the photo?",
}
LATER = "The same, one stage later."


def panel(board: Board, view: View, choices: Choices) -> str:
    """The label to choose, and every term for it beside the page's own class."""
    label, own = board.label(view, choices), board.desk.class_index(view)
    said = w.note(
        "Training pushes one number down: the <b>loss</b>. It is a sum, and this is that sum for the photo at hand, "
        "worked out by the training code itself. Pretend another label, and see which terms care.",
        limits="It is one photo, at the end of the training; training averages over batches and over all photos.",
    )
    terms, before = board.terms(view, label), board.terms(view, own)
    if terms is None or before is None:
        body = asking("terms", "Running one training step without learning anything …")
    else:
        body = _table(board.desk, terms, before if own != label else None) + _missing(terms) + _sources()
    return f"{said}{_picker(board, view, label, own)}{body}"


def _picker(board: Board, view: View, label: int, own: int) -> str:
    """The labels, and short ways to the page's class and to the dish that an example was made as."""
    desk = board.desk
    options = "".join(
        f'<option value="{w.text(name)}"{" selected" if index == label else ""}>{w.text(desk.name(index))}</option>'
        for index, name in enumerate(desk.pair.classes)
    )
    select = f'<select id="fk-label" data-act="label" data-value="label">{options}</select>'
    back = _short_way(desk, "fk-own-label", own, "back to") if label != own else ""
    made = board.dishes.get(example_of(view))
    if made is not None and made not in (label, own):
        back += _short_way(desk, "fk-made-label", made, "made as")
    return f'<p class="fk-picker"><label for="fk-label">What if the label were</label>{select}{back}</p>'


def _short_way(desk: Desk, name: str, label: int, words: str) -> str:
    value = f'data-act="label" data-label="{w.text(desk.pair.classes[label])}"'
    return f'<button type="button" id="{name}" class="fk-plain" {value}>{words} {w.text(desk.name(label))}</button>'


def _table(desk: Desk, terms: PhotoTerms, before: PhotoTerms | None) -> str:
    old = {term.name: term for term in before.terms} if before else {}
    largest = max([abs(term.part) for term in (*terms.terms, *old.values())], default=0.0) or 1.0
    rows, kinds = "", set()
    for term in terms.terms:
        kind = term.name.split("/")[0]
        asks = LATER if kind in kinds else ASKS[kind]
        rows += _row(desk, term, old.get(term.name), terms.settings, largest, asks)
        kinds.add(kind)
    total = f"<span>{terms.loss:.3f}</span>{_was(terms.loss, before.loss if before else None)}"
    name = '<th scope="row">Loss<small>the sum</small></th>'
    foot = (
        f'<tr class="fk-total" data-term="loss">{name}<td></td><td></td><td data-name="part">{total}</td><td></td></tr>'
    )
    head = "<th>Term</th><th>Value</th><th>Weight</th><th>Part</th><td></td>"
    caption = f"The terms for the label {w.text(desk.name(terms.label))}"
    if before is not None:
        caption += f"; dashed, and in small print: for {w.text(desk.name(before.label))}"
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot>{foot}</tfoot>"
    return f'<div class="fk-loss"><table><caption>{caption}</caption>{body}</table></div>'


def _row(desk: Desk, term: Term, old: Term | None, settings: DistillSettings, largest: float, asks: str) -> str:
    kind = term.name.split("/")[0]
    stage = f", stage {int(term.name.split('/')[1]) + 1} of {desk.stages}" if "/" in term.name else ""
    formula = w.text(formula_of(term.name, settings))
    name = f'<b>{NAMES[kind]}</b> <span class="fk-term" tabindex="0" data-tip="{formula}">{SHORT[kind]}{stage}</span>'
    ghost = f'<s style="width:{_width(old, largest)}"></s>' if old else ""
    inner = f'<i style="width:{_width(term, largest)}"></i>{ghost}'
    bar = f'<span class="fk-loss-bar fk-{_side(kind)}" aria-hidden="true">{inner}</span>'
    part = f"<span>{term.part:.3f}</span>{_was(term.part, old.part if old else None)}"
    return (
        f'<tr data-term="{term.name}"><th scope="row">{name}<small>{asks}</small></th>'
        f'<td data-name="value">{term.value:.3f}</td><td data-name="weight">× {term.weight:.3g}</td>'
        f'<td data-name="part">{part}</td><td>{bar}</td></tr>'
    )


def _width(term: Term, largest: float) -> str:
    return f"{100 * max(0.0, term.part) / largest:.1f}%"


def _was(now: float, before: float | None) -> str:
    if before is None:
        return ""
    if f"{now:.3f}" == f"{before:.3f}":
        return "<small>unchanged</small>"
    return f"<small>was {before:.3f}</small>"


def _side(kind: str) -> str:
    return {"ce_teacher": "teacher", "ce_student": "student"}.get(kind, "both")


def formula_of(name: str, settings: DistillSettings) -> str:
    """A term's formula with this training's numbers in it, as plain text."""
    s, kind = settings, name.split("/")[0]
    both = f"KL(T ‖ S) + {s.towards_teacher:g} · KL(S ‖ T)" if s.towards_teacher else "KL(T ‖ S)"
    if kind.startswith("ce"):
        smoothing = s.teacher_smoothing if kind == "ce_teacher" else s.student_smoothing
        smooth = f", with label smoothing {smoothing:g}" if smoothing else ""
        return f"CE = −ln p(label){smooth}."
    if kind == "kd":
        return f"KD = τ² · [{both}], of both lists softened with τ = {s.temperature:g}."
    if kind == "mld":
        return (
            f"{s.mld_ce:g} · [CE(teacher’s stage) + CE(student’s stage)] + τ² · [{both}], τ = {s.temperature:g}, of "
            "the small classifiers here. Weight: that of MLD times that of the stage. Our reading of the paper."
        )
    ways = f", times {1 + s.towards_teacher:g} for both directions" if s.towards_teacher else ""
    return f"IAM = 1 − cosine of both maps of the label, each less its own mean{ways}. Our reading of the paper."


def _missing(terms: PhotoTerms) -> str:
    lines = "".join(f"<li>{SHORT[name]} is not shown: {w.text(reason)}.</li>" for name, reason in terms.missing)
    return f'<ul class="fk-limits">{lines}</ul>' if lines else ""


def _sources() -> str:
    return (
        '<details class="fk-sources"><summary>What the paper fixes, and what is our reading</summary><p>The paper’s '
        "abstract (Zhao, Yap and Kot, ICASSP 2021) says that both networks train at the same time, that they learn "
        "from each other at several layers (MLD), and from maps that depend on the photo’s label (IAM). The formulas "
        "of MLD and IAM, all weights and the temperature are this project’s reading: no code was published. KD is "
        "Hinton, Vinyals and Dean (2015), in both directions as in Zhang et al. (2018). Point at a short name in the "
        "table, or move to it with the Tab key, to read its formula.</p></details>"
    )
