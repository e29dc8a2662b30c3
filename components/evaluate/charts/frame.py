"""What all plots share: size, style, a look for each contender, and SVG in the page's own colours.

Matplotlib draws with marker colours; each is then replaced by a CSS variable of the page, so that
a plot follows the page's light or dark colours.
"""

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID, BASELINE, CANDIDATE, ACCENT = (
    *("#010101", "#020202", "#030303", "#040404", "#050505", "#060606"),
)
OTHERS = ("#070707", "#080808", "#090909", "#0a0a0a")
"""Colours of the contenders that are neither the baseline nor the candidate."""
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    BASELINE: "baseline",
    CANDIDATE: "candidate",
    ACCENT: "accent",
    **{colour: f"other{place}" for place, colour in enumerate(OTHERS, 1)},
}
"""CSS variables of the page, by the marker that they replace."""
STROKES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
"""Beside the colours, for a reader who cannot tell these apart."""
WIDTH = 4.9
"""Inches; narrow, so that the text can still be read on a phone."""
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


class Look(NamedTuple):
    """How a contender is drawn, in every plot of a page."""

    colour: str
    stroke: Any
    """As Matplotlib takes it."""

    @property
    def variable(self) -> str:
        """The CSS variable of its colour."""
        return VARIABLES[self.colour]


def looks(contenders: Sequence[str], baseline: str, candidate: str) -> dict[str, Look]:
    """Gives each contender its colour and stroke.

    Args:
        contenders: Their names, in any fixed order.
        baseline: Drawn grey.
        candidate: Drawn in the page's main colour.

    Returns:
        Looks by name; the other contenders' colours repeat after four.
    """
    found = {baseline: Look(BASELINE, "-"), candidate: Look(CANDIDATE, "-")}
    rest = [name for name in contenders if name not in found]
    others = map(Look, cycle(OTHERS), cycle(STROKES))
    return found | dict(zip(rest, others, strict=False))


def style() -> AbstractContextManager[None]:
    """Sets the plots' style for a `with` block."""
    context: AbstractContextManager[None] = mpl.rc_context(_STYLE)
    return context


def new_figure(height: float, **options: Any) -> tuple[Figure, Axes]:
    """Makes a figure of one plot.

    Args:
        height: In inches.
        options: For `Figure.subplots`.

    Returns:
        The figure and its axes.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**options)


def legend(axes: Axes, columns: int = 3, above: float = 1.0) -> None:
    """Puts a legend above the plot, so that it never hides a curve.

    Args:
        axes: The plot.
        columns: Of the legend.
        above: Where its lower edge is, in heights of the plot.
    """
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, above), ncols=columns, borderaxespad=0.2)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Labels the rows of a plot that has one a name, from the bottom up."""
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def svg(figure: Figure, name: str, description: str) -> str:
    """Gives a figure as an SVG element that scales, and says what it shows.

    Args:
        figure: Drawn within `style()`.
        name: Goes before the ids inside, so that two plots of a page do not mix.
        description: For a reader who hears the page.

    Returns:
        An `<svg>` element.
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    found = re.sub(r"^.*?(?=<svg)", "", text.getvalue(), count=1, flags=re.DOTALL)
    found = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", found, flags=re.DOTALL)
    found = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", found, count=1)
    found = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", found, count=1)
    found = re.sub(r'id="([A-Za-z]+_\d+)"', rf'id="{name}-\1"', found)
    for marker, variable in VARIABLES.items():
        found = found.replace(marker, f"var(--{variable})")
    found = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", found)
    return found.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
