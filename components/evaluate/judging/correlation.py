"""Rank correlation that says when there is none to speak of."""

from collections.abc import Sequence

from scipy import stats


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Gives Spearman's rank correlation, ties sharing their mean rank.

    Args:
        left: n numbers.
        right: n numbers of the same units in the same order.

    Returns:
        A number in [-1, 1]; None when one side does not vary, since nothing is ranked then.
    """
    if len(set(left)) < 2 or len(set(right)) < 2:  # noqa: PLR2004
        return None
    return float(stats.spearmanr(left, right).statistic)
