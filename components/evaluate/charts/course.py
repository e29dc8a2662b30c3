"""Plots over time: the loss by step of training, and how long answers took."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from components.core.llm import ANSWER_LIMIT_SECONDS
from components.core.outcomes import outcome
from components.core.schemas import Answer, LossPoint
from components.evaluate.charts.frame import (
    ACCENT,
    BASELINE,
    CANDIDATE,
    Look,
    legend,
    new_figure,
    style,
    svg,
)


def loss_chart(losses: Sequence[LossPoint]) -> str:
    """Draws the loss of training and of held-out dialogues by step, log scale.

    Args:
        losses: Points of `train`, `heldout` and `heldout_base`, in nats per answer token.

    Returns:
        An `<svg>` element.
    """
    with style():
        figure, axes = new_figure(3.0)
        _curve(axes, losses, "train", BASELINE, "train")
        _curve(axes, losses, "heldout", CANDIDATE, "held-out", marker="o", markersize=3.5)
        for point in losses:
            if point.series == "heldout_base":
                axes.axhline(point.loss, color=ACCENT, linestyle="--", label="held-out, untuned")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss, nats per answer token")
        legend(axes)
        return svg(figure, "loss", "Loss on training and held-out dialogues by step")


def latency_chart(contenders: Sequence[Sequence[Answer]], looks: Mapping[str, Look]) -> str:
    """Draws the share of questions with a full answer within t seconds, with the limit.

    Args:
        contenders: Answers of each contender.
        looks: How each contender is drawn.

    Returns:
        An `<svg>` element; errors and timeouts never arrive, so a curve may end below 100%.
    """
    with style():
        figure, axes = new_figure(2.6 + 0.1 * len(contenders))
        for answers in contenders:
            times = sorted(
                a.latency_seconds for a in answers if outcome(a) not in ("error", "timeout")
            )
            shares = np.arange(1, len(times) + 1) / len(answers) * 100
            name = answers[0].contender
            look = looks[name]
            axes.step(
                *(times, shares), where="post", color=look.colour, linestyle=look.stroke, label=name
            )
        axes.axvline(ANSWER_LIMIT_SECONDS, color=ACCENT, linewidth=1.2, label="2 min limit")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("seconds to the full answer, log scale")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.set_ylim(0, 103)
        legend(axes, columns=2)
        return svg(figure, "latency", "Share of questions answered within a time")


def _curve(
    axes: Axes, losses: Sequence[LossPoint], series: str, colour: str, label: str, **look: object
) -> None:
    points = sorted((p.step, p.loss) for p in losses if p.series == series)
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, label=label, **look)  # type: ignore[arg-type]
