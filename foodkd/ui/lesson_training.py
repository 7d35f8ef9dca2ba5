"""Step 4 of the lesson: the training played back on one example, evaluation by evaluation. The browser only turns."""

import numpy as np

from foodkd.explain import render
from foodkd.explain.playback import Playback
from foodkd.ui import charts
from foodkd.ui import widgets as w
from foodkd.ui.compare import example_of
from foodkd.ui.lesson_board import Board, Choices
from foodkd.ui.session import BOTH, View, data_uri

COMMAND = "python -m benchmarks.playback RUN --examples assets/examples --out CHECKPOINT/playback.npz"
SIDE = 300  # of a drawn map, pixels: some twenty of them are sent at once
TERMS = {"ce_teacher": "teacher", "ce_student": "student", "kd": "kd", "iam": "iam"}


def panel(board: Board, view: View, choices: Choices) -> str:
    """The pictures to choose from, both maps through the epochs, and the curves with their marker."""
    play = board.playback
    if play is None:
        words = "The training of this pair was not kept for playback. This command makes it from a run folder: "
        return w.note(f"{words}<code>{w.text(COMMAND)}</code>")
    names = [name for name in play.examples if name in board.names]
    if not names:
        return w.note("The training was kept for other pictures than the examples that are here; make it anew.")
    name = next((one for one in (choices.played, example_of(view)) if one in names), names[0])
    index = play.examples.index(name)
    said = w.note(
        f"Both maps for <b>{w.dish(play.classes[int(play.dishes[index])])}</b>, from the first evaluation to the last: "
        f"watch where they look, and when a first answer changes.{_until(play)}{_other(play)}",
        limits="A few evaluations of one training: another training of the same networks would take other turns.",
    )
    picker = _picker(board, names, name)
    frames = "".join(_frame(board, play, point, index) for point in range(len(play.epochs)))
    scale = w.scale_bar(_scale(play, index), label="one scale for both networks and all epochs, in logits")
    terms = _terms_chart(play)
    player = f'<div class="fk-player" data-points="{len(play.epochs)}">{frames}{_controls(play)}{scale}{terms}</div>'
    return f'{said}{picker}<div class="fk-played">{player}<div class="fk-history">{_charts(play, index)}</div></div>'


def _until(play: Playback) -> str:
    """Where the two began to learn together, if the playback shows them before."""
    if not play.apart.any() or play.apart.all():
        return ""
    before, after = play.epochs[play.apart].max(), play.epochs[~play.apart].min()
    return f" Up to epoch {before:.2f} each had learned alone, from {after:.2f} on both together."


def _other(play: Playback) -> str:
    """Whose training this is, where it is not this pair's own."""
    return f" <b>Not this pair’s own training</b>, but {w.text(play.other)}." if play.other else ""


def _picker(board: Board, names: list[str], chosen: str) -> str:
    buttons = ""
    for name in names:
        example = board.desk.examples[name]
        image = w.picture(render.canvas(board.photos[name].square, 96), example.alt)
        pressed = str(name == chosen).lower()
        buttons += (
            f'<button type="button" id="fk-played-{w.text(name)}" data-act="played" data-played="{w.text(name)}" '
            f'aria-pressed="{pressed}" title="{w.text(example.title)}">{image}</button>'
        )
    return f'<div class="fk-examples fk-played-picker" role="group" aria-label="Picture to follow">{buttons}</div>'


def _scale(play: Playback, index: int) -> render.Scale:
    maps = [play.iam(name, point, index) for name in BOTH for point in range(len(play.epochs))]
    return render.shared_scale(maps, signed=False)


def _frame(board: Board, play: Playback, point: int, index: int) -> str:
    """Both maps at one point; all but one are hidden."""
    figures = "".join(_figure(board, play, name, point, index) for name in BOTH)
    agree = f"Agreement of both maps (centred cosine): <b>{w.signed(float(play.cosine[point, index]))}</b>"
    how = ("each alone · " if play.apart[point] else "together · ") if play.apart.any() else ""
    head = f'<p class="fk-epoch">Epoch <b>{play.epochs[point]:.2f}</b> · {how}{agree}</p>'
    hidden = "" if point == len(play.epochs) - 1 else " hidden"
    return f'<div class="fk-point" data-point="{point}"{hidden}>{head}<div class="fk-pair">{figures}</div></div>'


def _figure(board: Board, play: Playback, name: str, point: int, index: int) -> str:
    one, photo = play.iam(name, point, index), board.photos[play.examples[index]]
    drawn = render.overlay(photo.square, one, scale=_scale(play, index), side=SIDE)
    answer, dish = int(play.answers[name][point, index]), int(play.dishes[index])
    right = answer == dish
    sure = w.percent(float(play.sure[name][point, index]))
    mark = '<b class="fk-right">✓' if right else '<b class="fk-wrong">✗'
    says = f"{mark} {w.dish(play.classes[answer])}</b> {sure}"
    alt = f"{w.map_alt(one, play.classes[dish])}, at epoch {play.epochs[point]:.2f}"
    image = f'<div class="fk-frame">{w.picture(data_uri(drawn), alt)}</div>'
    return f'<figure class="fk-figure"><figcaption>{w.tag(name)}<span>{says}</span></figcaption>{image}</figure>'


def _controls(play: Playback) -> str:
    last = len(play.epochs) - 1
    names = " ".join(f"{epoch:.2f}" for epoch in play.epochs)
    return (
        '<div class="fk-player-controls"><button type="button" id="fk-play" class="fk-strong" data-play>▶ Play</button>'
        f'<input id="fk-at" type="range" min="0" max="{last}" step="1" value="{last}" data-epochs="{names}" '
        'aria-label="Point of the training"></div>'
    )


# --- the curves


def _charts(play: Playback, index: int) -> str:
    dish = play.classes[int(play.dishes[index])].replace("_", " ")
    own = [_line(play, name, play.dish[name][:, index]) for name in BOTH]
    found = [_chart(play, f"This photo: share of {dish}", own, charts.percent_axis("share", _top(own)), _legend_both())]
    rates = [_history(play, f"{name}/top1", name, w.TITLES[name]) for name in BOTH]
    known = [line for line in rates if line is not None]
    if known:
        axis = charts.percent_axis("right", _top(known))
        found.append(_chart(play, "Right first answers, validation photos", known, axis, _legend_both()))
    return "".join(found)


def _terms_chart(play: Playback) -> str:
    """How the terms moved, each against its own first value: their sizes differ too much for one axis."""
    lines = [line for name in TERMS if (line := _term_line(play, name)) is not None]
    if not lines:
        return ""
    axis = charts.number_axis("times its first value", 0.0, _top(lines))
    drawn = _chart(play, "The terms of the loss", lines, axis, _legend_terms(lines))
    words = (
        "Each term as a multiple of its first value here: below 1 it was pushed down. Means over the training photos "
        "since the evaluation before."
    )
    return f'<div class="fk-terms-chart">{drawn}<p class="fk-limits">{words}</p></div>'


def _line(play: Playback, name: str, values: np.ndarray) -> charts.Line:
    return charts.Line(name, play.epochs, values.astype(float), _tips(play, values, w.TITLES[name]))


def _top(lines: list[charts.Line]) -> float:
    return max(float(line.ys.max()) for line in lines)


def _tips(play: Playback, values: np.ndarray, name: str) -> list[str]:
    return [f"{name}, epoch {e:.2f}: {100 * float(v):.1f} %" for e, v in zip(play.epochs, values, strict=True)]


def _history(play: Playback, key: str, network: str, title: str) -> charts.Line | None:
    """A line through the points where the run noted this figure."""
    values = play.history.get(key)
    if values is None or not np.isfinite(values).any():
        return None
    there = np.isfinite(values)
    tips = [tip for tip, is_there in zip(_tips(play, values, title), there, strict=True) if is_there]
    return charts.Line(network, play.epochs[there], values[there].astype(float), tips)


def _term_line(play: Playback, key: str) -> charts.Line | None:
    line = _history(play, key, TERMS[key], key)
    if line is None or not line.ys[0] > 0:
        return None
    tips = [f"{_TERM_NAMES[key]}, epoch {e:.2f}: {v:.3f}" for e, v in zip(line.xs, line.ys, strict=True)]
    return charts.Line(TERMS[key], line.xs, line.ys / line.ys[0], tips)


_TERM_NAMES = {"ce_teacher": "CE teacher", "ce_student": "CE student", "kd": "KD", "iam": "IAM"}


def _chart(play: Playback, title: str, lines: list[charts.Line], y: charts.Axis, legend: str) -> str:
    x = _epochs(play)
    drawn = charts.with_marker(charts.line_chart(lines, x, y, f"{title}, epoch by epoch"), x, play.epochs)
    caption = f"<figcaption><b>{w.text(title)}</b><span>{legend}</span></figcaption>"
    return f'<figure class="fk-figure fk-curve">{caption}{drawn}</figure>'


def _epochs(play: Playback) -> charts.Axis:
    """From the first point to the last, with the epoch written at points that lie far enough apart."""
    low, high = float(play.epochs[0]), float(play.epochs[-1])
    written: list[float] = []
    for epoch in map(float, play.epochs[::-1]):
        if not written or written[-1] - epoch > (high - low) / 8:
            written.append(epoch)
    ticks = tuple((epoch, f"{epoch:.2f}") for epoch in written)
    return charts.Axis(low if low < high else low - 0.1, high, ticks, "epoch")


def _legend_both() -> str:
    return " ".join(w.tag(name) for name in BOTH)


def _legend_terms(lines: list[charts.Line]) -> str:
    names = {network: _TERM_NAMES[key] for key, network in TERMS.items()}
    return " ".join(f'<span class="fk-key fk-{line.network}">{names[line.network]}</span>' for line in lines)
