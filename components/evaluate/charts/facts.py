"""Plots of exact facts: by contender, and by intent."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from components.core.outcomes import exact_fact_score
from components.core.schemas import Answer
from components.core.stats import Interval, bootstrap_interval
from components.evaluate.charts.frame import (
    BASELINE,
    CANDIDATE,
    Look,
    legend,
    name_rows,
    new_figure,
    style,
    svg,
)
from components.evaluate.leaderboard import Leaderboard

MOST_BARS = 24
"""More intents than this are shown by their category."""


def accuracy_chart(board: Leaderboard, looks: Mapping[str, Look]) -> str:
    """Draws each contender's exact-fact accuracy with its 95% interval.

    Args:
        board: The leaderboard.
        looks: How each contender is drawn.

    Returns:
        An `<svg>` element.
    """
    rows = [row.measures for row in reversed(board.standings) if row.measures.accuracy]
    with style():
        figure, axes = new_figure(0.8 + 0.5 * len(rows))
        for place, row in enumerate(rows):
            if row.accuracy:
                _interval(axes, place, row.accuracy, looks[row.contender].colour)
        name_rows(axes, [row.contender for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        _percent(axes, "exact facts stated")
        return svg(figure, "accuracy", "Exact-fact accuracy of each contender with intervals")


def intent_chart(baseline: Sequence[Answer], candidate: Sequence[Answer]) -> str:
    """Draws accuracy by intent, baseline and candidate side by side, with 95% intervals.

    Args:
        baseline: The baseline's answers.
        candidate: The candidate's answers to the same questions.

    Returns:
        An `<svg>` element; intents are merged into categories where there are more than
        `MOST_BARS`.
    """
    grouped = len({answer.intent for answer in candidate}) > MOST_BARS
    theirs, ours = _by_group(baseline, grouped), _by_group(candidate, grouped)
    names = sorted(ours, key=lambda name: ours[name].mean)
    counts = Counter(_group(answer, grouped) for answer in candidate if answer.facts)
    with style():
        figure, axes = new_figure(1.0 + 0.34 * len(names))
        for place, name in enumerate(names):
            labels = ("candidate", "baseline") if place == 0 else ("", "")
            _interval(axes, place + 0.14, ours[name], CANDIDATE, labels[0])
            _interval(axes, place - 0.14, theirs[name], BASELINE, labels[1])
        name_rows(axes, [f"{name.replace('_', ' ')} ({counts[name]})" for name in names])
        axes.set_ylim(-0.7, len(names) - 0.3)
        _percent(axes, "exact facts stated")
        legend(axes)
        return svg(figure, "intents", "Exact-fact accuracy by intent")


def _by_group(answers: Sequence[Answer], by_category: bool) -> dict[str, Interval]:
    scores: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        score = exact_fact_score(answer)
        if score is not None:
            scores[_group(answer, by_category)].append(score)
    return {name: bootstrap_interval(values) for name, values in scores.items()}


def _group(answer: Answer, by_category: bool) -> str:
    """The intent, or its category: what stands before the first underscore."""
    return answer.intent.partition("_")[0] if by_category else answer.intent


def _interval(axes: Axes, place: float, value: Interval, colour: str, label: str = "") -> None:
    """A bar to the mean and a line over the interval, in percent."""
    mean, low, high = 100 * value.mean, 100 * value.low, 100 * value.high
    axes.barh(place, mean, height=0.26, color=colour, alpha=0.55, label=label or None)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
    axes.plot([mean], [place], "o", color=colour, markersize=4.5)


def _percent(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 102)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_xlabel(label)
