"""The loss curve as a picture in an HTML page."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from components.core.schemas import LossPoint
from components.core.whole_files import write_text

LABELS = {"train": "train", "heldout": "held-out phrasing"}
COLOURS = {"train": "#7a869a", "heldout": "#0b6e4f"}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>SFT loss</title>
<style>
body {{ font-family: system-ui, sans-serif; max-width: 860px; margin: 2rem auto; padding: 0 1rem }}
svg {{ width: 100%; height: auto }}
</style>
<h1>Loss of the fine-tuning</h1>
<p>Cross-entropy on the tokens of the answers alone; log scale. Held-out questions are
in phrasings that training never shows.</p>
{picture}</html>
"""


def draw(points: Sequence[LossPoint]) -> Figure:
    """Draws train and held-out loss against the number of updates.

    Args:
        points: The curve; the base model's held-out loss becomes a dashed line.

    Returns:
        A figure with one logarithmic axis of nats per answer token.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for series, label in LABELS.items():
        chosen = [point for point in points if point.series == series]
        steps = [point.step for point in chosen]
        losses = [point.loss for point in chosen]
        axes.plot(steps, losses, label=label, color=COLOURS[series])
    for point in points:
        if point.series == "heldout_base":
            axes.axhline(point.loss, ls="--", lw=1, color="#b5541c", label="base model, held-out")
    axes.set(xlabel="updates", ylabel="cross-entropy, nats per answer token", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
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
    write_text(path, PAGE.format(picture=svg[svg.index("<svg") :]))
