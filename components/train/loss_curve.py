"""The loss curve as a picture in an HTML page."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.core.schemas import LossPoint
from components.core.whole_files import write_text

LABELS = {"train": "train", "heldout": "held-out phrasing"}
COLOURS = {"train": "#7a869a", "heldout": "#0b6e4f", "heldout_base": "#b5541c"}
PREFERENCES = {
    "preference_accuracy": "better answer preferred,\nshare of held-out pairs",
    "preference_margin": "margin on held-out pairs,\nlog odds",
}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Loss curve</title>
<style>
body {{ font-family: system-ui, sans-serif; max-width: 860px; margin: 2rem auto; padding: 0 1rem }}
svg {{ width: 100%; height: auto }}
</style>
<h1>Loss of the fine-tuning</h1>
<p>{note} Held-out questions are in phrasings that training never shows.</p>
{picture}</html>
"""
ANSWERS = "Loss on the tokens of the answers alone; log scale."
PAIRS = """ORPO on pairs of a better and a worse answer: cross-entropy of the better one plus the
odds-ratio term, log scale. Below it, how well the two are told apart."""


def draw(points: Sequence[LossPoint]) -> Figure:
    """Draws train and held-out loss against the number of updates.

    Args:
        points: The curve; the held-out loss before the first update becomes a dashed line.

    Returns:
        A figure with a logarithmic axis of nats, and one for each figure of preferences.
    """
    extra = list(PREFERENCES) if _on_pairs(points) else []
    size, heights = (7, 3.6 + 1.6 * len(extra)), [3.6, *(1.6 for _ in extra)]
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1 + len(extra), height_ratios=heights, sharex=True, squeeze=False)
    loss, *others = grid[:, 0]
    _draw_losses(loss, points)
    for axes, name in zip(others, extra, strict=True):
        _draw_preference(axes, points, name)
    for axes in (loss, *others):
        axes.grid(alpha=0.3)
    (loss, *others)[-1].set_xlabel("updates")
    return figure


def write_html(points: Sequence[LossPoint], path: Path) -> None:
    """Writes the curve as a page of its own.

    Args:
        points: The curve.
        path: The HTML file.
    """
    picture = io.StringIO()
    draw(points).savefig(picture, format="svg")
    svg = picture.getvalue()
    note = PAIRS if _on_pairs(points) else ANSWERS
    write_text(path, PAGE.format(note=note, picture=svg[svg.index("<svg") :]))


def _on_pairs(points: Sequence[LossPoint]) -> bool:
    return any(point.preference_margin is not None for point in points)


def _draw_losses(axes: Axes, points: Sequence[LossPoint]) -> None:
    for series, label in LABELS.items():
        chosen = [point for point in points if point.series == series]
        steps = [point.step for point in chosen]
        losses = [point.loss for point in chosen]
        axes.plot(steps, losses, label=label, color=COLOURS[series])
    for point in points:
        if point.series == "heldout_base":
            label, colour = "before the first update, held-out", COLOURS[point.series]
            axes.axhline(point.loss, ls="--", lw=1, color=colour, label=label)
    unit = "ORPO's loss, nats" if _on_pairs(points) else "nats per answer token"
    axes.set(ylabel=unit, yscale="log")
    axes.legend(frameon=False)


def _draw_preference(axes: Axes, points: Sequence[LossPoint], name: str) -> None:
    """A figure of the held-out pairs from before the first update on."""
    chosen = [point for point in points if point.series != "train"]
    steps = [point.step for point in chosen]
    axes.plot(steps, [getattr(point, name) for point in chosen], marker="o", color="#0b6e4f")
    axes.axhline(getattr(chosen[0], name), ls="--", lw=1, color=COLOURS["heldout_base"])
    axes.set_ylabel(PREFERENCES[name], fontsize="small")
