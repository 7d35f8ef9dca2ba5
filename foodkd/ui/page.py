"""The page: what is on it, what happens on each touch, and how it is served.

    launch(build_app(Pair.load("checkpoints/food101-64")))

Every event is `View -> View`: read the visitor's view, change one thing, draw the panels that show it. Panels of tabs
that are not open are drawn when they are opened. All events share one queue slot, so touches are answered in order.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from foodkd.errors import FoodkdError
from foodkd.nets import Pair
from foodkd.ui import beside, compare, downloads, endpoints, faithfulness, iam, layers, lesson, links, mcp, testset
from foodkd.ui import widgets as w
from foodkd.ui.session import BOTH, EXAMPLES, METHODS, SCALES, TABS, Desk, Photo, View, read_examples

STYLE = Path(__file__).resolve().parents[2] / "assets" / "ui"
TITLE = "foodkd: a large and a small network look at a meal"
QUEUE: dict[str, Any] = {
    "concurrency_id": "answers",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "hidden",
}
MINUTES = 60
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "Arial", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]

# Touches inside our own HTML become Gradio events; everything else of the page's script is in assets/ui/page.js.
PICK = "foodkd.picks(element, trigger);"
PLACE = "foodkd.places(element, trigger);"
WIPE = "foodkd.wipes(element);"
STAGE = "foodkd.stages(element);"
DOWNLOAD = "foodkd.downloads(element, trigger); watch('value', () => foodkd.save(element));"
LINK = "foodkd.sync(element); watch('value', () => foodkd.sync(element));"

Updates = dict[Any, Any]
# Tabs that bring their own parts and events.
OWN = {"faithfulness": faithfulness, "lesson": lesson, "testset": testset}


@dataclass
class Parts:
    """The page's components that events read or draw."""

    state: gr.State
    verdict: gr.HTML
    dish: gr.Dropdown
    scale: gr.Radio
    link: gr.HTML
    download: gr.HTML
    notice: gr.HTML
    tabs: gr.Tabs
    upload: gr.Image
    photo: gr.HTML
    examples: gr.HTML
    alone: gr.Checkbox
    answers: gr.HTML
    beside: gr.Checkbox
    second: gr.HTML
    maps: gr.HTML
    place: gr.HTML
    alike: gr.HTML
    method: gr.Radio
    stage: gr.Slider
    rows: gr.HTML
    own: dict[str, Any]

    @property
    def all(self) -> list[Any]:
        """Every component."""
        shared = [part for part in vars(self).values() if part is not self.own]
        return [*shared, *(part for tab in self.own.values() for part in tab.all)]


def build_app(
    pair: Pair, *, examples: Path = EXAMPLES, data: Path | None = None, beside: Pair | None = None
) -> gr.Blocks:
    """The app over one loaded pair, opening with the first example already answered.

    Args:
        pair: the networks; shared by all visitors.
        examples: folder with examples.json and its pictures.
        data: root of the dataset that the pair was tested on, for thumbnails of its photos; None where it isn't here.
        beside: a second pair, whose answers and maps can be laid beside the first's; None for one pair only.
    """
    desk = Desk(pair, read_examples(examples), data, beside=beside)
    opening = _drawn_everywhere(desk)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(MINUTES, 5 * MINUTES)) as app:
        parts = _lay_out(desk, opening)
        _connect(app, desk, parts, opening)
        endpoints.add(desk)
    app.queue(max_size=64, default_concurrency_limit=1)
    return app


def launch(app: gr.Blocks, *, host: str | None = None, port: int | None = None, **options: Any) -> Any:
    """Serve the app: no analytics, no server-side rendering, uploads up to 25 MB, nothing loaded from elsewhere."""
    theme = gr.themes.Base(primary_hue="stone", neutral_hue="stone", font=FONT, font_mono=MONO, radius_size="sm")
    script = (STYLE / "page.js").read_text(encoding="utf-8")
    settings: dict[str, Any] = {
        "server_name": host,
        "server_port": port,
        "theme": theme,
        "css_paths": [STYLE / "style.css", *sorted(set(STYLE.glob("*.css")) - {STYLE / "style.css"})],
        "head": f'<script>{script}</script><meta name="color-scheme" content="light dark">',
        "ssr_mode": False,
        "max_file_size": "25mb",
        "state_session_capacity": 400,
        "footer_links": ["api"],
        "mcp_server": True,
        "app_kwargs": {"lifespan": mcp.mended(app)},
        "share": False,
    }
    return app.launch(**(settings | options))


def _drawn_everywhere(desk: Desk) -> View:
    """The first screen's view. Its passes run here, before the first visitor, after one that warms up the networks."""
    opening = desk.opening()
    for name in desk.names(alone=True):
        desk.warm_up(name)
        desk.answer(opening.photo, name)
    if desk.beside is not None:
        for name in BOTH:
            desk.beside.warm_up(name)
    for panel in (iam.maps_panel, iam.alike_panel, iam.place_panel, layers.rows_panel):
        panel(desk, opening)  # first drawings are slow, too
    return opening.shown(opening.tab)


# --- what is on the page


def _lay_out(desk: Desk, view: View) -> Parts:
    state = gr.State(view, time_to_live=60 * MINUTES)
    gr.HTML(_masthead(desk), elem_classes=["fk-html", "fk-masthead"], apply_default_css=False, js_on_load=None)
    with gr.Row(elem_classes="fk-strip"):
        verdict = _html(compare.verdict(desk, view), "fk-strip-verdict")
        dish, scale, link, download = _controls(desk, view)
    notice = _html("", "fk-notices")
    with gr.Tabs(selected=view.tab, elem_id="fk-tabs") as tabs:
        with gr.Tab("Compare", id="compare"):
            upload, photo, examples, alone, answers, second_pair, second = _compare_tab(desk, view)
        with gr.Tab("Where they look", id="iam"), gr.Row(elem_classes="fk-look"):
            maps, place = _html("", "fk-maps", js=PLACE), _html("", "fk-place-panel")
            alike = _html("", "fk-alike-panel", js=WIPE)
        with gr.Tab("Layer by layer", id="layers"):
            method, stage, rows = _layers_tab(desk, view)
        own = _own_tabs(desk, view)
    return Parts(
        state=state,
        verdict=verdict,
        dish=dish,
        scale=scale,
        link=link,
        download=download,
        notice=notice,
        tabs=tabs,
        upload=upload,
        photo=photo,
        examples=examples,
        alone=alone,
        answers=answers,
        beside=second_pair,
        second=second,
        maps=maps,
        place=place,
        alike=alike,
        method=method,
        stage=stage,
        rows=rows,
        own=own,
    )


def _own_tabs(desk: Desk, view: View) -> dict[str, Any]:
    own = {}
    for name, module in OWN.items():
        with gr.Tab(module.TITLE, id=name):
            own[name] = module.Tab(desk, view)
    return own


def _controls(desk: Desk, view: View) -> tuple[gr.Dropdown, gr.Radio, gr.HTML, gr.HTML]:
    with gr.Column(elem_classes="fk-strip-controls"):
        label = "Maps show the evidence for"
        dish = gr.Dropdown(_choices(desk), value=view.choice, label=label, elem_id="fk-class", filterable=True)
        with gr.Row(elem_classes="fk-strip-row"):
            scale = gr.Radio(list(SCALES), value=view.scale, label="Colour scale", elem_id="fk-scale", min_width=120)
            link = _html(_link(desk, view), "fk-link", js=LINK)
            download = _html(downloads.menu(view), "fk-download", js=DOWNLOAD)
    return dish, scale, link, download


def _compare_tab(desk: Desk, view: View) -> tuple[Any, ...]:
    with gr.Row(elem_classes="fk-compare"):
        with gr.Column(scale=1, min_width=260, elem_classes="fk-photo-column"):
            photo = _html(compare.photo_panel(desk, view), "fk-photo")
            upload = _upload()
            strip = compare.examples_panel(desk.examples.values(), compare.example_of(view))
            examples = _html(strip, "fk-examples-panel", js=PICK)
        with gr.Column(scale=3, min_width=300, elem_classes="fk-answers-column"):
            answers = _html(compare.answers_panel(desk, view), "fk-answers", js=PICK)
            label = "Add the same student, trained alone"
            alone = gr.Checkbox(view.alone, label=label, visible=desk.has_alone, elem_id="fk-alone", container=False)
            second_pair = _second_pair(desk, view)
            second = _html(beside.panel(desk, view), "fk-beside-panel")
            _html(compare.dishes_panel(desk), "fk-dishes-panel")
    return upload, photo, examples, alone, answers, second_pair, second


def _second_pair(desk: Desk, view: View) -> gr.Checkbox:
    label = "" if desk.beside is None else f"Add the second pair, {desk.beside.pair.name}"
    shown = desk.beside is not None
    return gr.Checkbox(view.beside, label=label, visible=shown, elem_id="fk-beside", container=False)


def _upload() -> gr.Image:
    return w.photo_input(
        sources=["upload", "webcam", "clipboard"],
        label="Your own photo",
        height=150,
        elem_id="fk-upload",
        buttons=[],
        webcam_options=gr.WebcamOptions(mirror=False),
    )


def _layers_tab(desk: Desk, view: View) -> tuple[Any, ...]:
    titles = [(title, name) for name, title in METHODS.items()]
    label = "Walk through the stages, early to late"
    with gr.Row(elem_classes="fk-layer-controls"):
        method = gr.Radio(titles, value=view.method, label="Method", elem_id="fk-method", scale=2, min_width=280)
        stage = gr.Slider(
            1, desk.stages, value=view.stage + 1, step=1, label=label, elem_id="fk-stage", min_width=220, buttons=[]
        )
    return method, stage, _html("", "fk-rows", js=STAGE)


def _html(value: str, name: str, *, js: str | None = None, **options: Any) -> gr.HTML:
    return gr.HTML(value, elem_id=name, elem_classes=["fk-html"], apply_default_css=False, js_on_load=js, **options)


def _choices(desk: Desk) -> list[tuple[str, str]]:
    own = [("the teacher's answer", "teacher"), ("the student's answer", "student")]
    return own + [(desk.name(index), name) for index, name in enumerate(desk.pair.classes)]


def _masthead(desk: Desk) -> str:
    teacher, student = (desk.costs[name]["parameters"] for name in BOTH)
    line = (
        f"A large network and one {teacher / student:.1f} times smaller learned {len(desk.pair.classes)} dishes "
        "together. <span>See what each says about a meal, and where in the photo it finds its reasons.</span>"
    )
    legend = ""
    for name in BOTH:
        size = w.amount(desk.costs[name]["parameters"])
        legend += f"<span>{w.tag(name)}<small>{w.text(desk.pair.settings[name].backbone)}, {size}</small></span>"
    legend += '<button type="button" class="fk-theme" aria-label="Switch between light and dark">◐</button>'
    return (
        f'<header class="fk-head"><div><h1>foodkd</h1><p>{line}</p></div><div class="fk-legend">{legend}</div></header>'
    )


def _link(desk: Desk, view: View) -> str:
    own = "" if view.photo.example else '<small class="fk-own">without your own photo</small>'
    return (
        f'<button type="button" class="fk-copy" data-query="{w.text(links.query(desk, view))}" '
        f'data-names="{" ".join(links.LINKED)}" '
        f'title="A link that opens this very view">Copy link</button>{own}'
        '<span class="fk-copied" role="status" aria-live="polite"></span>'
    )


# --- what is drawn


def _draw(desk: Desk, parts: Parts, view: View, *, photo: bool = False) -> Updates:
    """Updates of all that shows this view: the strip, and the panels of the open tab."""
    updates: Updates = {parts.verdict: compare.verdict(desk, view), parts.dish: view.choice, parts.notice: ""}
    if photo:
        updates[parts.photo] = compare.photo_panel(desk, view)
        updates[parts.examples] = compare.examples_panel(desk.examples.values(), compare.example_of(view))
    return updates | _draw_tab(desk, parts, view)


def _draw_tab(desk: Desk, parts: Parts, view: View) -> Updates:
    panels: Updates = {}
    if view.tab not in view.drawn:
        view = view.shown(view.tab)
        if view.tab == "compare":
            panels |= {parts.answers: compare.answers_panel(desk, view), parts.second: beside.panel(desk, view)}
        elif view.tab == "iam":
            panels |= {parts.maps: iam.maps_panel(desk, view), parts.place: iam.place_panel(desk, view)}
            panels[parts.alike] = iam.alike_panel(desk, view)
        elif view.tab == "layers":
            panels[parts.rows] = layers.rows_panel(desk, view)
        else:
            panels |= parts.own[view.tab].drawn(view)
    return panels | {parts.state: view}


# --- what happens on each touch


def _guarded(notice: gr.HTML, event: Callable[..., Updates]) -> Callable[..., Updates]:
    """A visitor reads one sentence, never a traceback; what was on the page stays."""

    @wraps(event)
    def guarded(*arguments: Any, **named: Any) -> Updates:
        try:
            return event(*arguments, **named)
        except FoodkdError as error:
            return {notice: w.notice([str(error)])}
        except Exception:
            logging.getLogger(__name__).exception("An event of the app failed")
            return {notice: w.notice(["That did not work, and the fault is the app's; the earlier answer stays."])}

    return guarded


def _linked(desk: Desk, parts: Parts, event: Callable[..., Updates]) -> Callable[..., Updates]:
    """Wherever an event changes the view, the link and the downloads follow."""

    @wraps(event)
    def linked(*arguments: Any, **named: Any) -> Updates:
        updates = event(*arguments, **named)
        if parts.state not in updates:
            return updates
        view = updates[parts.state]
        return updates | {parts.link: _link(desk, view), parts.download: downloads.menu(view)}

    return linked


def _connect(app: gr.Blocks, desk: Desk, parts: Parts, opening: View) -> None:
    events = _Events(desk, parts, opening)

    def on(trigger: Any, event: Callable[..., Updates], inputs: Sequence[Any] = (), **options: Any) -> None:
        linked = _guarded(parts.notice, _linked(desk, parts, event))
        trigger(linked, [parts.state, *inputs], parts.all, **(QUEUE | options))

    on(app.load, events.restore)
    on(parts.upload.input, events.upload, [parts.upload], show_progress="minimal", show_progress_on=[parts.verdict])
    on(parts.download.select, events.download)
    on(parts.examples.select, events.example, show_progress="minimal", show_progress_on=[parts.verdict])
    on(parts.answers.select, events.pick)
    on(parts.dish.input, events.choose, [parts.dish])
    on(parts.scale.input, events.scale, [parts.scale])
    on(parts.alone.input, events.alone, [parts.alone])
    on(parts.beside.input, events.beside, [parts.beside])
    on(parts.maps.select, events.place, trigger_mode="always_last")
    on(parts.method.input, events.method, [parts.method])
    walk = "(view, stage) => { foodkd.stage(stage); return [view, stage]; }"
    on(parts.stage.change, events.stage, [parts.stage], js=walk, trigger_mode="always_last")
    on(parts.tabs.select, events.tab)
    for tab in parts.own.values():
        tab.connect(on, parts.state, events.open)


class _Events:
    """One method per touch; each reads a view and returns what changes on the page."""

    def __init__(self, desk: Desk, parts: Parts, opening: View) -> None:
        """Events over this desk, drawing these parts; links are restored from the opening view."""
        self.desk, self.parts, self.opening = desk, parts, opening

    def restore(self, view: View, request: gr.Request) -> Updates:
        """The page was opened: show what its link asks for."""
        asked = dict(request.query_params)
        if not set(links.LINKED) & set(asked):
            return {self.parts.notice: ""}
        view, refused = links.restore(self.desk, asked, self.opening.change())
        parts = self.parts
        chosen: Updates = {parts.scale: view.scale, parts.method: view.method, parts.stage: view.stage + 1}
        chosen |= {parts.tabs: gr.Tabs(selected=view.tab), parts.alone: view.alone, parts.beside: view.beside}
        return _draw(self.desk, parts, view, photo=True) | chosen | {parts.notice: w.notice(refused)}

    def upload(self, view: View, path: str | None) -> Updates:
        """A photo was uploaded, taken or pasted. The field is emptied: the picture is shown with its crop beside it."""
        if path is None:
            return {self.parts.notice: ""}
        try:
            photo = self.desk.photo(path)
        except FoodkdError as error:
            return {self.parts.notice: w.notice([str(error)]), self.parts.upload: None}
        return self._new_photo(view, photo) | {self.parts.upload: None}

    def example(self, view: View, event: gr.EventData) -> Updates:
        """An example was pressed."""
        return self._new_photo(view, self.desk.example(str(event._data.get("example", ""))))

    def _new_photo(self, view: View, photo: Photo) -> Updates:
        changed = view.change(photo=photo, choice="teacher", place=None)
        return _draw(self.desk, self.parts, changed, photo=True)

    def open(self, view: View, photo: Photo, tab: str = TABS[0], choice: str = "teacher") -> Updates:
        """Another tab hands over a photo: it is shown on `tab`, for the teacher's answer or the class of that name."""
        changed = view.change(photo=photo, choice=choice, place=None, tab=tab)
        drawn = _draw(self.desk, self.parts, changed, photo=True)
        return drawn | {self.parts.tabs: gr.Tabs(selected=tab)}

    def download(self, view: View, event: gr.EventData) -> Updates:
        """Something is to be downloaded: made now, from what is known."""
        bench = self.parts.own["faithfulness"].bench
        made = downloads.make(bench, view, str(event._data.get("kind", "")))
        return {self.parts.download: downloads.menu(view, made)}

    def pick(self, view: View, event: gr.EventData) -> Updates:
        """A bar was pressed: its class is shown."""
        return self.choose(view, str(event._data.get("pick", "")))

    def choose(self, view: View, choice: str) -> Updates:
        """A class was chosen."""
        return _draw(self.desk, self.parts, self.desk.chosen(view, choice))

    def scale(self, view: View, scale: str) -> Updates:
        """Shared or own scale."""
        return _draw(self.desk, self.parts, view.change(scale=scale if scale in SCALES else view.scale))

    def alone(self, view: View, alone: bool) -> Updates:
        """The third column, on or off."""
        return _draw(self.desk, self.parts, view.change(alone=bool(alone)))

    def beside(self, view: View, shown: bool) -> Updates:
        """The second pair, shown or not."""
        return _draw(self.desk, self.parts, view.change(beside=bool(shown)))

    def place(self, view: View, event: gr.EventData) -> Updates:
        """A place of a map was clicked; the maps themselves stay."""
        x, y = (min(1.0, max(0.0, float(event._data.get(axis, 0.5)))) for axis in "xy")
        view = view.at((x, y))
        return {self.parts.state: view, self.parts.place: iam.place_panel(self.desk, view)}

    def method(self, view: View, method: str) -> Updates:
        """Another method of layer maps."""
        return _draw_tab(self.desk, self.parts, view.change(method=method if method in METHODS else view.method))

    def stage(self, view: View, stage: float) -> Updates:
        """The slider moved: the browser has opened the stage already, only the view must know."""
        view = view.walked(min(self.desk.stages, max(1, int(stage))) - 1)
        return {self.parts.state: view}

    def tab(self, view: View, event: gr.SelectData) -> Updates:
        """A tab was opened: draw it unless it shows this very view already."""
        return _draw_tab(self.desk, self.parts, view.opened(TABS[event.index]))
