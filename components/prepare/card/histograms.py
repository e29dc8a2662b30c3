"""Histograms that fit a page: few bins of a round width, the long tail in the last one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from components.prepare.card.card_input import Histogram, Lengths

MOST_BINS = 20
TAIL = 0.02
"""Share of the longest texts that may fall together into the last bin."""
SCORE_WIDTH = 0.5
"""A judge's scores are 1 to 5, with fractions (Liu et al. 2023, arXiv:2303.16634)."""


def describe_lengths(counts: Mapping[int, int]) -> Lengths:
    """Describes the lengths of texts.

    Args:
        counts: Length in characters -> number of texts; at least one text.

    Returns:
        Mean, quantiles (the smallest length that at least such a share of texts does not exceed)
        and a histogram of at most `MOST_BINS` bins.
    """
    total = sum(counts.values())
    return Lengths(
        mean=sum(length * rows for length, rows in counts.items()) / total,
        median=quantile(counts, 0.5),
        p95=quantile(counts, 0.95),
        longest=max(counts),
        histogram=length_histogram(counts),
    )


def quantile(counts: Mapping[int, int], share: float) -> int:
    """Gives the smallest value that at least `share` of the total does not exceed."""
    wanted = share * sum(counts.values())
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        if reached >= wanted:
            break
    return value


def length_histogram(counts: Mapping[int, int]) -> Histogram:
    """Counts lengths in bins of 1, 2 or 5 times a power of ten characters.

    Args:
        counts: Length in characters -> number of texts; at least one text.

    Returns:
        Bins from the shortest text's to the longest's, as narrow as all but the longest fiftieth
        allow; where the longest do not fit, the last bin takes them all.
    """
    low, high = min(counts), quantile(counts, 1 - TAIL)
    width = next(w for w in _round_widths() if high // w - low // w < MOST_BINS)
    first, last = low // width, max(counts) // width
    if last - first >= MOST_BINS:
        last = high // width
    bins = Counter[int]()
    for length, rows in counts.items():
        bins[min(length // width, last)] += rows
    return Histogram(
        first=first * width,
        width=width,
        counts=tuple(bins[index] for index in range(first, last + 1)),
        open_end=max(counts) // width > last,
    )


def split_scores(scores: Iterable[float], threshold: float) -> tuple[Histogram, Histogram]:
    """Counts a judge's scores apart: those that pass, and the others.

    Args:
        scores: Each in [1, 5].
        threshold: The least score that passes.

    Returns:
        Passed and failed, in the bins of `score_histogram`.
    """
    counts = Counter(scores)
    passed = {score: rows for score, rows in counts.items() if score >= threshold}
    return score_histogram(passed), score_histogram(counts - Counter(passed))


def score_histogram(scores: Mapping[float, int]) -> Histogram:
    """Counts a judge's scores from 1 to 5 in eight bins; 5 itself falls into the last.

    Args:
        scores: Score in [1, 5] -> number of rows.
    """
    bins = round(4 / SCORE_WIDTH)
    counts = Counter[int]()
    for score, rows in scores.items():
        counts[min(int((score - 1) / SCORE_WIDTH), bins - 1)] += rows
    return Histogram(first=1, width=SCORE_WIDTH, counts=tuple(counts[i] for i in range(bins)))


def _round_widths() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
