"""Plots of quantization: what was kept of each metric, and how fast both models write."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from components.core.stats import Interval
from components.evaluate.charts.frame import (
    ACCENT,
    BASELINE,
    CANDIDATE,
    MUTED,
    legend,
    name_rows,
    new_figure,
    style,
    svg,
)

MARGIN = 1.0
"""Percent left free beside the intervals."""


def recovery_chart(metrics: Mapping[str, Interval], target: float) -> str:
    """Draws what was kept of each metric with its 95% interval, beside a line at the target.

    Args:
        metrics: Recovery as a share by the metric's name, the first at the top.
        target: The share that should be kept.

    Returns:
        An `<svg>` element; empty where there is no metric.
    """
    if not metrics:
        return ""
    names = list(metrics)[::-1]
    with style():
        figure, axes = new_figure(1.05 + 0.42 * len(names))
        axes.axvline(100, color=MUTED, linewidth=1, label="nothing lost")
        axes.axvline(
            100 * target, color=ACCENT, linewidth=1.4, linestyle="--", label=f"{target:.0%}"
        )
        for place, name in enumerate(names):
            _interval(axes, place, metrics[name])
        name_rows(axes, names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        ends = [100 * n for one in metrics.values() for n in (one.low, one.high)]
        axes.set_xlim(min(*ends, 100 * target) - MARGIN, max(*ends, 100) + MARGIN)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.set_xlabel("kept of what it was before")
        legend(axes)
        return svg(figure, "recovery", "What quantization kept of each metric, with intervals")


def throughput_chart(
    before: Sequence[tuple[int, float]], after: Sequence[tuple[int, float]], names: tuple[str, str]
) -> str:
    """Draws tokens a second against requests in flight, both on a log scale.

    Args:
        before: Concurrency and output tokens a second of the model before.
        after: The same of the quantized model.
        names: What the two are called.

    Returns:
        An `<svg>` element; empty where nothing was timed.
    """
    if not before:
        return ""
    with style():
        figure, axes = new_figure(2.9)
        for points, name, colour in zip((before, after), names, (BASELINE, CANDIDATE), strict=True):
            flights, speeds = zip(*points, strict=True)
            axes.plot(flights, speeds, "o-", color=colour, label=name, markersize=4.5)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(flights, [f"{n}" for n in flights])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("requests in flight")
        axes.set_ylabel("output tokens a second")
        legend(axes)
        return svg(figure, "throughput", "Output tokens a second by requests in flight")


def _interval(axes: Axes, place: int, value: Interval) -> None:
    low, mean, high = 100 * value.low, 100 * value.mean, 100 * value.high
    axes.plot([low, high], [place, place], color=CANDIDATE, linewidth=2.2, solid_capstyle="round")
    axes.plot([mean], [place], "o", color=CANDIDATE, markersize=5.5)
