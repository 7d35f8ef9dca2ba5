"""Steps 5 and 6 of the lesson: what each term bought, two photos where a teacher helped and hurt; a handout."""

from base64 import b64encode
from math import ceil, floor

from foodkd.explain import render
from foodkd.explain.ablation import Ablation, Difference, Rates, Row, summary
from foodkd.explain.soft_labels import helped_and_hurt
from foodkd.ui import widgets as w
from foodkd.ui.handout import handout
from foodkd.ui.lesson_board import Board, Choices, asking
from foodkd.ui.session import View

COMMAND = "python -m benchmarks.ablation --help"
HEADS = ("Student right", "More than alone", "Teacher right", "Maps agree")
NONE = "–"
FULL = "full"  # the row of all terms
ADDED = ("mld", "iam")  # the terms that the method has beside learning from the answers
CHIPS = {"ce": "labels", "kd": "answers (KD)", "mld": "stages (MLD)", "iam": "places (IAM)"}


def panel(board: Board, view: View, choices: Choices) -> str:
    """The table of the ablation, and the two photos."""
    said = w.note(
        "Is it worth it? Train the same small network again and again, each time with one more thing to learn from, "
        "and count on photos that none of them has seen.",
        limits="Differences are taken photo by photo between trainings of the same seed; one whose interval reaches "
        "across zero may be luck. Intervals are over photos, and over seeds where a row has several.",
    )
    return f"{said}{_ablation(board)}{_two_photos(board)}"


# --- the table


def _ablation(board: Board) -> str:
    found = board.ablation
    if found is None:
        words = "The comparison was not made for this pair yet. This command says how to make it: "
        return w.note(f"{words}<code>{w.text(COMMAND)}</code>")
    ends = _ends(found)
    several = bool(found.also)
    tables = "".join(_one_table(one, ends, titled=several) for one in (found, *found.also))
    if several:
        own = "Each table is a comparison of its own: what a row gains holds for its table's steps, labels and rate."
        tables = w.note(own) + tables
    commands = "".join(f"<p><code>{w.text(one.command)}</code></p>" for one in (found, *found.also))
    name = "commands that make them" if several else "command that makes it"
    return f'{tables}<details class="fk-sources"><summary>The {name}</summary>{commands}</details>'


def _one_table(found: Ablation, ends: tuple[float, float], *, titled: bool) -> str:
    """All rows of one budget below what they have in common, parted by share of the labels."""
    title = f"<h4>{w.text(found.title)}</h4>" if titled and found.title else ""
    shares = sorted({row.share for row in found.rows}, reverse=True)
    told = shares == [1.0] or (len(shares) == 1 and _labels(shares[0]) in title)
    parts = "".join(_part(share, found, ends, named=not told) for share in shares)
    low, high = ends
    scale = f"95 % interval, {100 * low:.0f} to {100 * high:+.0f} points".replace("-", "\N{MINUS SIGN}")
    heads = zip(HEADS, ("", scale, "", "cosine"), strict=True)
    head = "<th>Trained with</th>" + "".join(f"<th>{name}<small>{more}</small></th>" for name, more in heads)
    table = f"<table><thead><tr>{head}</tr></thead>{parts}</table>"
    setting = w.note(f'<span class="fk-limits">{w.text(found.setting.rstrip("."))}.</span>')
    return f'{title}{_verdicts(found)}{setting}<div class="fk-ablation">{table}</div>'


def _verdicts(found: Ablation) -> str:
    """What the whole method bought, a sentence for each share of the labels that it was tried with."""
    said = [
        _verdict(row) + _what_terms_add(found, row.share) for row in found.rows if row.row == FULL and row.difference
    ]
    return "".join(f'<p class="fk-bought">{sentence}</p>' for sentence in said)


def _verdict(row: Row) -> str:
    """The student that learned with a teacher beside each other way to train it."""
    against = {
        "the same student alone": row.difference,
        "the student alone with as much compute": row.beyond_compute,
        "the student of a frozen teacher": row.beyond_one_way,
    }
    *most, last = [_how_often(d, other) for other, d in against.items() if d is not None]
    clauses = f"{', '.join(most)} and {last}" if most else last
    own = row.teacher_difference
    teacher = f" Its teacher is right {_how_often(own, 'the teacher alone')}." if own else ""
    return f"With {_labels(row.share)}, a student that learned with a teacher is right {clauses}.{teacher}"


def _what_terms_add(found: Ablation, share: float) -> str:
    """What the terms beside the answers are worth, of the first row that stands beside the same row without them."""
    titles = {row.row: row.title for row in found.rows if row.share == share}
    for row in found.rows:
        d = row.beyond_joint
        if row.share == share and set(ADDED) <= set(row.terms) and d is not None and d.to in titles:
            return f" To \N{LEFT DOUBLE QUOTATION MARK}{w.text(titles[d.to])}\N{RIGHT DOUBLE QUOTATION MARK} {_add(d)}"
    return ""


def _add(d: Difference) -> str:
    low, high = 100 * d.low, 100 * d.high
    if low <= 0 <= high:
        between = f"{w.signed(low, digits=1)} to {w.signed(high, digits=1)} points{_one_seed(d)}"
        return f"stages and places add <b>nothing that can be told</b> from chance ({between})."
    words = f"stages and places together make a difference of <b>{w.signed(100 * d.mean, digits=1)} points</b>"
    return f"{words} ({w.signed(low, digits=1)} to {w.signed(high, digits=1)}{_one_seed(d)})."


def _how_often(d: Difference, other: str) -> str:
    """A difference in words: more, less, or as often as far as the interval allows to tell."""
    low, high = 100 * d.low, 100 * d.high
    if low <= 0 <= high:
        between = f"{w.signed(low, digits=1)} to {w.signed(high, digits=1)} points{_one_seed(d)}"
        return f"<b>as often</b>, as far as can be told, as {other} ({between})"
    least, most = sorted((abs(low), abs(high)))
    words = "more often" if d.mean > 0 else "less often"
    return f"<b>{abs(100 * d.mean):.1f} points {words}</b> than {other} ({least:.1f} to {most:.1f}{_one_seed(d)})"


def _one_seed(d: Difference) -> str:
    """Said where only one seed has both trainings, however many one of them has."""
    return "; one seed" if len(d.by_seed) == 1 else ""


def _labels(share: float) -> str:
    return "all labels" if share == 1 else f"{100 * share:.0f} % of the labels"


def _part(share: float, found: Ablation, ends: tuple[float, float], *, named: bool) -> str:
    """The rows of one share of the labels, under its name where that was not said before."""
    name = f'<th colspan="{1 + len(HEADS)}" scope="rowgroup">With {_labels(share)}</th>'
    head = f'<tr class="fk-part">{name}</tr>' if named else ""
    return f"<tbody>{head}{''.join(_row(row, ends) for row in found.rows if row.share == share)}</tbody>"


def _ends(found: Ablation) -> tuple[float, float]:
    """One scale for the intervals of all tables, in whole points, with zero on it."""
    given = [row.difference for one in (found, *found.also) for row in one.rows if row.difference]
    low = min([0.0, *(one.low for one in given)])
    high = max([0.0, *(one.high for one in given)])
    return floor(100 * low) / 100, max(0.01, ceil(100 * high) / 100)


def _row(row: Row, ends: tuple[float, float]) -> str:
    chips = "".join(f"<i>{w.text(CHIPS.get(term, term))}</i>" for term in row.terms)
    name = f'<th scope="row">{w.text(row.title)}<span class="fk-chips">{chips}</span></th>'
    agree = _mean(row.agreement.iam_cosine, percent=False) if row.agreement else NONE
    apart = summary(row.agreement.iam_cosine_mismatched) if row.agreement else None
    beside = f"<small>unrelated: {apart.mean:.2f}</small>" if apart else ""
    values = (_rates(row.student), _interval(row.difference, ends), _teacher(row), agree + beside)
    cells = "".join(map(_cell, HEADS, values))
    return f'<tr data-row="{w.text(row.row)}">{name}{cells}</tr>'


def _teacher(row: Row) -> str:
    """How often the teacher is right, and what learning beside the student brought or cost it."""
    d = row.teacher_difference
    if d is None:
        return _rates(row.teacher)
    low, mean, high = (w.signed(100 * value, digits=1) for value in (d.low, d.mean, d.high))
    return f"{_rates(row.teacher)}<small>{mean} on itself alone</small><small>{low} to {high}{_one_seed(d)}</small>"


def _cell(head: str, value: str) -> str:
    """A value, with its column's head for where the columns do not fit beside each other."""
    absent = ' class="fk-none"' if value == NONE else ""
    return f'<td data-label="{head}"{absent}>{value}</td>'


def _rates(rates: Rates | None) -> str:
    return _mean(rates.top1) if rates else NONE


def _mean(values: tuple[float, ...], *, percent: bool = True) -> str:
    """Mean over seeds, and how much the seeds differ where there are several."""
    found = summary(values)
    if found is None:
        return NONE
    size, digits, unit = (100, 1, "&#8239;%") if percent else (1, 2, "")
    spread = (
        "" if found.deviation is None else f"<small>± {size * found.deviation:.{digits}f}, {len(values)} seeds</small>"
    )
    return f"<b>{size * found.mean:.{digits}f}{unit}</b>{spread}"


def _interval(difference: Difference | None, ends: tuple[float, float]) -> str:
    """Dot and whisker on the common scale, with its numbers."""
    if difference is None:
        return NONE
    low, high = ends
    places = [100 * (value - low) / (high - low) for value in (0.0, difference.low, difference.mean, difference.high)]
    zero, left, middle, right = places
    drawn = (
        f'<span class="fk-whisker" aria-hidden="true"><u style="left:{zero:.1f}%"></u>'
        f'<s style="left:{left:.1f}%;width:{right - left:.1f}%"></s><i style="left:{middle:.1f}%"></i></span>'
    )
    between = f"{w.signed(100 * difference.low, digits=1)} to {w.signed(100 * difference.high, digits=1)}"
    return f"<b>{w.signed(100 * difference.mean, digits=1)} points</b>{drawn}<small>{between}</small>"


# --- the two photos


def _two_photos(board: Board) -> str:
    if not board.desk.has_alone or not board.names:
        return ""
    head = "<h4>One photo where the teacher helped, one where it hurt</h4>"
    if board.unanswered:
        # Named, so that each answer changes the panel: the browser asks again only when it has changed.
        return head + asking("examples", f"The {board.unanswered.replace('-', ' ')} looks at the examples …")
    taught, alone = board.answers("student"), board.answers("student-alone")
    assert taught is not None and alone is not None
    dishes = list(board.dishes.values())
    best, worst = helped_and_hurt(taught, alone, dishes)
    names = board.names
    gains = {i: float(taught[i, dishes[i]] - alone[i, dishes[i]]) for i in (best, worst)}
    cards = [_photo(board, names[i], i, title, gains[i]) for i, title in _titles(gains, best, worst).items()]
    said = w.note(
        f"The student that had a teacher beside its twin that had none, on {len(names)} rendered meals: where the "
        "right dish gained the largest share, and where it lost most.",
        limits="Picked because they are extreme: they show what can happen, not what usually does.",
    )
    return f'{head}{said}<div class="fk-two-photos">{"".join(cards)}</div>'


def _titles(gains: dict[int, float], best: int, worst: int) -> dict[int, str]:
    """What the two photos stand for; where nothing was lost, that is said."""
    lost = "Hurt most" if gains[worst] <= -0.01 else "Hurt hardly anywhere" if gains[worst] < 0 else "Helped least"
    won = "Helped most" if gains[best] > 0 else "Helped nowhere"
    return {best: won} | ({worst: lost} if worst != best else {})


def _photo(board: Board, name: str, index: int, title: str, gain: float) -> str:
    example, dish = board.desk.examples[name], board.dishes[name]
    rows = ""
    for network in ("student", "student-alone"):
        answers = board.answers(network)
        assert answers is not None
        first, share = int(answers[index].argmax()), float(answers[index, dish])
        says = f"says {w.text(board.desk.name(first))}" + (" ✓" if first == dish else "")
        listed = w.bar(f"{w.tag(network)} <small>{says}</small>", w.percent(share), share)
        rows += f'<ol class="fk-bars fk-{network}">{listed}</ol>'
    image = w.picture(render.canvas(board.photos[name].square, 224), example.alt)
    label = f'<p class="fk-label">Share of {w.text(board.desk.name(dish))}</p>'
    head = f"<h5>{title}: {w.text(example.title)} <small>{w.signed(100 * gain, digits=1)} points</small></h5>"
    return f"<section>{head}<div>{w.figure(image)}<div>{label}{rows}</div></div></section>"


# --- take it along


def handout_panel(board: Board, view: View, choices: Choices) -> str:
    """The handout: to look at, to print, to keep."""
    page = handout(board.desk.pair, board.desk.costs)
    url = "data:text/html;charset=utf-8;base64," + b64encode(page.encode("utf-8")).decode("ascii")
    said = w.note(
        "One page for a class: what to try in this app, questions with room for answers, and this pair’s own numbers. "
        "Nothing in it needs the network.",
        limits="For a projector, “Large type” above enlarges every step of the lesson.",
    )
    name = f"foodkd-lesson-{w.text(board.desk.pair.name)}.html"
    tools = (
        f'<p class="fk-take"><a class="fk-strong" download="{name}" href="{url}">Download the handout</a>'
        '<button type="button" id="fk-print" class="fk-plain" data-print>Print it</button></p>'
    )
    frame = (
        f'<iframe class="fk-sheet" title="The handout" sandbox="allow-same-origin allow-modals" '
        f'srcdoc="{w.text(page)}"></iframe>'
    )
    return f"{said}{tools}{frame}"
