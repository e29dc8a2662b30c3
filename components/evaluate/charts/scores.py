"""Plots of the judge's scores: how they spread, and their means by criterion."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from components.core.schemas import Answer
from components.core.stats import Interval
from components.evaluate.charts.frame import INK, Look, legend, name_rows, new_figure, style, svg
from components.evaluate.leaderboard import Leaderboard
from components.evaluate.opinions import overall_score

BINS = np.linspace(1, 5, 17)
"""A quarter of a point each."""
ROW = 0.72
"""Height of the highest bar, where a row's is 1."""
FEWEST_CRITERIA = 3
"""A radar of fewer axes encloses nothing."""


def score_chart(
    contenders: Sequence[Sequence[Answer]], board: Leaderboard, looks: Mapping[str, Look]
) -> str:
    """Draws how each contender's overall scores spread over 1..5, with the mean and its interval.

    Args:
        contenders: Answers of each contender.
        board: Their leaderboard, whose order the rows follow, best at the top.
        looks: How each contender is drawn.

    Returns:
        An `<svg>` element; empty where nobody judged.
    """
    scores = {answers[0].contender: _scores(answers) for answers in contenders}
    order = [row.measures for row in reversed(board.standings) if scores[row.measures.contender]]
    if not order:
        return ""
    with style():
        figure, axes = new_figure(0.8 + 0.7 * len(order))
        for place, row in enumerate(order):
            _spread(axes, place, scores[row.contender], looks[row.contender].colour)
            if row.geval and row.geval.overall:
                _mean(axes, place, row.geval.overall)
        name_rows(axes, [row.contender for row in order])
        axes.set_ylim(-0.25, len(order) - 0.05)
        axes.set_xlim(0.95, 5.05)
        axes.set_xticks(range(1, 6))
        axes.set_xlabel("overall score by the judge, 1 to 5")
        return svg(figure, "scores", "How the judge's overall scores of each contender spread")


def criteria_chart(board: Leaderboard, looks: Mapping[str, Look]) -> str:
    """Draws the mean score by criterion as a radar.

    Args:
        board: The leaderboard.
        looks: How each contender is drawn.

    Returns:
        An `<svg>` element; empty where fewer than `FEWEST_CRITERIA` were judged.
    """
    rows = [row.measures for row in board.standings]
    means = {row.contender: row.geval.criteria for row in rows if row.geval}
    names = list(dict.fromkeys(name for found in means.values() for name in found))
    if len(names) < FEWEST_CRITERIA:
        return ""
    angles = [2 * math.pi * place / len(names) for place in range(len(names))]
    with style():
        figure, axes = new_figure(3.9, subplot_kw={"projection": "polar"})
        for contender, found in means.items():
            values = [found[name].mean if name in found else math.nan for name in names]
            _polygon(axes, angles, values, contender, looks[contender])
        _radar(axes, angles, names)
        legend(axes, columns=2, above=1.12)
        return svg(figure, "criteria", "Mean score by criterion of each contender")


def _scores(answers: Sequence[Answer]) -> list[float]:
    return [score for answer in answers if (score := overall_score(answer)) is not None]


def _spread(axes: Axes, place: int, scores: Sequence[float], colour: str) -> None:
    """A histogram that stands on the row's line; its highest bar is as high in every row."""
    counts, _ = np.histogram(scores, BINS)
    heights = ROW * counts / counts.max()
    axes.bar(BINS[:-1], heights, bottom=place, width=0.22, align="edge", color=colour, alpha=0.55)
    axes.axhline(place, color=colour, linewidth=0.8)


def _mean(axes: Axes, place: int, mean: Interval) -> None:
    """A dot on the row's line, with a line over the interval, below the bars."""
    y = place - 0.1
    axes.plot([mean.low, mean.high], [y, y], color=INK, linewidth=2, solid_capstyle="round")
    axes.plot([mean.mean], [y], "o", color=INK, markersize=4)


def _polygon(
    axes: Axes, angles: Sequence[float], values: Sequence[float], name: str, look: Look
) -> None:
    closed = [*zip(angles, values, strict=True), (angles[0], values[0])]
    axes.plot(*zip(*closed, strict=True), color=look.colour, linestyle=look.stroke, label=name)


def _radar(axes: Axes, angles: Sequence[float], names: Sequence[str]) -> None:
    axes.set_yticks(range(1, 6), ["", "2", "3", "4", "5"])
    axes.set(ylim=(1, 5), rlabel_position=45)
    axes.set_xticks(angles, [name.replace("_", " ") for name in names])
    axes.tick_params(axis="x", labelcolor=INK, pad=5)
    for label, angle in zip(axes.get_xticklabels(), angles, strict=True):
        label.set_horizontalalignment(_side(angle))


def _side(angle: float) -> Literal["left", "center", "right"]:
    """Keeps a label beside the rim instead of over it."""
    across = math.cos(angle)
    if abs(across) < 0.5:  # noqa: PLR2004
        return "center"
    return "left" if across > 0 else "right"
