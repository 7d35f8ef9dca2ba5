"""The panels as HTML: what stands there is what the library computed."""

import re
from html.parser import HTMLParser

import pytest

from foodkd.explain import compare as compare_maps
from foodkd.ui import compare, iam, layers
from foodkd.ui import widgets as w
from foodkd.ui.session import View

VOID = {"img", "input", "br", "meta"}


class Checked(HTMLParser):
    """Counts elements, and insists that every one is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.elements = [], []
        self.feed(html)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def all(self, tag, name=""):
        return [a for t, a in self.elements if t == tag and name in ["", *a.get("class", "").split()]]


@pytest.fixture
def view(desk) -> View:
    return desk.opening()


PANELS = {
    "verdict": compare.verdict,
    "photo": compare.photo_panel,
    "answers": compare.answers_panel,
    "maps": iam.maps_panel,
    "alike": iam.alike_panel,
    "place": iam.place_panel,
    "layers": layers.rows_panel,
}


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_well_formed_and_every_picture_described(desk, view, name):
    page = Checked(PANELS[name](desk, view))
    for image in page.all("img"):
        assert image["alt"].strip()
        assert image["src"].startswith("data:image/")


@pytest.mark.parametrize("name", ["answers", "maps", "alike", "place", "layers"])
def test_every_panel_says_what_it_does_not_prove(desk, view, name):
    assert 'class="fk-limits"' in PANELS[name](desk, view)


def test_names_cannot_break_out_of_the_page():
    hostile = '<script>"x"&</script>'
    for html in (
        w.dish(hostile),
        w.text(hostile),
        w.notice([hostile]),
        w.bars([(hostile, 0.5)], chosen="", label=hostile),
    ):
        assert "<script>" not in html
        Checked(html)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.001, "< 1"), (0.654, "65"), (0.996, "> 99"), (1.0, "100"), (0.005, "0")]
)
def test_percents_never_pretend_to_certainty(value, shown):
    plain = re.sub(r"&#8239;|%", " ", w.percent(value)).replace("<", "< ").replace(">", "> ")
    assert " ".join(plain.split()).replace("&lt;", "<").replace("&gt;", ">") == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(950, "950"), (2_350_000, "2.35 M"), (22_000_000, "22.0 M"), (1.1e9, "1.10 G")]
)
def test_large_counts_keep_three_digits(value, shown):
    assert w.amount(value).replace("&#8239;", " ") == shown


def test_signs_are_true_minus_signs_and_zero_has_none():
    assert w.signed(-0.5) == "\N{MINUS SIGN}0.50"
    assert w.signed(0.5) == "+0.50"
    assert w.signed(-0.0004) == "0.00"


def test_the_cards_show_the_five_best_answers_of_each_network(desk, view):
    html = compare.answers_panel(desk, view)
    picks = [button["data-pick"] for button in Checked(html).all("button", "fk-answer")]
    expected = [
        desk.pair.classes[i] for name in ("teacher", "student") for i, _ in desk.answer(view.photo, name).top(5)
    ]
    assert picks == expected


def test_the_third_column_comes_on_demand_only_where_it_ships(desk, view):
    assert len(Checked(compare.answers_panel(desk, view.change(alone=True))).all("section")) == 2 + desk.has_alone


def test_the_headline_names_both_answers_or_admits_doubt(desk, view, monkeypatch):
    agreed = {"teacher": (1, 0.8), "student": (1, 0.6)}
    monkeypatch.setattr(desk, "best", lambda photo, name: agreed[name])
    assert "Both networks say" in compare.verdict(desk, view)
    agreed["student"] = (2, 0.6)
    html = compare.verdict(desk, view)
    assert desk.name(1) in html
    assert desk.name(2) in html
    agreed.update(teacher=(1, 0.2), student=(2, 0.1))
    assert "Not sure this is one of the dishes I know" in compare.verdict(desk, view)


def test_the_numbers_are_those_of_the_comparison(desk, view):
    measured = compare_maps(desk.iam(view, "teacher"), desk.iam(view, "student"))
    html = iam.alike_panel(desk, view)
    for shown in (w.signed(measured.cosine), w.percent(measured.overlap), w.percent(measured.centre_distance)):
        assert f"<b>{shown}</b>" in html


def test_the_marked_places_shares_add_up_to_the_score(desk, view):
    html = iam.place_panel(desk, view.at((0.3, 0.7)))
    for card in html.split("<section")[1:]:
        sums = re.findall(r"<dd>([^<]+)</dd>", card.split("</dl>")[0])
        cell, others, constant, score = (float(value.replace("\N{MINUS SIGN}", "-")) for value in sums)
        assert cell + others + constant == pytest.approx(score, abs=0.021)


def test_the_place_starts_where_the_teachers_evidence_is_strongest(desk, view):
    one = desk.iam(view, "teacher")
    assert one.values[one.cell_at(*iam.place_of(desk, view))] == one.values.max()


def test_there_is_a_row_per_stage_and_one_is_open(desk, view):
    page = Checked(layers.rows_panel(desk, view.walked(1)))
    rows = page.all("section", "fk-stage")
    assert len(rows) == desk.stages
    assert [row["data-index"] for row in rows if "fk-current" in row["class"]] == ["2"]


def test_the_pictures_say_which_scale_they_are_on(desk, view):
    for scale in ("shared", "own"):
        assert f"{scale} scale" in iam.maps_panel(desk, view.change(scale=scale))


def test_the_strongest_place_is_found_in_words(desk, view):
    assert re.fullmatch(
        r"(at the top|in the middle|at the bottom), (left|centre|right)", w.where(desk.iam(view, "teacher"))
    )
