"""Tab 1, Compare: the photo, what becomes of it, and both networks' answers side by side."""

from collections.abc import Iterable

from foodkd.data import open_photo
from foodkd.explain import readable, render
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, UNSURE_BELOW, Desk, Example, View, data_uri, fitted


def verdict(desk: Desk, view: View) -> str:
    """The headline above all tabs: what the networks say, whether they agree, and what the picture is."""
    (teacher, sure_t), (student, sure_s) = (desk.best(view.photo, name) for name in BOTH)
    if desk.unsure(view.photo):
        headline = "Not sure this is one of the dishes I know."
    elif teacher == student:
        headline = f"Both networks say <em>{w.text(desk.name(teacher))}</em>."
    else:
        headline = (
            f'The teacher says <em class="fk-teacher">{w.text(desk.name(teacher))}</em>, '
            f'the student <em class="fk-student">{w.text(desk.name(student))}</em>.'
        )
    sub = _confidence(desk, (teacher, sure_t), (student, sure_s)) + _truth(desk, view, {teacher, student})
    choose = '<p class="fk-actions"><button type="button" class="fk-choose">Use your own photo</button></p>'
    thumb = w.picture(render.canvas(view.photo.square, 160), alt_of(view), classes="fk-thumb")
    words = f"<div><h2>{headline}</h2><p>{sub}</p>{choose}</div>"
    return f'<div class="fk-verdict">{thumb}{words}</div>'


def _confidence(desk: Desk, teacher: tuple[int, float], student: tuple[int, float]) -> str:
    sure = [f"{w.tag(name)} {w.percent(answer[1])}" for name, answer in zip(BOTH, (teacher, student), strict=True)]
    if max(teacher[1], student[1]) < UNSURE_BELOW:
        names = [desk.name(answer[0]) for answer in (teacher, student)]
        guesses = [f"{part} for {w.text(name)}" for part, name in zip(sure, names, strict=True)]
        return f"Closest guesses: {', '.join(guesses)}; both are below {w.percent(UNSURE_BELOW)}."
    return f"{' · '.join(sure)} {w.term('probability', 'sure')}"


def _truth(desk: Desk, view: View, answers: set[int]) -> str:
    example = view.photo.example
    if example is None:
        return ""
    right = [readable(desk.pair.classes[index]) == readable(example.dish) for index in sorted(answers)]
    ending = ": right." if all(right) else ": one of the two is right." if any(right) else ": neither is right."
    return f' <span class="fk-truth">The picture was made as {w.dish(example.dish)}{ending}</span>'


def alt_of(view: View) -> str:
    """What the photo shows, for people who can't see it."""
    return view.photo.example.alt if view.photo.example else "The photo you chose"


def example_of(view: View) -> str:
    """The name of the example in view; empty for a visitor's own photo."""
    return view.photo.example.name if view.photo.example else ""


def photo_panel(desk: Desk, view: View) -> str:
    """The original with the crop drawn on it, and the small picture that the networks really see."""
    photo, resolution = view.photo, desk.pair.preprocessing.resolution
    left, top, right, bottom = (100 * edge for edge in photo.crop)
    box = (
        f'<span class="fk-crop" style="left:{left:.3f}%;top:{top:.3f}%;width:{right - left:.3f}%;'
        f'height:{bottom - top:.3f}%"></span>'
    )
    original = w.figure(w.picture(photo.preview, alt_of(view)) + box, classes="fk-original")
    seen = w.picture(photo.small, f"The same, {resolution} by {resolution} pixels", classes="fk-pixels", exact=True)
    sizes = " and ".join(f"{desk.pair.sizes[name]} px for the {name}" for name in BOTH)
    happens = (
        f"<b>What the networks really see.</b> The centre square is reduced to {resolution} × {resolution} pixels, "
        f"then enlarged to {sizes}. Finer detail never reaches them."
    )
    return f'{original}<div class="fk-seen">{seen}<p>{happens}</p></div>'


def examples_panel(examples: Iterable[Example], chosen: str) -> str:
    """The examples as a strip of buttons."""
    buttons = "".join(_example_button(example, pressed=example.name == chosen) for example in examples)
    label = '<p class="fk-label">Or take one of these rendered meals</p>' if buttons else ""
    return f'{label}<div class="fk-examples" role="group" aria-label="Example pictures">{buttons}</div>'


def _example_button(example: Example, *, pressed: bool) -> str:
    image = w.picture(_thumbnail(example), example.alt)
    return (
        f'<button type="button" data-example="{w.text(example.name)}" aria-pressed="{str(pressed).lower()}" '
        f'title="{w.text(example.title)}">{image}</button>'
    )


def _thumbnail(example: Example) -> str:
    return data_uri(fitted(open_photo(example.path), 128))


def answers_panel(desk: Desk, view: View) -> str:
    """A card per network: its map, its first five answers, its costs."""
    cards = "".join(card(desk, view, name) for name in desk.names(alone=view.alone))
    scale = "one scale for all maps" if view.scale == "shared" else "each map on its own scale"
    said = w.note(
        "Bars are calibrated probabilities. Bright places speak for "
        f"<b>{w.text(desk.name(desk.class_index(view)))}</b> ({scale}); press a bar to see another dish.",
        limits="A bar is a network's belief, not a proof, and a cell of the map has seen nearly the whole picture.",
    )
    return f'{said}<div class="fk-cards" data-count="{len(desk.names(alone=view.alone))}">{cards}</div>'


def card(desk: Desk, view: View, name: str, *, pickable: bool = True) -> str:
    """One network's map, answers and costs; `pickable` bars choose the class that the maps show."""
    settings = desk.pair.settings[name]
    head = f'<header>{w.tag(name)}<span class="fk-arch">{w.text(settings.backbone)}</span></header>'
    about = f'<p class="fk-about">{w.text(w.TERMS[name])}</p>'
    image = w.figure(w.picture(_map_picture(desk, view, name), _map_alt(desk, view, name)))
    chosen = desk.pair.classes[desk.class_index(view)]
    top = [(desk.pair.classes[index], value) for index, value in desk.answer(view.photo, name).top(5)]
    listed = w.bars(top, chosen=chosen, label=f"{w.TITLES[name]}: first five answers", compact=not pickable)
    inner = f'{head}<div class="fk-card-main">{image}{listed}</div>{_costs(desk, view, name)}{about}'
    return f'<section class="fk-card fk-{name}" aria-label="{w.text(w.TITLES[name])}">{inner}</section>'


def _map_picture(desk: Desk, view: View, name: str) -> str:
    maps = {other: desk.iam(view, other) for other in desk.names(alone=view.alone)}
    scale = w.scale_of(view, maps[name], list(maps.values()))
    return data_uri(render.overlay(view.photo.square, maps[name], scale=scale, side=360))


def _map_alt(desk: Desk, view: View, name: str) -> str:
    return w.map_alt(desk.iam(view, name), desk.name(desk.class_index(view)))


def _costs(desk: Desk, view: View, name: str) -> str:
    costs = desk.costs[name]

    def counted(key: str) -> str:
        fewer = desk.costs["teacher"][key] / costs[key]
        beside = "" if name == "teacher" else f" <small>{fewer:.1f} × fewer</small>"
        return w.amount(costs[key]) + beside

    return w.facts(
        [
            (w.term("parameters", "Parameters"), counted("parameters")),
            (w.term("multiply-adds", "Multiply-adds"), counted("multiply_adds")),
            ("File", w.amount(costs["bytes"], "B")),
            ("This photo, here", f"{1000 * desk.answer(view.photo, name).seconds:.0f}&#8239;ms"),
        ]
    )


def dishes_panel(desk: Desk) -> str:
    """The list of what the pair knows."""
    names = "".join(f"<li>{w.dish(name)}</li>" for name in desk.pair.classes)
    words = "Anything else is answered with the nearest of these, or with a doubt."
    return (
        f'<details class="fk-dishes"><summary>The {len(desk.pair.classes)} dishes it knows</summary>'
        f"<p>{words}</p><ul>{names}</ul></details>"
    )
