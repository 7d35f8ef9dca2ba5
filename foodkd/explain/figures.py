"""Figures made of other things than maps: a network's first answers as bars, deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from foodkd.explain.faithfulness import KINDS, Faithfulness
from foodkd.explain.text import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# One colour per network, the app's own: blue and orange stay apart for every common colour vision.
COLOURS = {"teacher": "#1f5fa8", "student": "#b8500c", "student-alone": "#6d5a86"}
TITLES = {"teacher": "Teacher", "student": "Student", "student-alone": "Student, trained alone"}
_INK, _QUIET, _GROUND = (28, 28, 30), (104, 104, 110), (232, 228, 220)


def answers_tile(answers: Sequence[tuple[str, float]], network: str, *, width: int) -> np.ndarray:
    """First answers as bars.

    Args:
        answers: names and probabilities 0..1, best first.
        network: gives the colour.
        width: of the picture, pixels.

    Returns:
        uint8 (h, width, 3) on white, about a tenth of the width per answer.
    """
    row = max(22, width // 12)
    picture = np.full((row * len(answers) + row // 2, width, 3), 255, np.uint8)
    colour = tuple(bytes.fromhex(COLOURS[network][1:]))
    for index, (_, value) in enumerate(answers):
        foot = round(row * (index + 1.35))
        cv2.rectangle(picture, (0, foot - row // 9), (width, foot), _GROUND, -1)
        cv2.rectangle(picture, (0, foot - row // 9), (max(1, round(value * width)), foot), colour, -1)
    for index, (name, value) in enumerate(answers):
        middle, said = row * (index + 0.85), f"{100 * value:.1f} %"
        picture = write(picture, name, 0, middle, height=round(0.5 * row), colour=_INK, width=0.8 * width)
        picture = write(picture, said, width, middle, height=round(0.5 * row), colour=_QUIET, align="right")
    return picture


def curves_picture(results: Sequence[Faithfulness], *, unit: str = "probability", title: str = "") -> np.ndarray:
    """Deletion and insertion of one or two networks beside the mean of the orders by chance, uint8 (h, w, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, kind in zip(figure.subplots(1, 2), KINDS, strict=True):
        for result in results:
            _draw(axes, result, kind, unit)
        _label(axes, kind, unit)
    figure.suptitle(title, fontsize=11)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw(axes: Axes, result: Faithfulness, kind: str, unit: str) -> None:
    own, chance, name = result.curve(kind), result.random_mean(kind), result.network
    mark, colour = "o" if name == "teacher" else "D", COLOURS[name]
    axes.plot(own.fractions, own.values(unit), color=colour, marker=mark, markersize=3.5, label=f"{name}, by its map")
    spread = result.random_spread(kind, unit)
    middle = chance.values(unit)
    axes.plot(chance.fractions, middle, color=colour, linestyle="--", linewidth=1, label=f"{name}, by chance")
    axes.fill_between(chance.fractions, middle - spread, middle + spread, color=colour, alpha=0.12, linewidth=0)


def _label(axes: Axes, kind: str, unit: str) -> None:
    deletion = kind == "deletion"
    title = "Covering the brightest first: lower is better"
    axes.set(
        title=title if deletion else "Showing the brightest first: higher is better",
        xlabel=f"share of the photo {'covered' if deletion else 'shown'}",
        ylabel="score (logit)" if unit == "logit" else unit,
        xlim=(0, 1),
    )
    if unit == "probability":
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.title.set_fontsize(10)
    axes.legend(frameon=False, fontsize=8)


__all__ = ["COLOURS", "TITLES", "answers_tile", "curves_picture"]
