"""Random rows of a stream whose length nobody knows."""

import random
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Generic, TypeVar

Item = TypeVar("Item")
_MISSING = object()


class Reservoir(Generic[Item]):
    """A uniform sample without replacement: Vitter's algorithm R (1985, doi:10.1145/3147.3165)."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self.items: list[Item] = []
        """At most `size` of the items added; in no order that means anything."""
        self.seen = 0
        self._size = size
        self._rng = rng

    def add(self, item: Item) -> None:
        """Shows one more item to the sample."""
        self.seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
            return
        place = self._rng.randrange(self.seen)
        if place < self._size:
            self.items[place] = item


def in_turns(groups: Iterable[Iterable[Item]]) -> Iterator[Item]:
    """Gives one item of each group, then the next of each, until all are given."""
    for turn in zip_longest(*groups, fillvalue=_MISSING):
        for item in turn:
            if item is not _MISSING:
                yield item  # type: ignore[misc]
