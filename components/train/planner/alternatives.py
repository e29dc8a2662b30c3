"""The fewest changes that make something fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Options = Mapping[str, Any]
"""Fields to change and their new values; `gpus` is their count."""


def what_fits(axes: Sequence[Sequence[Options]], fits: Callable[[Options], bool]) -> list[Options]:
    """Looks for the fewest options to change.

    Args:
        axes: For each thing that may change its changes, the mildest first.
        fits: Whether it fits with all of these changed.

    Returns:
        For each smallest choice of axes its mildest change that fits; empty where nothing does.
    """
    for size in range(1, len(axes) + 1):
        found = [
            next(filter(fits, map(_joined, product(*chosen))), None)
            for chosen in combinations(axes, size)
        ]
        if any(found):
            return [options for options in found if options]
    return []


def halves(number: int, least: int) -> Iterator[int]:
    """Gives half of a number, half of that, and so on, down to the least that is wanted."""
    while (number := number // 2) >= least:
        yield number


def _joined(parts: Sequence[Options]) -> Options:
    return {name: value for part in parts for name, value in part.items()}
