"""What ORPO changed on held-out pairs, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from components.core.stats import Interval, bootstrap_interval, paired_difference
from components.train.training_run import TrainingSummary


@dataclass(frozen=True)
class Preferences:
    """How a model tells better answers from worse ones; intervals are 95% bootstrap ones."""

    accuracy: Interval
    """Share of pairs whose chosen answer has the higher mean log-probability per token."""
    margin: Interval
    """Log odds of the chosen answer minus log odds of the rejected one, mean over pairs."""


@dataclass(frozen=True)
class OrpoSummary:
    """What an ORPO run came to; losses are those of ORPO, in nats."""

    training: TrainingSummary
    train_pairs: int
    heldout_pairs: int
    before: Preferences
    """Before the first update: of the adapter that training goes on from."""
    after: Preferences
    """Of the weights that are kept."""
    gain: Preferences
    """After minus before over the same pairs; an interval above 0 says that it rose."""

    def figures(self) -> dict[str, float]:
        """Gives everything by name: `preference_accuracy`, `base_...`, `..._gain`, `..._low`."""
        named = {"{}": self.after, "base_{}": self.before, "{}_gain": self.gain}
        return {
            **asdict(self.training),
            "train_pairs": self.train_pairs,
            "heldout_pairs": self.heldout_pairs,
            **_flat({name: values.accuracy for name, values in named.items()}, "accuracy"),
            **_flat({name: values.margin for name, values in named.items()}, "margin"),
        }


def preferences(margins: Sequence[float]) -> Preferences:
    """Sums margins up.

    Args:
        margins: One a pair, at least one.
    """
    return Preferences(bootstrap_interval(_right(margins)), bootstrap_interval(margins))


def gain(after: Sequence[float], before: Sequence[float]) -> Preferences:
    """Compares margins of the same pairs.

    Args:
        after: Of the trained model.
        before: Of the model that it began as.
    """
    return Preferences(
        paired_difference(_right(after), _right(before)), paired_difference(after, before)
    )


def _right(margins: Sequence[float]) -> list[float]:
    return [float(margin > 0) for margin in margins]


def _flat(intervals: Mapping[str, Interval], kind: str) -> dict[str, float]:
    ends = ("", "_low", "_high")
    return {
        name.format(f"preference_{kind}") + end: value
        for name, interval in intervals.items()
        for end, value in zip(ends, (interval.mean, interval.low, interval.high), strict=True)
    }
