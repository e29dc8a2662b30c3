"""Bootstrap intervals: how sure a mean, or a difference of two means, is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.core.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its confidence interval, all in the unit of the values."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Gives the mean of a sample and its bootstrap percentile interval.

    The percentile interval of Efron and Tibshirani, An Introduction to the Bootstrap (1993),
    chapter 13: the `(1 - confidence) / 2` and `(1 + confidence) / 2` quantiles of the means of
    `resamples` samples drawn with replacement.

    Args:
        values: n >= 1 finite numbers, one an independent unit (for example a question).
        confidence: Coverage aimed at, in (0, 1).
        resamples: Number of bootstrap samples.
        seed: Equal seeds and values give equal intervals.

    Returns:
        The mean and the interval; with one value, or with equal values, all three are the same,
        which says that the sample cannot show its spread, not that there is none.

    Raises:
        BadInputError: There are no values, or one of them is not a finite number.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise BadInputError(
            f"A bootstrap interval needs finite numbers, at least one; got {sample.size} values "
            f"with {int((~np.isfinite(sample)).sum())} not finite."
        )
    mean = float(sample.mean())
    if np.ptp(sample) == 0:
        return Interval(mean, mean, mean)
    options = {"n_resamples": resamples, "confidence_level": confidence, "batch": 256}
    rng = np.random.default_rng(seed)
    found = stats.bootstrap((sample,), np.mean, method="percentile", rng=rng, **options)
    low, high = found.confidence_interval
    return Interval(mean, float(low), float(high))


def paired_difference(
    candidate: Sequence[float],
    baseline: Sequence[float],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Gives the mean of `candidate - baseline` over the same units, with its interval.

    The pairs are resampled together, so what makes a question hard for both cancels out: the
    paired bootstrap of Koehn, Statistical Significance Tests for Machine Translation Evaluation
    (EMNLP 2004), section 3.

    Args:
        candidate: n numbers.
        baseline: n numbers of the same units in the same order.
        confidence: Coverage aimed at, in (0, 1).
        resamples: Number of bootstrap samples.
        seed: Equal seeds and values give equal intervals.

    Returns:
        The mean difference (positive: the candidate has more) and its percentile interval.

    Raises:
        BadInputError: The lengths differ, or there are no finite values.
    """
    if len(candidate) != len(baseline):
        raise BadInputError(
            f"A paired difference needs the same units on both sides; got {len(candidate)} for "
            f"the candidate and {len(baseline)} for the baseline."
        )
    pairs = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return bootstrap_interval(pairs.tolist(), confidence, resamples, seed)
