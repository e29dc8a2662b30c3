"""Rank correlation that says when there is none to speak of."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from scipy import stats


def rank_correlation(
    statistic: Callable[..., Any], left: Sequence[float], right: Sequence[float]
) -> float | None:
    """Gives a rank correlation.

    Args:
        statistic: Of SciPy, such as `scipy.stats.kendalltau`; ties are its own affair.
        left: n numbers.
        right: n numbers of the same units in the same order.

    Returns:
        A number in [-1, 1]; None when one side does not vary, since nothing is ranked then.
    """
    if min(len(set(left)), len(set(right))) < 2:  # noqa: PLR2004
        return None
    return float(statistic(left, right).statistic)


spearman = partial(rank_correlation, stats.spearmanr)
"""Spearman's, ties sharing their mean rank."""
