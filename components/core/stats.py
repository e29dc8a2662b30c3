"""How sure a mean, a difference or a ratio of two is: bootstrap intervals and a paired test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.core.errors import BadInputError

_AT_ONCE = 512
"""Sign flips in memory at once."""
_SLACK = 1e-12
"""Sums of the same numbers in another order differ by this much, as a share."""


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
    sample = _finite(np.asarray(values, dtype=np.float64))
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
    pairs = _differences(candidate, baseline)
    return bootstrap_interval(pairs.tolist(), confidence, resamples, seed)


def paired_ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Gives the ratio of two sums over the same units, with its interval.

    The ratio estimator of Efron and Tibshirani, An Introduction to the Bootstrap (1993), section
    10.3, with its percentile interval: the pairs are resampled together, so what makes a unit hard
    for both cancels out.

    Args:
        numerators: n numbers, one an independent unit (for example a question).
        denominators: n numbers, not negative, of the same units in the same order.
        confidence: Coverage aimed at, in (0, 1).
        resamples: Number of bootstrap samples.
        seed: Equal seeds and values give equal intervals.

    Returns:
        `sum(numerators) / sum(denominators)` as `mean`, and its interval; None where the
        denominators, or those of one of the resamples, are all 0: then there is no ratio, or no
        end of its interval.

    Raises:
        BadInputError: The lengths differ, there are no finite values, or a denominator is negative.
    """
    _differences(numerators, denominators)
    over, under = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if (under < 0).any():
        raise BadInputError(f"A ratio needs denominators from 0 up; got {under.min():g}.")
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, under.size, under.size) for _ in range(resamples))
    sums = np.array([(over[drawn].sum(), under[drawn].sum()) for drawn in draws])
    if not under.any() or not sums[:, 1].all():
        return None
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], ends)
    return Interval(float(over.sum() / under.sum()), float(low), float(high))


def paired_test(
    candidate: Sequence[float],
    baseline: Sequence[float],
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    """Tests whether two contenders have the same mean over the same units.

    The paired randomization test of Cohen, Empirical Methods for Artificial Intelligence (1995),
    section 5.3, the one that Smucker, Allan and Carterette, A Comparison of Statistical
    Significance Tests for Information Retrieval Evaluation (CIKM 2007) recommend: if the two were
    alike, the sign of each difference could as well be the other one. The p-value is the share of
    random sign flips whose mean difference is at least as far from 0 as the one seen, that one
    counted in (Phipson and Smyth 2010), so it is never 0. Few units are flipped in every way
    instead. SciPy's `permutation_test` gives the same, more slowly.

    Args:
        candidate: n >= 1 finite numbers.
        baseline: n numbers of the same units in the same order.
        resamples: Number of random flips; the smallest p-value is `1 / (resamples + 1)`.
        seed: Equal seeds and values give equal p-values.

    Returns:
        The two-sided p-value, in (0, 1]; 1 when no unit differs.

    Raises:
        BadInputError: The lengths differ, or there are no finite values.
    """
    pairs = _differences(candidate, baseline)
    changing = pairs[pairs != 0]  # the sign of a zero changes nothing, but costs a flip
    if not changing.size:
        return 1.0
    sums = np.abs(_flipped_sums(changing, resamples, seed))
    seen = abs(changing.sum()) * (1 - _SLACK)
    if sums.size == 2**changing.size:
        return float(np.mean(sums >= seen))
    return float((np.sum(sums >= seen) + 1) / (sums.size + 1))


def _flipped_sums(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Sums under random signs, or under all of them where these are not more."""
    if 2**values.size <= resamples:
        bits = np.arange(2**values.size)[:, None] >> np.arange(values.size) & 1
        return np.asarray((2 * bits - 1) @ values)
    rng = np.random.default_rng(seed)
    starts = range(0, resamples, _AT_ONCE)
    shapes = [(min(_AT_ONCE, resamples - start), values.size) for start in starts]
    return np.concatenate([(2 * rng.integers(0, 2, s, np.int8) - 1) @ values for s in shapes])


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Corrects p-values for having tested several hypotheses at once.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure (Scandinavian Journal of
    Statistics 1979): the k-th smallest of m is multiplied by `m - k + 1`, and none may be smaller
    than the one before it. Whatever is below a level then keeps the chance of even one false
    discovery under that level.

    Args:
        p_values: m numbers in [0, 1], in any order; may be empty.

    Returns:
        The corrected p-values, in the order given.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return tuple(corrected)


def _differences(candidate: Sequence[float], baseline: Sequence[float]) -> NDArray[np.float64]:
    if len(candidate) != len(baseline):
        raise BadInputError(
            f"A paired difference needs the same units on both sides; got {len(candidate)} for "
            f"the candidate and {len(baseline)} for the baseline."
        )
    return _finite(np.asarray(candidate, np.float64) - np.asarray(baseline, np.float64))


def _finite(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    if sample.size == 0 or not np.isfinite(sample).all():
        raise BadInputError(
            f"An interval or a test needs finite numbers, at least one; got {sample.size} values "
            f"with {int((~np.isfinite(sample)).sum())} not finite."
        )
    return sample
