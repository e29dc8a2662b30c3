"""Gates: what a candidate must show before it is released, as data, and what is said when it fails.

A gate names a figure of the leaderboard and a limit. A figure that was not measured fails its
gate: a check that was left out has not been passed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from components.core.errors import GateError
from components.core.llm import Frozen
from components.core.recipes import load_recipe
from components.core.stats import Interval

Figure: TypeAlias = float | Interval
"""A number, or a mean with its interval."""

OF_A_CONTENDER = (
    "accuracy",
    "complete",
    "answered",
    "within_limit",
    "latency_p50",
    "latency_p95",
    "first_token_p50",
    "first_token_p95",
    "cost_per_1000",
    "geval.overall",
    "geval.scored",
    "geval.<criterion>",
)
"""Figures that `candidate.` and `baseline.` may stand before."""
METRICS = (
    *(f"candidate.{name}" for name in OF_A_CONTENDER),
    *(f"baseline.{name}" for name in OF_A_CONTENDER),
    *("difference.accuracy", "difference.geval.overall", "difference.geval.<criterion>"),
    *("judge.spearman", "judge.kendall"),
    *("benchmark.<name>.difference", "benchmark.<name>.candidate", "benchmark.<name>.base"),
    *("recovery.accuracy", "recovery.geval", "recovery.perplexity", "recovery.benchmark.<name>"),
    "recovery.lowest",
)
"""Every figure that a gate may name; `<name>` stands for a word of the run."""
RECOVERY = "recovery."
"""What the figures of quantization begin with: shares of what they were before."""
MORE_DIGITS = 6
"""At most so many are added to tell a figure from its limit."""
WORDS = {"at_least": "at least", "at_most": "at most", "non_inferior": "above"}
_KNOWN = re.compile("|".join(re.sub(r"<\w+>", r"[\\w-]+", re.escape(name)) for name in METRICS))


def _known(metric: str) -> str:
    if not _KNOWN.fullmatch(metric):
        raise ValueError(f"there is no figure {metric!r}; there are: {', '.join(METRICS)}")
    return metric


class Gate(Frozen):
    """One condition of a release."""

    name: str = Field(min_length=1)
    metric: Annotated[str, AfterValidator(_known)]
    """One of `METRICS`. Shares and differences of shares are in [0, 1], recovery is a share of what
    it was before, G-Eval is in points of its scale from 1 to 5, times are in seconds."""
    kind: Literal["at_least", "at_most", "non_inferior"]
    """`non_inferior`: the lower end of the paired 95% interval lies above `-limit`, so the
    candidate is shown to be at most that much worse than the baseline. Of a recovery it lies above
    `1 - limit`, so the model is shown to have lost at most that share by quantization."""
    limit: float = Field(allow_inf_nan=False)
    """For `non_inferior` the margin, not negative."""
    why: str = Field(min_length=1)

    @property
    def bound(self) -> float:
        """What the deciding figure is held against."""
        nothing_lost = 1.0 if self.metric.startswith(RECOVERY) else 0.0
        return nothing_lost - self.limit if self.kind == "non_inferior" else self.limit

    @model_validator(mode="after")
    def _margin_of_a_difference(self) -> Self:
        paired = "difference" in self.metric or self.metric.startswith(RECOVERY)
        if self.kind == "non_inferior" and (self.limit < 0 or not paired):
            raise ValueError(
                "`non_inferior` needs a figure that is a difference, like `difference.accuracy`, "
                "or a recovery, and a margin that is not negative"
            )
        return self


class Gates(Frozen):
    """What stands in a file of gates."""

    gates: tuple[Gate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [gate.name for gate in self.gates]
        if len(set(names)) < len(names):
            raise ValueError("each gate needs a name of its own")
        return self


class GateVerdict(Frozen):
    """Whether a contender passed a gate."""

    contender: str
    gate: Gate
    figure: float | None
    """What was held against the limit; None when it was not measured."""
    passed: bool
    shown: str
    """The figure with its unit."""
    bound: str
    """What it must be, for example `at least 99.0%`."""
    sentence: str
    """The metric, the figure and the limit in words."""


class Measured(Protocol):
    """What gates are checked on: the leaderboard."""

    @property
    def candidate(self) -> str:
        """The contender that is to be released."""

    def figures(self, contender: str) -> Mapping[str, Figure]:
        """Everything that was measured, by the names of `METRICS`."""


def load_gates(path: Path) -> Gates:
    """Reads a file of gates.

    Args:
        path: YAML with the key `gates`.

    Returns:
        The gates.

    Raises:
        RecipeError: There is no such file, or a gate names an unknown figure or key.
    """
    return load_recipe(path, Gates)


def check_gates(board: Measured, gates: Gates, contender: str = "") -> tuple[GateVerdict, ...]:
    """Holds a contender's figures against the limits.

    Args:
        board: The leaderboard.
        gates: The conditions.
        contender: Who is checked; the board's candidate when empty.

    Returns:
        A verdict for each gate, in their order.
    """
    name = contender or board.candidate
    figures = board.figures(name)
    return tuple(_verdict(name, gate, figures.get(gate.metric)) for gate in gates.gates)


def enforce(verdicts: Sequence[GateVerdict]) -> None:
    """Stops a release that did not pass.

    Args:
        verdicts: Of the candidate.

    Raises:
        GateError: A gate failed; names each metric with its figure and limit.
    """
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        listed = "; ".join(f"{verdict.gate.name}: {verdict.sentence}" for verdict in failed)
        raise GateError(
            f"{failed[0].contender} does not pass {len(failed)} of {len(verdicts)} gates, and "
            f"nothing is published. {listed}. Look at the report, then mend the model or, with a "
            f"reason, the gate."
        )


def _verdict(contender: str, gate: Gate, figure: Figure | None) -> GateVerdict:
    decides = _deciding(gate, figure)
    digits = _digits(gate, decides)
    bound = f"{WORDS[gate.kind]} {written(gate.metric, gate.bound, digits)}"
    shown = "not measured" if decides is None else written(gate.metric, decides, digits)
    return GateVerdict(
        contender=contender,
        gate=gate,
        figure=decides,
        passed=decides is not None and _passes(gate, decides),
        shown=shown,
        bound=bound,
        sentence=_sentence(gate, figure, shown, bound),
    )


def _deciding(gate: Gate, figure: Figure | None) -> float | None:
    if isinstance(figure, Interval):
        return figure.low if gate.kind == "non_inferior" else figure.mean
    return figure


def _passes(gate: Gate, figure: float) -> bool:
    if gate.kind == "non_inferior":
        return figure > gate.bound
    return figure >= gate.bound if gate.kind == "at_least" else figure <= gate.bound


def _sentence(gate: Gate, figure: Figure | None, shown: str, bound: str) -> str:
    if figure is None:
        return f"{gate.metric} was not measured, so its gate is not passed (it must be {bound})"
    if gate.kind == "non_inferior" and isinstance(figure, Interval):
        mean = written(gate.metric, figure.mean)
        lower = f"{shown} at the lower end of its 95% interval"
        return f"{gate.metric} is {mean}, {lower}, and that must be {bound}"
    return f"{gate.metric} is {shown}, and must be {bound}"


def _digits(gate: Gate, figure: float | None) -> int:
    """So many more digits than usual that a figure beside its limit does not look like it."""
    for digits in range(MORE_DIGITS if figure is not None and figure != gate.bound else 0):
        if written(gate.metric, figure or 0.0, digits) != written(gate.metric, gate.bound, digits):
            return digits
    return 0


def written(metric: str, value: float, more_digits: int = 0) -> str:
    """Writes a figure in the unit of its metric.

    Args:
        metric: One of `METRICS`.
        value: As the leaderboard holds it.
        more_digits: How many to show beyond the usual ones.

    Returns:
        For example `+2.1 points`, `98.6%`, `4.37`, `12.3 s`.
    """
    one, two = 1 + more_digits, 2 + more_digits
    if metric.endswith("per_1000"):
        return f"{value:,.{two}f}"
    if metric.startswith("judge.") or (".geval." in metric and not metric.endswith(".scored")):
        return f"{value:{'+' if 'difference' in metric else ''}.{two}f}"
    if "latency" in metric or "first_token" in metric:
        return f"{value:.{one}f} s"
    return f"{100 * value:+.{one}f} points" if "difference" in metric else f"{100 * value:.{one}f}%"
