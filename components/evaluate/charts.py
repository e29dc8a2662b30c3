"""Plots as SVG text to be put into an HTML page, which follow the page's light or dark colours.

Matplotlib draws with marker colours; each is then replaced by a CSS variable of the page.
"""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.core.llm import ANSWER_LIMIT_SECONDS
from components.core.outcomes import exact_fact_score, outcome
from components.core.schemas import Answer, LossPoint
from components.core.stats import Interval, bootstrap_interval
from components.evaluate.leaderboard import Leaderboard

INK, MUTED, GRID, BASELINE, TUNED, ACCENT = (
    *("#010101", "#020202", "#030303", "#040404", "#050505", "#060606"),
)
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    BASELINE: "var(--baseline)",
    TUNED: "var(--tuned)",
    ACCENT: "var(--accent)",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
STROKES = ("-", "--", ":", "-.")
"""One for each contender, which all have one colour."""
WIDTH = 4.9
"""Inches; narrow, so that the text can still be read on a phone."""
MOST_BARS = 24
"""More intents than this are shown by their category."""


def accuracy_chart(board: Leaderboard) -> str:
    """Draws each contender's exact-fact accuracy with its 95% interval.

    Args:
        board: The leaderboard.

    Returns:
        An `<svg>` element.
    """
    rows = [row.measures for row in reversed(board.standings) if row.measures.accuracy]
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(0.8 + 0.5 * len(rows))
        for place, row in enumerate(rows):
            colour = BASELINE if row.contender == board.baseline else TUNED
            if row.accuracy:
                _interval(axes, place, row.accuracy, colour)
        axes.set_yticks(range(len(rows)), [row.contender for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        _percent(axes, "exact facts stated")
        return _svg(figure, "accuracy", "Exact-fact accuracy of each contender with intervals")


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
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(1.0 + 0.34 * len(names))
        for place, name in enumerate(names):
            _interval(axes, place + 0.14, ours[name], TUNED, label=place == 0 and "candidate")
            if name in theirs:
                _interval(
                    axes, place - 0.14, theirs[name], BASELINE, label=place == 0 and "baseline"
                )
        counts = Counter(_group(answer, grouped) for answer in candidate if answer.facts)
        labels = [f"{name.replace('_', ' ')} ({counts[name]})" for name in names]
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(-0.7, len(names) - 0.3)
        _percent(axes, "exact facts stated")
        _legend(axes)
        return _svg(figure, "intents", "Exact-fact accuracy by intent")


def loss_chart(losses: Sequence[LossPoint]) -> str:
    """Draws the loss of training and of held-out dialogues by step, log scale.

    Args:
        losses: Points of `train`, `heldout` and `heldout_base`, in nats per answer token.

    Returns:
        An `<svg>` element.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(3.0)
        _curve(axes, losses, "train", BASELINE, "train")
        _curve(axes, losses, "heldout", TUNED, "held-out", marker="o", markersize=3.5)
        for point in losses:
            if point.series == "heldout_base":
                axes.axhline(point.loss, color=ACCENT, linestyle="--", label="held-out, untuned")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss, nats per answer token")
        _legend(axes)
        return _svg(figure, "loss", "Loss on training and held-out dialogues by step")


def latency_chart(contenders: Sequence[Sequence[Answer]], baseline: str) -> str:
    """Draws the share of questions with a full answer within t seconds, with the limit.

    Args:
        contenders: Answers of each contender.
        baseline: The baseline's name.

    Returns:
        An `<svg>` element; errors and timeouts never arrive, so a curve may end below 100%.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(2.6)
        others = cycle(STROKES)
        for answers in contenders:
            times = sorted(
                a.latency_seconds for a in answers if outcome(a) not in ("error", "timeout")
            )
            shares = np.arange(1, len(times) + 1) / len(answers) * 100
            name = answers[0].contender
            colour, stroke = (BASELINE, "-") if name == baseline else (TUNED, next(others))
            axes.step(times, shares, where="post", color=colour, linestyle=stroke, label=name)
        axes.axvline(ANSWER_LIMIT_SECONDS, color=ACCENT, linestyle="--", label="2 min limit")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(0, 103)
        axes.set_xlabel("seconds from question to full answer")
        axes.set_ylabel("answered, %")
        _legend(axes)
        return _svg(figure, "latency", "Share of questions answered within a time")


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


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _interval(
    axes: Axes, place: float, value: Interval, colour: str, label: str | bool = False
) -> None:
    """A bar to the mean and a line over the interval, in percent."""
    mean, low, high = 100 * value.mean, 100 * value.low, 100 * value.high
    axes.barh(place, mean, height=0.26, color=colour, alpha=0.55, label=label or None)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="round")
    axes.plot([mean], [place], "o", color=colour, markersize=4.5)


def _percent(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 102)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def _curve(
    axes: Axes, losses: Sequence[LossPoint], series: str, colour: str, label: str, **style: object
) -> None:
    points = sorted((p.step, p.loss) for p in losses if p.series == series)
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, label=label, **style)  # type: ignore[arg-type]


def _legend(axes: Axes) -> None:
    """A legend above the plot, so that it never hides a curve."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0.2)


def _svg(figure: Figure, name: str, description: str) -> str:
    """Gives the figure as an SVG element that scales, and says what it shows."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg)", "", text.getvalue(), count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'id="([A-Za-z]+_\d+)"', rf'id="{name}-\1"', svg)
    for marker, variable in _VARIABLES.items():
        svg = svg.replace(marker, variable)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
