"""Tab 5: what its steps say before and after, and that they say the numbers of the code below them."""

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from foodkd.distill.terms import photo_terms
from foodkd.explain.ablation import Ablation, summary
from foodkd.explain.playback import Playback
from foodkd.explain.soft_labels import entropy, soft_labels
from foodkd.nets import Pair
from foodkd.ui import lesson, lesson_first, lesson_soft
from foodkd.ui.charts import percent_axis, with_marker
from foodkd.ui.handout import handout
from foodkd.ui.lesson_board import Board, Choices
from foodkd.ui.lesson_training import _epochs
from foodkd.ui.session import BOTH, Desk, Example, View, read_examples


def known_examples(pair: Pair) -> tuple[Example, ...]:
    """The shipped pictures under the names of dishes that the tiny pair knows."""
    given = read_examples()[:4]
    return tuple(replace(one, dish=dish) for one, dish in zip(given, pair.classes, strict=False))


@pytest.fixture(scope="module")
def three(tiny_pair: Pair) -> Pair:
    """The tiny pair with a twin of the student: its own networks, the teacher standing in for the twin."""
    networks = tiny_pair.networks | {"student-alone": tiny_pair.networks["teacher"]}
    settings = tiny_pair.settings | {"student-alone": tiny_pair.settings["teacher"]}
    parts = tiny_pair.classes, tiny_pair.preprocessing, networks, settings, tiny_pair.auxiliary, tiny_pair.temperatures
    return Pair(*parts, tiny_pair.info)


@pytest.fixture(scope="module")
def board(three: Pair) -> Board:
    desk = Desk(three, known_examples(three))
    board = Board(desk)
    assert board.unanswered == "teacher"
    while board.unanswered:
        board.work("examples", desk.opening(), Choices())
    # Two photos on which they differ, whatever the random weights say.
    k = len(three.classes)
    board._examples["teacher"] = np.eye(k)[[0, 1, 2, 3]] * 0.9 + 0.1 / k
    board._examples["student"] = np.eye(k)[[0, 2, 2, 0]] * 0.9 + 0.1 / k
    board._examples["student-alone"] = np.eye(k)[[1, 2, 2, 0]] * 0.6 + 0.4 / k
    return board


@pytest.fixture
def view(board: Board) -> View:
    return board.desk.opening()


def at(view: View, **choices: Any) -> View:
    return view.keeping("lesson", Choices(**choices))


def asks(panel: str) -> bool:
    return "data-ask" in panel


# --- 1: two answers


def test_the_networks_look_one_by_one_and_only_when_asked(three: Pair) -> None:
    desk = Desk(three, known_examples(three))
    board, view = Board(desk), desk.opening()
    for name in ("teacher", "student", "student-alone"):
        panel = lesson.lesson_panel(board, view)
        assert asks(panel) and board.unanswered == name and name.split("-")[0] in panel
        board.work("examples", view, Choices())
        answers = board.answers(name)
        assert answers is not None
        np.testing.assert_array_equal(answers[0], desk.answer(view.photo, name).probabilities)
    assert not asks(lesson.lesson_panel(board, view))


def test_the_questions_are_the_disagreements_and_those_with_a_winner_come_first(board: Board) -> None:
    found = lesson_first.questions(board)
    names = list(board.desk.examples)
    assert [question.name for question in found] == [names[1], names[3], names[0]]
    assert [question.truth for question in found] == ["first", "first", "first"]
    assert found[0].apart > 0.5 and found[2].networks == ("student", "student-alone")
    neither = replace(found[0], dish=3)
    assert neither.truth == "neither" and replace(found[0], dish=2).truth == "second"


def test_nothing_is_given_away_before_the_reveal(board: Board, view: View) -> None:
    question = lesson_first.questions(board)[0]
    example = board.desk.examples[question.name]
    secrets = [example.alt, example.title, example.name, *board.desk.pair.classes]
    secrets += [board.desk.name(index) for index in range(len(board.desk.pair.classes))]
    riddle = re.sub(r'src="[^"]*"', "", lesson_first.panel(board, view, Choices()))
    assert not [secret for secret in secrets if secret in riddle] and "%" not in riddle
    guessed = Choices(quiz=question.key, guesses={question.key: "first"})
    assert 'data-guess="first" data-quiz="' in lesson_first.panel(board, view, guessed)
    assert re.search(r'data-guess="first"[^>]*aria-pressed="true"', lesson_first.panel(board, view, guessed))
    opened = lesson_first.panel(board, view, replace(guessed, revealed=frozenset({question.key})))
    assert html.escape(example.alt) in opened and "You guessed it." in opened and opened.count("✓ right") == 1
    wrong = Choices(quiz=question.key, guesses={question.key: "neither"}, revealed=frozenset({question.key}))
    assert "Not what you guessed." in lesson_first.panel(board, view, wrong)


def test_the_photo_whose_answers_stand_in_the_headline_is_no_riddle(board: Board, view: View) -> None:
    question = lesson_first.questions(board)[0]
    own = view.change(photo=board.desk.example(question.name))
    assert f'data-reveal="{question.key}"' in lesson_first.panel(board, view, Choices())
    assert question.key not in lesson_first.panel(board, own, Choices())
    opened = lesson_first.panel(board, own, Choices(quiz=question.key, revealed=frozenset({question.key})))
    assert "data-photo" not in opened and "apart" in opened


# --- 2: soft labels


def test_the_bars_are_the_soft_labels_of_the_raw_logits(board: Board, view: View) -> None:
    panel = lesson_soft.panel(board, view, Choices())
    logits = {name: board.desk.answer(view.photo, name).logits for name in BOTH}
    sent = json.loads(html.unescape(re.search(r'data-soft="(.*?)"', panel).group(1)))  # type: ignore[union-attr]
    for name in BOTH:
        np.testing.assert_array_equal(np.array(sent[name], np.float32), logits[name])
        shares = soft_labels(logits[name], 1.0)
        for share in shares:
            assert lesson_soft.shown_share(float(share)) in panel
        assert f'data-entropy="{name}">{entropy(shares):.2f}<' in panel
    assert "1.250 (teacher) and 1.500 (student)" in panel and 'data-class="rest"' not in panel


# --- 3: the loss


def test_the_terms_are_shown_once_they_are_measured(board: Board, view: View) -> None:
    own = board.desk.class_index(view)
    third = at(view, step=3)
    assert asks(lesson.lesson_panel(board, third))
    board.work("terms", third, lesson.choices_of(third))
    panel = lesson.lesson_panel(board, third)
    expected = photo_terms(board.desk.pair, view.photo.small, own)
    assert not asks(panel) and "<small>was" not in panel
    for term in expected.terms:
        row = panel.split(f'data-term="{term.name}"')[1].split("</tr>")[0]
        assert f">{term.value:.3f}<" in row and f">{term.part:.3f}<" in row
    assert f">{expected.loss:.3f}<" in panel and "KL(T ‖ S) + 0.1 · KL(S ‖ T)" in panel


def test_another_label_holds_for_this_photo_and_class_only(board: Board, view: View) -> None:
    own = board.desk.class_index(view)
    other = (own + 1) % len(board.desk.pair.classes)
    data = {"label": board.desk.pair.classes[other]}
    choices = lesson.chosen(board, view, Choices(step=3), "label", data)
    assert board.label(view, choices) == other
    board.work("terms", view, choices)
    panel = lesson.lesson_panel(board, view.keeping("lesson", choices))
    made = board.dishes[next(iter(board.desk.examples))]
    assert ('id="fk-made-label"' in panel) == (made not in (own, other)) and 'id="fk-own-label"' in panel
    kd = panel.split('data-term="kd"')[1].split("</tr>")[0]
    assert "unchanged" in kd and "<small>was" in panel.split('data-term="ce_student"')[1].split("</tr>")[0]
    pick = next(i for i in range(len(board.desk.pair.classes)) if i != own)
    assert board.label(view.change(choice=board.desk.pair.classes[pick]), choices) == pick
    photo = board.desk.example(list(board.desk.examples)[1])
    changed = view.change(photo=photo)
    assert board.label(changed, choices) == board.desk.class_index(changed)


# --- 4: the training


@pytest.fixture(scope="module")
def playback(three: Pair) -> Playback:
    """Two points of a made-up training of two examples, as arrays of the right shapes."""
    random = np.random.default_rng(0)
    maps = {"teacher": random.normal(size=(2, 2, 2, 2)), "student": random.normal(size=(2, 2, 4, 4))}
    shares = {name: random.random((2, 2)) for name in BOTH}
    return Playback(
        classes=three.classes,
        examples=tuple(one.name for one in known_examples(three)[:2]),
        dishes=np.array([0, 1]),
        epochs=np.array([0.5, 1.0]),
        maps=maps,
        answers={name: np.array([[1, 1], [0, 1]]) for name in BOTH},
        sure=shares,
        dish=shares,
        place={"teacher": np.array([15.5, 32.0, 64.0]), "student": np.array([7.5, 16.0, 64.0])},
        cosine=np.array([[0.1, 0.2], [0.3, -0.4]]),
        history={"kd": np.array([2.0, 1.0]), "teacher/top1": np.array([np.nan, 0.5]), "iam": np.array([np.nan] * 2)},
    )


@pytest.fixture
def beside(three: Pair, tiny_checkpoint: Path, tmp_path: Path) -> Board:
    """A board whose pair has a folder, for files beside it."""
    shutil.copy(tiny_checkpoint / "pair.json", tmp_path)
    parts = three.classes, three.preprocessing, three.networks, three.settings, three.auxiliary, three.temperatures
    return Board(Desk(Pair(*parts, three.info, tmp_path), known_examples(three)))


def test_without_a_playback_the_command_is_named(board: Board, view: View) -> None:
    assert "python -m benchmarks.playback RUN" in lesson.lesson_panel(board, at(view, step=4))


def test_the_training_is_played_back(beside: Board, view: View, playback: Playback) -> None:
    assert beside.desk.pair.path is not None
    playback.save(beside.desk.pair.path / "playback.npz")
    panel = lesson.lesson_panel(beside, at(view, step=4))
    first, last = panel.split('class="fk-point"')[1:3]
    assert " hidden>" in first.split("</div>")[0] and " hidden>" not in last.split("</div>")[0]
    assert "✗" in first and "✓" in last and "+0.10" in first and "+0.30" in last
    assert panel.count("data-stops") == 3 and "CE teacher" not in panel.split("fk-key")[1]
    assert panel.count('class="fk-key') == 1  # only KD is known at both points
    other = lesson.lesson_panel(beside, at(view, step=4, played=playback.examples[1]))
    assert "\N{MINUS SIGN}0.40" in other
    assert "had learned alone" not in panel and "together ·" not in panel  # nothing is known of that


def test_epochs_written_below_the_curves_do_not_run_into_each_other(playback: Playback) -> None:
    epochs = np.array([7.6, 8.1, 8.6, 14.0, 14.4, 14.8, 15.2])
    axis = _epochs(replace(playback, epochs=epochs))
    places = np.array([place for place, _ in axis.ticks])
    assert places[0] == 15.2 and set(places) <= set(epochs) and len(places) > 3
    assert np.all(places[:-1] - places[1:] > (axis.high - axis.low) / 8)


def test_a_playback_says_where_learning_alone_ended(beside: Board, view: View, playback: Playback) -> None:
    assert beside.desk.pair.path is not None
    history = playback.history | {"apart": np.array([1, np.nan])}
    replace(playback, history=history).save(beside.desk.pair.path / "playback.npz")
    panel = lesson.lesson_panel(beside, at(view, step=4))
    first, last = panel.split('class="fk-point"')[1:3]
    assert "Up to epoch 0.50 each had learned alone, from 1.00 on both together." in panel
    assert "Not this pair’s own" not in panel
    assert "each alone ·" in first and "together ·" not in first and "together ·" in last


def test_a_playback_of_another_training_says_so(beside: Board, view: View, playback: Playback) -> None:
    assert beside.desk.pair.path is not None
    replace(playback, other="that of <an older> pair").save(beside.desk.pair.path / "playback.npz")
    page = lesson.lesson_panel(beside, at(view, step=4))
    assert "Not this pair’s own training</b>, but that of &lt;an older&gt; pair." in page


def test_a_damaged_or_foreign_playback_closes_one_step_with_a_sentence(
    beside: Board, view: View, playback: Playback
) -> None:
    assert beside.desk.pair.path is not None
    path = beside.desk.pair.path / "playback.npz"
    path.write_text("no")
    assert "no readable playback" in lesson.lesson_panel(beside, at(view, step=4))
    replace(playback, classes=("a", "b", "c", "d")).save(path)
    panel = lesson.lesson_panel(beside, at(view, step=4))
    assert "other dishes" in panel and 'data-step="5"' in panel


def test_a_marker_stands_at_the_last_stop() -> None:
    axis = percent_axis("share")
    drawn = with_marker("<svg></svg>", axis, np.array([0.0, 1.0]))
    stops = re.search(r'data-stops="([\d.]+) ([\d.]+)" x1="([\d.]+)"', drawn)
    assert stops and float(stops[1]) < float(stops[2]) == float(stops[3])


# --- 5 and 6: what it bought, the handout

ROWS: list[dict[str, Any]] = [
    {"row": "student-alone", "title": "Student alone", "terms": ["ce"], "student": {"top1": [0.5, 0.52]}},
    {
        "row": "full",
        "title": "Every <term>",
        "terms": ["ce", "kd", "mld", "iam"],
        "share": 0.25,
        "student": {"top1": [0.55], "top5": [0.8]},
        "agreement": {"iam_cosine": [0.7], "iam_cosine_mismatched": [0.4]},
        "difference": {"to": "student-alone", "mean": 0.04, "low": -0.012, "high": 0.08},
    },
]


def test_the_ablation_is_a_table_with_what_the_seeds_allow(beside: Board, view: View) -> None:
    assert "python -m benchmarks.ablation" in lesson.lesson_panel(beside, at(view, step=5))
    assert beside.desk.pair.path is not None
    content = {"format": 1, "command": "python x", "made": "", "setting": "On few photos.", "rows": ROWS, "photos": 9}
    (beside.desk.pair.path / "ablation.json").write_text(json.dumps(content))
    panel = lesson.lesson_panel(Board(beside.desk), at(view, step=5))
    alone, full = (panel.split(f'data-row="{name}"')[1].split("</tr>")[0] for name in ("student-alone", "full"))
    assert "51.0" in alone and "± 1.4, 2 seeds" in alone and "points" not in alone
    assert "55.0" in full and "±" not in full and "+4.0 points" in full and "\N{MINUS SIGN}1.2 to +8.0" in full
    assert "&lt;term&gt;" in full and "unrelated: 0.40" in full
    parts = re.findall(r'scope="rowgroup">(.*?)</th></tr><tr data-row="(.*?)"', panel)
    assert parts == [("With all labels", "student-alone"), ("With 25 % of the labels", "full")]
    assert "\N{MINUS SIGN}2 to +8 points" in panel and "On few photos." in panel
    (beside.desk.pair.path / "ablation.json").write_text("{}")
    assert "no ablation that this foodkd reads" in lesson.lesson_panel(Board(beside.desk), at(view, step=5))


def test_tables_of_other_budgets_stand_below_on_one_scale(beside: Board, view: View) -> None:
    assert beside.desk.pair.path is not None
    gain = {"to": "student-alone", "mean": 0.1, "low": 0.05, "high": 0.131}
    few = {
        "command": "python y",
        "title": "2,000 steps",
        "setting": "More.",
        "rows": [ROWS[1] | {"share": 0.1, "difference": gain}],
    }
    all_labels = {"command": "python x", "title": "400 steps", "setting": "Fewer.", "rows": ROWS}
    content = {"format": 1, **all_labels, "also": [{"format": 1, **few}]}
    (beside.desk.pair.path / "ablation.json").write_text(json.dumps(content))
    panel = lesson.lesson_panel(Board(beside.desk), at(view, step=5))
    first, second = panel.split("<h4>2,000 steps</h4>")
    assert "<h4>400 steps</h4>" in first and "Fewer." in first and "More." in second
    assert re.findall(r'scope="rowgroup">(.*?)</th>', second) == ["With 10 % of the labels"]
    assert all("\N{MINUS SIGN}2 to +14 points" in part for part in (first, second))
    assert "python x" in second and "python y" in second
    few["title"] = "2,000 steps with 10 % of the labels"
    (beside.desk.pair.path / "ablation.json").write_text(json.dumps(content | {"also": [{"format": 1, **few}]}))
    panel = lesson.lesson_panel(Board(beside.desk), at(view, step=5))
    assert "rowgroup" not in panel.split(f"<h4>{few['title']}</h4>")[1]


def test_a_sentence_says_what_the_teacher_was_worth(beside: Board, view: View) -> None:
    assert beside.desk.pair.path is not None
    own = {"difference": _gap(0.026, 0.013, 0.04), "beyond_compute": _gap(-0.049, -0.064, -0.034)}
    own["beyond_compute"]["by_seed"] = [-0.049]  # fewer seeds than the row has
    few = {"difference": _gap(0.01, -0.004, 0.024), "share": 0.1}
    few |= {"teacher": {"top1": [0.4]}, "teacher_difference": _gap(0.02, 0.011, 0.031)}
    rows = [
        ROWS[0],
        ROWS[1] | own | {"share": 1.0, "beyond_one_way": _gap(0.004, -0.003, 0.012)},
        ROWS[1] | few,
    ]
    content = {"format": 1, "command": "python x", "setting": "On few photos.", "rows": rows}
    (beside.desk.pair.path / "ablation.json").write_text(json.dumps(content))
    panel = lesson.lesson_panel(Board(beside.desk), at(view, step=5))
    first, second = re.findall(r'<p class="fk-bought">(.*?)</p>', panel)
    assert first == (
        "With all labels, a student that learned with a teacher is right <b>2.6 points more often</b> than the same "
        "student alone (1.3 to 4.0), <b>4.9 points less often</b> than the student alone with as much compute (3.4 to "
        "6.4; one seed) and <b>as often</b>, as far as can be told, as the student of a frozen teacher "
        "(\N{MINUS SIGN}0.3 to +1.2 points)."
    )
    assert second.startswith("With 10 % of the labels, ") and second.count("as far as can be told") == 1
    assert "compute" not in second and "frozen" not in second  # what was not trained is not spoken of
    assert second.endswith(" Its teacher is right <b>2.0 points more often</b> than the teacher alone (1.1 to 3.1).")
    assert "+2.0 on itself alone</small><small>+1.1 to +3.1</small>" in panel


def test_a_sentence_says_what_the_terms_were_worth(beside: Board, view: View) -> None:
    assert beside.desk.pair.path is not None
    joint = {"row": "joint-kd", "title": "Joint", "terms": ["ce", "kd"], "share": 1.0}
    full = ROWS[1] | {"share": 1.0, "terms": ["ce", "kd", "mld", "iam"], "difference": _gap(0.03, 0.01, 0.05)}

    def said(low: float, high: float, to: str = "joint-kd") -> str:
        rows = [joint, full | {"beyond_joint": _gap((low + high) / 2, low, high) | {"to": to}}]
        content = {"format": 1, "command": "python x", "setting": "On few photos.", "rows": rows}
        (beside.desk.pair.path / "ablation.json").write_text(json.dumps(content))  # type: ignore[operator]
        (sentence,) = re.findall(
            r'<p class="fk-bought">(.*?)</p>', lesson.lesson_panel(Board(beside.desk), at(view, step=5))
        )
        return str(sentence)

    assert said(-0.01, 0.007).endswith(
        "To \N{LEFT DOUBLE QUOTATION MARK}Joint\N{RIGHT DOUBLE QUOTATION MARK} stages and places add <b>nothing "
        "that can be told</b> from chance (\N{MINUS SIGN}1.0 to +0.7 points)."
    )
    assert said(0.01, 0.03).endswith("a difference of <b>+2.0 points</b> (+1.0 to +3.0).")
    assert said(-0.03, -0.01).endswith(
        "a difference of <b>\N{MINUS SIGN}2.0 points</b> (\N{MINUS SIGN}3.0 to \N{MINUS SIGN}1.0)."
    )
    assert "stages and places" not in said(0.01, 0.03, to="another")  # a row that is not there can't be named


def _gap(mean: float, low: float, high: float) -> dict[str, Any]:
    return {"to": "another", "mean": mean, "low": low, "high": high}


def test_means_and_deviations_over_seeds() -> None:
    assert summary([]) is None
    assert summary([0.5]) == summary((0.5,)) and summary([0.5]).deviation is None  # type: ignore[union-attr]
    found = summary([1.0, 3.0])
    assert found is not None and (found.mean, found.deviation) == (2.0, pytest.approx(2**0.5))
    assert Ablation.model_validate({"format": 1, "command": "", "setting": "", "rows": ROWS}).rows[1].share == 0.25


def test_every_answer_changes_the_panel_so_that_the_browser_asks_on(beside: Board, view: View) -> None:
    board, seen = Board(beside.desk), set()
    while board.unanswered:
        seen.add(lesson.lesson_panel(board, at(view, step=5)))
        board.work("examples", view, lesson.choices_of(view))
    assert len(seen) == len(board.desk.names(alone=True))


def test_the_two_photos_are_those_of_the_largest_gain_and_loss(board: Board, view: View) -> None:
    panel = lesson.lesson_panel(board, at(view, step=5))
    titles = re.findall(r"<h5>(.*?): (.*?) <small>(.*?) points", panel)
    examples = list(board.desk.examples.values())
    gain = 0.925 - 0.1
    assert titles[0] == ("Helped most", examples[0].title, f"+{100 * gain:.1f}")
    assert titles[1][0] == "Hurt most" and titles[1][1] == examples[1].title


def test_the_handout_has_this_pairs_numbers_and_needs_nothing_else(board: Board, view: View) -> None:
    page = handout(board.desk.pair, board.desk.costs)
    assert "$" not in page and "http" not in page and "<script" not in page and "not measured" in page
    teacher = board.desk.costs["teacher"]["parameters"]
    assert f"{teacher / 1e6:.1f}&#8239;M" in page and "0.2 × stages apart" in page and "tiny" in page
    measured = Pair(
        **{name: getattr(board.desk.pair, name) for name in ("classes", "preprocessing", "networks", "settings")}
    )
    rates = {"photos": 1234, "teacher": {"top1": 0.4567}, "student": {"top1": 0.3}}
    measured.info = {"metrics": rates, "recipe": {"distill": {"mld": 0, "temperature": 4}}}
    other = handout(measured, board.desk.costs)
    assert "45.7&#8239;%" in other and "1,234 test photos" in other and "stages apart" not in other
    assert "In the training it was 4" in other
    sixth = lesson.lesson_panel(board, at(view, step=6))
    assert 'download="foodkd-lesson-tiny.html"' in sixth and "data:text/html;charset=utf-8;base64," in sixth


# --- events


def test_touches_change_the_choices_and_nonsense_does_not(board: Board, view: View) -> None:
    start, key = Choices(), lesson_first.questions(board)[1].key
    assert lesson.chosen(board, view, start, "step", {"step": "4"}).step == 4
    guessed = lesson.chosen(board, view, start, "guess", {"guess": "second", "quiz": key})
    assert guessed.guesses == {key: "second"} and guessed.quiz == key
    assert lesson.chosen(board, view, start, "reveal", {"reveal": key}).revealed == {key}
    assert lesson.chosen(board, view, start, "quiz", {"quiz": key}).quiz == key
    name = list(board.desk.examples)[2]
    assert lesson.chosen(board, view, start, "played", {"played": name}).played == name
    for act, value in [("step", "7"), ("step", "x"), ("guess", "first"), ("reveal", "r"), ("quiz", "q"),
                       ("played", "gruel"), ("label", "gruel"), ("fly", "1")]:  # fmt: skip
        assert lesson.chosen(board, view, start, act, {act: value}) == start


def test_the_tab_draws_keeps_and_opens(three: Pair) -> None:
    desk = Desk(three, known_examples(three))
    view, opened = desk.opening(), []
    bound: list[Any] = []
    with gr.Blocks():
        state, tab = gr.State(None), lesson.Tab(desk, view)
        tab.connect(
            lambda trigger, event, inputs=(), **options: bound.append(event),
            state,
            lambda view, photo, name: opened.append((photo, name)) or {},
        )
    assert bound == [tab.on_touch] and tab.all == [tab.panel]
    assert asks(tab.drawn(view)[tab.panel])
    touch = lambda **data: tab.on_touch(view, SimpleNamespace(_data=data))  # type: ignore[arg-type]  # noqa: E731
    stepped = touch(act="step", step="2")
    assert stepped[state].kept["lesson"].step == 2 and 'data-step="2"' in stepped[tab.panel]
    assert stepped[state].change(scale="own").kept == stepped[state].kept
    assert asks(touch(act="ask", ask="examples")[tab.panel]) and tab.board.unanswered == "student"
    touch(act="photo", photo=list(desk.examples)[1])
    assert opened[0][0].example.name == list(desk.examples)[1] and opened[0][1] == "lesson"
