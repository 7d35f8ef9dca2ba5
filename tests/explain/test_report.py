"""The report: one file that loads nothing, and says what was computed."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodkd.explain import compare, faithfulness, readable
from foodkd.explain.compare import Agreement, Measures
from foodkd.explain.figures import answers_tile, curves_picture
from foodkd.explain.report import report_html
from foodkd.explain.subject import Drawing, Subject
from foodkd.nets import Pair

COSTS = {
    name: {"parameters": 11_200_000, "multiply_adds": 98_000_000, "bytes": 4_900_000} for name in ("teacher", "student")
}
VOID = {"meta", "img", "br"}


class Document(HTMLParser):
    """Elements, addresses and words of a document whose every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def subject(seeded_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    path = tmp_path_factory.mktemp("photos") / "a <b> & 'c'.png"
    Image.fromarray(np.random.default_rng(7).integers(0, 255, (70, 90, 3)).astype(np.uint8)).save(path)
    return Subject.of(seeded_pair, path, "spring rolls")


@pytest.fixture(scope="module")
def html(subject: Subject) -> str:
    return report_html(subject, costs=COSTS)


def test_it_loads_nothing(html: str) -> None:
    document = Document(html)
    addresses = [
        str(value)
        for _, attributes in document.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert addresses and all(address.startswith("data:image/") for address in addresses)
    assert not document.all("script") and not document.all("link") and not document.all("iframe")
    written = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", html)  # pixels may spell anything
    assert "url(" not in written and "@import" not in written and "http" not in written.lower()


def test_every_picture_is_described(html: str) -> None:
    images = Document(html).all("img")
    assert len(images) == 2 + 3 + 2 * 4  # photo and seen, both maps and their difference, both maps of every stage
    assert all(str(image["alt"]).strip() for image in images)


def test_names_cannot_break_out(subject: Subject) -> None:
    hostile = report_html(replace(subject, name="<script>alert(1)</script>"), costs=COSTS)
    assert "<script" not in hostile and "&lt;script&gt;" in hostile


def test_it_says_what_the_networks_answered_and_what_it_proves(subject: Subject, html: str) -> None:
    words = " ".join(Document(html).words.split())
    for one in subject.explanations:
        for index, chance in one.top(5):
            assert readable(subject.pair.classes[index]) in words
            assert f"{100 * chance:.1f} %" in words
    here = compare(*reversed(subject.iams))
    assert f"{here.cosine:+.2f}".replace("-", "\N{MINUS SIGN}") in words and "not measured" in words
    for said in ("not a proof", "does not mean that the dish is there", "no proof of a cause", "spring rolls"):
        assert said in words
    for said in (
        "11.20 M",
        "98 M",
        "4.9 MB",
        "shared scale",
        "Nothing here is about calories",
        subject.facts["sha256"],
    ):
        assert said in words
    assert "no classifier at this stage" in words and words.count("Student would answer") == 3 + 1


def test_agreement_stands_beside_that_of_unrelated_photos(subject: Subject) -> None:
    unrelated = Agreement(Measures(0.9, 0.8, 0.7, 0.1), Measures(0.4321, 0.3, 0.21, 0.19), 303)
    words = Document(report_html(replace(subject, mismatched={"iam": unrelated}), costs=COSTS)).words
    assert "+0.43" in words and "mean over 303" in words and "not measured" not in words


def test_curves_are_in_it_where_they_were_measured(subject: Subject, html: str) -> None:
    assert "telling the truth" not in html
    curves = [faithfulness(subject.pair, subject.small, one, steps=4, orders=2) for one in subject.iams]
    with_curves = report_html(subject, costs=COSTS, curves=curves)
    words = Document(with_curves).words
    assert "telling the truth" in words and "It proves only" in words
    for result in curves:
        assert f"{result.deletion.area():.3f}" in words and f"{result.insertion.area():.3f}" in words


def test_scales_are_said(subject: Subject) -> None:
    shared, own = (
        report_html(subject, drawing=Drawing(iam_scale=s, layer_scale=s), costs=COSTS) for s in ("shared", "own")
    )
    assert "shared scale" in shared and "own scale" not in shared.replace("each map at its own scale", "")
    assert "own scale" in own and "shared scale" not in own


def test_answers_are_drawn_as_long_as_they_are_probable() -> None:
    tile = answers_tile([("soup", 0.75), ("pie", 0.0)], "teacher", width=240)
    blue = (tile == (31, 95, 168)).all(2).sum(1)
    assert blue.max() == pytest.approx(180, abs=2) and tile.shape[1] == 240


def test_curves_are_drawn_without_any_state_left(subject: Subject) -> None:
    import matplotlib.pyplot as plt

    result = faithfulness(subject.pair, subject.small, subject.iams[0], steps=4, orders=2)
    picture = curves_picture([result], unit="logit", title="lunch")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.std() > 10
    assert plt.get_fignums() == []


def test_a_report_of_a_file_is_the_same_twice(subject: Subject, html: str) -> None:
    assert report_html(subject, costs=COSTS) == html and len(html) < 1_000_000
    assert Path(subject.name).name == subject.name
