"""Tab 4: what its panels say before and after measuring, the brush's masks, and its events without a server."""

import re
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foodkd.errors import FoodkdError
from foodkd.explain import Explanation, faithfulness, randomisation
from foodkd.ui import charts
from foodkd.ui import faithfulness as tab4
from foodkd.ui.session import BOTH, Desk, View


@pytest.fixture
def bench(desk: Desk) -> tab4.Bench:
    return tab4.Bench(desk)


@pytest.fixture
def trial(desk: Desk) -> View:
    return desk.opening()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were measured, in order."""
    calls: list[str] = []

    def measure(pair: Any, small: Any, one: Any, **options: Any) -> Any:
        calls.append(one.network)
        return faithfulness(pair, small, one, **(options | {"steps": 4, "orders": 2}))

    def broken(pair: Any, small: Any, one: Any) -> Any:
        calls.append(f"broken {one.network}")
        return randomisation(pair, small, one)

    monkeypatch.setattr(tab4, "measured", measure)
    monkeypatch.setattr(tab4, "randomised", broken)
    return calls


def asks(panel: str) -> bool:
    return "data-ask" in panel


# --- the view


def test_what_was_painted_on_one_photo_is_not_on_the_next(desk: Desk, trial: View) -> None:
    painted = replace(trial, covered=(trial.photo.key, "abcd"))
    assert painted.mask == "abcd"
    other = painted.change(photo=desk.example(list(desk.examples)[1]))
    assert other.mask == "" and other.change(photo=trial.photo).mask == "abcd"


# --- masks


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_masks_survive_the_way_to_the_browser_and_back(side: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((side, side)) < 0.5
    np.testing.assert_array_equal(tab4.unpacked(tab4.packed(mask), side), mask)


def test_masks_are_bits_row_by_row_from_the_left() -> None:
    """The browser's side of it does the same (assets/ui/faithfulness.js)."""
    mask = np.zeros((4, 4), bool)
    mask[0, 1] = mask[3, 3] = True
    assert tab4.packed(mask) == "QAE="  # 0100 0000  0000 0001
    assert not tab4.unpacked("", 4).any()


@pytest.mark.parametrize("wrong", ["QAE", "%%%%", "QAEA", "é", "AA=="])
def test_what_is_no_mask_is_refused(wrong: str) -> None:
    with pytest.raises(FoodkdError, match="4 x 4"):
        tab4.unpacked(wrong, 4)


@pytest.mark.parametrize("name", BOTH)
def test_the_brightest_fifth_is_a_fifth_and_holds_the_strongest_place(desk: Desk, trial: View, name: str) -> None:
    one = desk.iam(trial, name)
    mask = tab4.brightest(one, 64)
    assert mask.sum() == round(0.2 * 64 * 64)
    row, column = divmod(int(one.values.argmax()), one.grid[1])
    down, across = (int(64 * axis[cell]) for axis, cell in zip(one.positions, (row, column), strict=True))
    assert mask[min(down, 63), min(across, 63)]


# --- the bench


def test_the_bench_measures_once_by_content_and_forgets_the_oldest(desk: Desk, trial: View, counted: list[str]) -> None:
    bench = tab4.Bench(desk, limit=2)
    assert bench.curves(trial, "student", known=True) is None and not counted
    first = bench.curves(trial, "student")
    again = trial.change(photo=desk.example(trial.photo.example.name if trial.photo.example else ""))
    assert bench.curves(again, "student") is first and counted == ["student"]
    assert bench.next_missing(bench.curves, trial) == "teacher"
    bench.curves(replace(trial, baseline="grey"), "student")
    others = [name for index, name in enumerate(desk.pair.classes) if index != desk.class_index(trial)]
    bench.curves(trial.change(choice=others[0]), "student")
    bench.curves(trial.change(choice=others[1]), "student")
    assert bench.curves(trial, "student", known=True) is None


# --- panels


def test_curves_are_asked_for_one_network_at_a_time(bench: tab4.Bench, trial: View, counted: list[str]) -> None:
    panel = tab4.curves_panel(bench, trial)
    assert asks(panel) and "<svg" not in panel and not counted
    bench.curves(trial, "teacher")
    panel = tab4.curves_panel(bench, trial)
    assert asks(panel) and panel.count("<svg") == 2 and "student is looking" in panel
    bench.curves(trial, "student")
    panel = tab4.curves_panel(bench, trial)
    assert not asks(panel) and panel.count("<svg") == 2 and counted == list(BOTH)
    assert panel.count("fk-dashed") == 4 and "does not prove" not in panel and "proves only" in panel


@pytest.mark.parametrize("unit", ["probability", "logit"])
def test_curves_show_what_was_measured_in_one_unit(
    bench: tab4.Bench, trial: View, counted: list[str], unit: str
) -> None:
    results = {name: bench.curves(trial, name) for name in BOTH}
    panel = tab4.curves_panel(bench, replace(trial, unit=unit))
    assert len(counted) == 2  # the switch measured nothing
    for name, result in results.items():
        assert result is not None
        for curve in (result.deletion, result.insertion):
            for value in (*curve.values(unit), curve.area(unit)):
                shown = f"{100 * value:.1f} %" if unit == "probability" else f"{value:+.2f}".replace("-", "\u2212")
                assert shown in panel, (name, value)
    tips = re.findall(r"<title>(.*?)</title>", panel)
    assert len(tips) == 4 * 5 and all((" %, by chance" in tip) == (unit == "probability") for tip in tips)


def test_a_lead_within_the_spread_is_none() -> None:
    assert tab4.worth(0.02, 0.03) == tab4.worth(-0.03, 0.03) == "no better than chance"
    assert tab4.worth(0.04, 0.03) == "better than chance" and tab4.worth(-0.04, 0.03) == "worse than chance"


def test_the_covered_panel_answers_the_photo_that_is_left(desk: Desk, trial: View) -> None:
    whole = tab4.covered_panel(desk, trial)
    assert "nothing is covered yet" in whole and whole.count("same first answer") == 2
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    painted = View(**{**vars(trial), "covered": (trial.photo.key, tab4.packed(mask)), "baseline": "grey"})
    panel = tab4.covered_panel(desk, painted)
    assert "50&#8239;% of it covered" in panel
    left = trial.photo.small.copy()
    left[:, :32] = np.round(255 * np.array(desk.pair.preprocessing.mean)).astype(np.uint8)
    for name in BOTH:
        now = Explanation.of(desk.pair, name, left)
        assert f"→ {now.logits[desk.class_index(trial)]:+.2f}".replace("-", "\u2212") in panel


def test_the_brush_offers_each_networks_brightest_fifth(desk: Desk, trial: View) -> None:
    panel = tab4.brush_panel(desk, trial)
    puts = re.findall(r'data-put="(.*?)"', panel)
    fifths = [tab4.brightest(desk.iam(trial, name), 64) for name in BOTH]
    for text, mask in zip(puts, [fifths[0], ~fifths[0], fifths[1], ~fifths[1]], strict=True):
        np.testing.assert_array_equal(tab4.unpacked(text, 64), mask)
    assert 'data-side="64"' in panel and panel.count("<img") == 4 and panel.count('alt=""') == 1


def test_random_weights_are_shown_when_asked_for(bench: tab4.Bench, trial: View, counted: list[str]) -> None:
    assert tab4.broken_panel(bench, trial) == ""
    assert asks(tab4.broken_panel(bench, trial, asked=True)) and not counted
    for name in BOTH:
        bench.broken(trial, name)
    panel = tab4.broken_panel(bench, trial, asked=True)
    assert not asks(panel) and counted == ["broken teacher", "broken student"]
    steps = {name: bench.broken(trial, name, known=True) for name in BOTH}
    assert panel.count("<img") == sum(1 + len(found) for found in steps.values() if found)
    assert panel.count("as trained</b>") == panel.count("last layer</b>") == panel.count("+ stage 1</b>") == 2
    assert tab4.broken_panel(bench, trial) == panel


# --- events


def test_events_of_the_tab(desk: Desk, trial: View, counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tab4, "randomised", lambda *arguments: islice(randomisation(*arguments), 1))
    bound: dict[Any, Any] = {}
    with gr.Blocks():
        state, tab = gr.State(None), tab4.Tab(desk, trial)
        tab.connect(lambda trigger, event, inputs=(), **options: bound.setdefault(event.__name__, inputs), state)
        assert set(bound) == {"on_baseline", "on_unit", "on_control", "on_measure", "on_brush", "on_check", "on_break"}
        drawn = tab.drawn(trial)
        assert asks(drawn[tab.curves]) and drawn[tab.broken] == "" and not counted
        assert asks(tab.on_measure(trial)[tab.curves]) and not asks(tab.on_measure(trial)[tab.curves])
        assert counted == list(BOTH)
        grey = tab.on_baseline(trial, "grey")
        assert grey[state].baseline == "grey" and asks(grey[tab.curves])
        moved = tab.on_control(trial, "moved")
        assert moved[state].control == "moved" and asks(moved[tab.curves]) and "122 times" in moved[tab.curves]
        assert tab.on_control(trial, "noise")[state].control == "cells"
        assert tab.on_baseline(trial, "noise")[state].baseline == "blur"
        assert tab.on_unit(trial, "logit")[state].unit == "logit" and not asks(tab.on_unit(trial, "logit")[tab.curves])
        assert asks(tab.on_check(trial)[tab.broken]) and asks(tab.on_break(trial)[tab.broken])
        assert not asks(tab.on_break(trial)[tab.broken])


def test_the_brush_event_keeps_the_mask_and_refuses_what_is_none(desk: Desk, trial: View) -> None:
    with gr.Blocks():
        state, tab = gr.State(None), tab4.Tab(desk, trial)
        tab.connect(lambda *_, **__: None, state)
    mask = tab4.packed(np.ones((64, 64), bool))
    event: Any = SimpleNamespace(_data={"mask": mask, "photo": trial.photo.key})
    updates = tab.on_brush(trial, event)
    assert updates[state].mask == mask and "all of it" in updates[tab.covered].replace("100&#8239;%", "all")
    stale: Any = SimpleNamespace(_data={"mask": mask, "photo": "another"})
    assert tab.on_brush(trial, stale)[state].mask == ""
    with pytest.raises(FoodkdError):
        tab.on_brush(trial, SimpleNamespace(_data={"mask": "abc"}))  # type: ignore[arg-type]


# --- charts


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_axes_end_at_round_numbers_around_the_values(low: float, span: float) -> None:
    axis = charts.number_axis("score", low, low + span)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert axis.low <= low + slack and axis.high >= low + span - slack
    places = [place for place, _ in axis.ticks]
    assert 2 <= len(places) <= 8 and places[0] == pytest.approx(axis.low)
    assert places[-1] == pytest.approx(axis.high, abs=slack) and len({name for _, name in axis.ticks}) == len(places)
    step = places[1] - places[0]
    for place, name in axis.ticks:  # 0.75 is no 0.8
        assert float(name.replace("\N{MINUS SIGN}", "-")) == pytest.approx(place, abs=1e-3 * step)


@pytest.mark.parametrize(("top", "high"), [(1.0, 1.0), (0.13, 0.15), (0.0, 0.01), (0.52, 0.6)])
def test_probabilities_start_at_nothing_and_end_at_or_above_the_largest(top: float, high: float) -> None:
    axis = charts.percent_axis("probability", top)
    assert axis.low == 0 and axis.high == pytest.approx(high)
    for place, name in axis.ticks:  # 2.5 % is no 2 %
        assert float(name.split("\N{NARROW NO-BREAK SPACE}")[0]) == pytest.approx(100 * place)


@given(st.floats(0, 1))
def test_percentages_are_written_in_full(top: float) -> None:
    for place, name in charts.percent_axis("probability", top).ticks:
        assert float(name.split("\N{NARROW NO-BREAK SPACE}")[0]) == pytest.approx(100 * place, abs=1e-6)


def test_a_chart_places_its_points_and_says_them() -> None:
    line = charts.Line("student", np.array([0.0, 1.0]), np.array([0.0, 1.0]), ["none", "<all>"])
    axis = charts.percent_axis("share")
    drawn = charts.line_chart([line], axis, axis, 'a "chart"')
    bottom, top = charts.HEIGHT - charts.BOTTOM, charts.TOP
    assert f'points="{charts.LEFT:.1f},{bottom:.1f} {charts.WIDTH - charts.RIGHT:.1f},{top:.1f}"' in drawn
    assert "<title>&lt;all&gt;</title>" in drawn and 'aria-label="a &quot;chart&quot;"' in drawn
