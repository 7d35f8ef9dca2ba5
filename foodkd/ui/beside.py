"""Tab 1's second pair: joint beside alone, one's own beside ours, on the same photo and the same class."""

from foodkd.explain import compare as compare_maps
from foodkd.ui import compare
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, Desk, View


def panel(desk: Desk, view: View) -> str:
    """The second pair's cards and how its networks compare with the first's; empty while it is not asked for."""
    other = desk.beside
    if other is None or not view.beside:
        return ""
    seen = desk.seen_beside(view)
    dish = w.text(other.name(other.class_index(seen)))
    said = w.note(
        f"The same photo, answered by <b>{w.text(other.pair.name)}</b>. Its maps show what speaks for <b>{dish}</b>"
        + ("." if _same_class(desk, view, seen) else ", as it does not know the dish chosen above."),
        limits="Each pair has its own scale of evidence: compare where its maps are bright, not how bright.",
    )
    cards = "".join(compare.card(other, seen, name, pickable=False) for name in BOTH)
    rows = w.facts([(w.tag(name), _beside(desk, view, seen, name)) for name in BOTH])
    return f'<h3>The second pair</h3>{said}<div class="fk-cards" data-count="2">{cards}</div>{rows}'


def _same_class(desk: Desk, view: View, seen: View) -> bool:
    assert desk.beside is not None
    return desk.pair.classes[desk.class_index(view)] == desk.beside.pair.classes[desk.beside.class_index(seen)]


def _beside(desk: Desk, view: View, seen: View, name: str) -> str:
    """The same kind of network in both pairs: do they answer alike, and how alike are their maps of one class?"""
    other = desk.beside
    assert other is not None
    first, second = desk.name(desk.best(view.photo, name)[0]), other.name(other.best(seen.photo, name)[0])
    alike, apart = f"both say {w.text(first)}", f"{w.text(first)} above, {w.text(second)} here"
    answers = alike if first == second else apart
    if not _same_class(desk, view, seen):
        return answers
    cosine = compare_maps(desk.iam(view, name), other.iam(seen, name)).cosine
    return f"{answers}; {w.term('cosine', 'cosine of their maps')} {w.signed(cosine)}"
