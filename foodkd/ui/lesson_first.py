"""Step 1 of the lesson: a photo on which two networks disagree. Nothing is given away before the reveal."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foodkd.explain import render
from foodkd.explain.soft_labels import jensen_shannon, most_different
from foodkd.ui import widgets as w
from foodkd.ui.compare import example_of
from foodkd.ui.lesson_board import Board, Choices, asking
from foodkd.ui.session import View

PAIRS = (("teacher", "student"), ("student", "student-alone"))
GUESSES = ("first", "second", "neither")
ROLES = {
    "teacher": ("The large network", "the teacher"),
    "student": ("The small network", "the student, which learned with the large one"),
    "student-alone": ("Its twin", "the same small network, which learned alone"),
}


@dataclass(frozen=True)
class Question:
    """A photo, two networks that answer it differently, and what each says; `key` names it and gives nothing away."""

    key: str
    name: str
    networks: tuple[str, str]
    apart: float
    answers: tuple[int, int]
    dish: int

    @property
    def truth(self) -> str:
        """Who is right: one of `GUESSES`."""
        right = [answer == self.dish for answer in self.answers]
        return "first" if right[0] else "second" if right[1] else "neither"


def questions(board: Board) -> list[Question]:
    """The most striking disagreement over each example, those that somebody wins first; none while answers lack."""
    if board.unanswered:
        return []
    found: dict[str, Question] = {}
    for first, second in PAIRS:
        a, b = board.answers(first), board.answers(second)
        if a is None or b is None or not len(a):
            continue
        for index in most_different(a, b):
            both = int(a[index].argmax()), int(b[index].argmax())
            apart = jensen_shannon(a[index], b[index])
            name = board.names[index]
            if both[0] != both[1] and (name not in found or apart > found[name].apart):
                found[name] = Question(f"{second}-{index}", name, (first, second), apart, both, board.dishes[name])
    return sorted(found.values(), key=lambda question: (question.truth == "neither", -question.apart))


def panel(board: Board, view: View, choices: Choices) -> str:
    """The question, or its answer, or the wait for the networks."""
    if board.unanswered and board.names:
        left = board.desk.names(alone=True)
        title = w.TITLES[board.unanswered].lower()
        done = left.index(board.unanswered)
        words = f"Looking for a photo that they disagree on: the {title} looks at {len(board.names)} meals"
        return asking("examples", f"{words} ({done + 1} of {len(left)}) …")
    # The page's own headline says what both answered to the photo at hand: that one is no riddle.
    own = example_of(view)
    open_ones = [q for q in questions(board) if q.name != own or q.key in choices.revealed]
    if not open_ones:
        return w.note("These networks give the same first answer to every example: go on with step 2.")
    question = next((q for q in open_ones if q.key == choices.quiz), open_ones[0])
    other = open_ones[(open_ones.index(question) + 1) % len(open_ones)]
    shown = _revealed if question.key in choices.revealed else _riddle
    return shown(board, view, question, choices.guesses.get(question.key, "")) + _another(question, other)


def _another(question: Question, other: Question) -> str:
    if other == question:
        return ""
    button = f'<button type="button" id="fk-quiz" class="fk-plain" data-act="quiz" data-quiz="{w.text(other.key)}">'
    return f'<p class="fk-more">{button}Another disagreement</button></p>'


def _riddle(board: Board, view: View, question: Question, guess: str) -> str:
    """The photo and the guess: no answer, no dish, no picture description that names it."""
    photo = board.photos[question.name]
    image = w.picture(render.canvas(photo.square, 448), "A meal; it is described after the reveal")
    first, second = (ROLES[name] for name in question.networks)
    choices = [("first", f"{first[0]} is right", first[1]), ("second", f"{second[0]} is right", second[1])]
    choices.append(("neither", "Neither is right", "two networks, two mistakes"))
    buttons = ""
    for value, words, small in choices:
        pressed = str(value == guess).lower()
        buttons += (
            f'<button type="button" id="fk-guess-{value}" data-act="guess" data-guess="{value}" '
            f'data-quiz="{w.text(question.key)}" aria-pressed="{pressed}"><b>{words}</b><small>{small}</small></button>'
        )
    said = w.note(
        "One photo, two networks, and they do <b>not</b> say the same. Who is right? Guess first, then reveal."
    )
    reveal = (
        f'<button type="button" id="fk-reveal" class="fk-strong" data-act="reveal" '
        f'data-reveal="{w.text(question.key)}">Reveal</button>'
    )
    group = f'<div class="fk-guesses" role="group" aria-label="Your guess">{buttons}{reveal}</div>'
    return f'{said}<div class="fk-riddle">{w.figure(image)}{group}</div>'


def _revealed(board: Board, view: View, question: Question, guess: str) -> str:
    desk, example = board.desk, board.desk.examples[question.name]
    image = w.picture(render.canvas(board.photos[question.name].square, 448), example.alt)
    caption = f"Made as {w.dish(example.dish)}"
    cards = "".join(_card(board, question, index) for index in (0, 1))
    use = (
        f'<button type="button" id="fk-take" class="fk-plain" data-act="photo" data-photo="{w.text(question.name)}">'
        "Take this photo through the next steps</button>"
    )
    said = f'<p class="fk-verdict-line" role="status">{_judged(question, guess)} {_said(desk.name, question)}</p>'
    meaning = w.note(
        "An answer is not one word: each network gives <b>every</b> dish a share of 100&#8239;%. "
        f"Compare the lists, not only their first lines. {_apart(question.apart)}",
        limits="One photo proves nothing about which network is better: for that, thousands are counted.",
    )
    taken = "" if example_of(view) == question.name else f"<p>{use}</p>"
    inner = f'<div class="fk-answers-two">{cards}</div>{meaning}{taken}'
    return f'{said}<div class="fk-riddle">{w.figure(image, caption)}<div>{inner}</div></div>'


def _apart(value: float) -> str:
    how = "0: the same list; 1: nothing in common (Jensen-Shannon divergence, in bits)."
    return f'They lie <span class="fk-term" tabindex="0" data-tip="{how}">{value:.2f} of 1 apart</span>.'


def _judged(question: Question, guess: str) -> str:
    if not guess:
        return ""
    return "<b>You guessed it.</b>" if guess == question.truth else "<b>Not what you guessed.</b>"


def _said(name_of: Callable[[int], str], question: Question) -> str:
    says = [
        f"{ROLES[network][0]} says <em>{w.text(name_of(answer))}</em>"
        for network, answer in zip(question.networks, question.answers, strict=True)
    ]
    ends = {"first": f"{ROLES[question.networks[0]][0]} is right.", "neither": "Neither is right."}
    ends["second"] = f"{ROLES[question.networks[1]][0]} is right."
    return f"{says[0]}, {says[1][0].lower()}{says[1][1:]}. {ends[question.truth]}"


def _card(board: Board, question: Question, index: int) -> str:
    network = question.networks[index]
    row = board.answers(network)
    assert row is not None
    probabilities = row[board.names.index(question.name)]
    best = np.argsort(-probabilities, kind="stable")[:5]
    top = [(board.desk.pair.classes[i], float(probabilities[i])) for i in best]
    mark = '<span class="fk-mark">✓ right</span>' if question.answers[index] == question.dish else ""
    chosen = board.desk.pair.classes[question.dish]
    listed = w.bars(top, chosen=chosen, label=f"{w.TITLES[network]}: first five answers", compact=True)
    return f'<section class="fk-card fk-{network}"><header>{w.tag(network)}{mark}</header>{listed}</section>'
