"""What a quantized model kept of its quality, with what certainty, and what it gave for that.

Recovery is after / before for what should be high, and before / after for perplexity: 1 when
nothing was lost, and more than 1 when the quantized model happens to be better. Speed and size are
factors, no recovery: they are what quality was given for.
"""

from components.core.llm import Frozen
from components.core.stats import Interval
from components.evaluate.recovery.quantization import Quantization
from components.evaluate.recovery.served_figures import Load, ServedFigures

TARGET = 0.98
"""The recovery that a release should show; what stops one is the file of gates."""


class Recovered(Frozen):
    """One metric of quality before and after, over the same questions or dialogues."""

    metric: str
    """`perplexity`, `accuracy`, `geval` or `benchmark.<name>`."""
    n: int
    """Questions, or dialogues for perplexity, where both sides have a figure."""
    before: float
    """Shares in [0, 1], G-Eval from 1 to 5."""
    after: float
    recovery: Interval | None
    """As a share, with its paired 95% bootstrap interval; None where there is none."""
    note: str = ""
    """Why there is no recovery."""


class Speed(Frozen):
    """How fast both are at one concurrency."""

    before: Load
    after: Load

    @property
    def throughput(self) -> float:
        """Output tokens a second after, in those before: more than 1 is faster."""
        return self.after.tokens_per_second / self.before.tokens_per_second


class Side(Frozen):
    """One of the two models."""

    contender: str
    weights: str
    machine: str
    """What it was served on while it was measured."""
    dequantized: bool
    """Served as plain numbers, since the machine has no kernel for its format."""
    loss: float
    """Held-out, in nats per answer token."""


class Recovery(Frozen):
    """A quantized model against what it was before."""

    before: Side
    after: Side
    metrics: tuple[Recovered, ...]
    missing: dict[str, str]
    """Metrics that were not measured, each with the reason."""
    judge: str
    """Who gave the scores of G-Eval; empty where nobody was asked."""
    speeds: tuple[Speed, ...]
    """One a concurrency, lowest first."""
    answer_tokens: int
    """Length of every answer whose speed was measured."""
    quantization: Quantization

    @property
    def size(self) -> float:
        """How many times smaller the weights are."""
        before, after = self.quantization.sizes
        return before / after

    @property
    def lowest(self) -> Recovered | None:
        """The metric that kept least, by its figure and not by its interval."""
        known = [each for each in self.metrics if each.recovery]
        return min(known, key=lambda one: one.recovery.mean if one.recovery else 0, default=None)

    def figures(self) -> dict[str, Interval]:
        """Gives the figures that gates may name.

        Returns:
            Recovery as a share by metric, and `lowest`: the lowest figure, and the lowest ends of
            the intervals, of whichever metric each is. Metrics without a recovery are absent.
        """
        found = {each.metric: each.recovery for each in self.metrics if each.recovery}
        if found:
            parts = list(found.values())
            ends = (min(one[place] for one in map(_ends, parts)) for place in range(3))
            found["lowest"] = Interval(*ends)
        return found


def _ends(one: Interval) -> tuple[float, float, float]:
    return one.mean, one.low, one.high


def speeds(before: ServedFigures, after: ServedFigures) -> tuple[Speed, ...]:
    """Pairs the loads of two models by concurrency, lowest first; others are left out."""
    ours = {load.concurrency: load for load in after.loads}
    theirs = sorted(before.loads, key=lambda load: load.concurrency)
    return tuple(
        Speed(before=load, after=ours[load.concurrency])
        for load in theirs
        if load.concurrency in ours
    )


def flat(recovery: Recovery) -> dict[str, float]:
    """Lists the figures under flat names, as KFP's `dsl.Metrics` wants them.

    Args:
        recovery: Of a quantized model.

    Returns:
        `recovery.<metric>` as a share with the ends of its interval, `size_factor` and
        `throughput_factor_<concurrency>`, after / before; no speed that is not the model's own.
    """
    found: dict[str, float] = {}
    for name, value in recovery.figures().items():
        found[f"recovery.{name}"] = value.mean
        found[f"recovery.{name}_low"] = value.low
        found[f"recovery.{name}_high"] = value.high
    found["size_factor"] = 1 / recovery.size
    for speed in () if recovery.after.dequantized else recovery.speeds:
        found[f"throughput_factor_{speed.before.concurrency}"] = speed.throughput
    return found
