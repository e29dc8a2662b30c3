"""Texts as sets of hashed word n-grams, and many such sets in two arrays."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_WORDS_REMEMBERED = 1 << 17


def hash64(text: str) -> int:
    """Gives 64 bits of BLAKE2b: the same on every machine, unlike Python's own hash.

    Args:
        text: Anything.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


_word_hash = lru_cache(_WORDS_REMEMBERED)(hash64)


@lru_cache(8)
def _multipliers(words: int) -> tuple[np.uint64, ...]:
    """Odd factors that make a word's place in the n-gram count."""
    return tuple(np.uint64(hash64(f"place {place}") | 1) for place in range(words))


def shingles(text: str, words: int) -> Hashes:
    """Gives the set of a text's word n-grams, hashed.

    Case, ё for е, punctuation and spaces do not count; numbers do, since a bank's answers differ
    by them. An n-gram's hash is the sum of its words' hashes, each times a factor of its place.

    Args:
        text: Anything.
        words: n. A text of fewer words is one n-gram.

    Returns:
        The distinct hashes in rising order, at least one.
    """
    found = _WORD.findall(text.casefold().replace("ё", "е"))
    if not found:
        return np.array([hash64(text.strip())], dtype=np.uint64)
    words = min(words, len(found))
    hashes = np.fromiter(map(_word_hash, found), dtype=np.uint64, count=len(found))
    last = len(found) - words + 1
    factors = _multipliers(words)
    grams = hashes[:last] * factors[0]
    for place in range(1, words):
        grams += hashes[place : place + last] * factors[place]
    return np.unique(grams)


@dataclass(frozen=True)
class ShingleSets:
    """Sets of many texts: `values` holds one after the other, `sizes` how many each has."""

    values: Hashes
    sizes: NDArray[np.int64]

    def sets(self, rows: Iterable[int]) -> dict[int, frozenset[int]]:
        """Gives some rows as Python sets.

        Args:
            rows: Places in `sizes`.
        """
        ends = np.concatenate(([0], np.cumsum(self.sizes)))
        return {row: frozenset(self.values[ends[row] : ends[row + 1]].tolist()) for row in rows}

    def part(self, first: int, after: int) -> "ShingleSets":
        """Gives the rows from `first` up to `after`, without copying.

        Args:
            first: First row.
            after: The row behind the last.
        """
        begin = int(self.sizes[:first].sum())
        end = begin + int(self.sizes[first:after].sum())
        return ShingleSets(self.values[begin:end], self.sizes[first:after])

    def take(self, rows: NDArray[np.int64]) -> "ShingleSets":
        """Gives some rows in a given order.

        Args:
            rows: Places in `sizes`.
        """
        ends = np.concatenate(([0], np.cumsum(self.sizes)))
        parts = [self.values[ends[row] : ends[row + 1]] for row in rows.tolist()]
        return ShingleSets(_joined(parts), self.sizes[rows])


def gather(sets: Iterable[Hashes]) -> ShingleSets:
    """Puts the sets of several texts together.

    Args:
        sets: As `shingles` gives them.
    """
    parts = list(sets)
    return ShingleSets(_joined(parts), np.array([part.size for part in parts], dtype=np.int64))


def concatenate(parts: Iterable[ShingleSets]) -> ShingleSets:
    """Puts the sets of several shards together.

    Args:
        parts: One for each shard, in order.
    """
    parts = list(parts)
    sizes = [part.sizes for part in parts]
    return ShingleSets(
        _joined([part.values for part in parts]),
        np.concatenate(sizes) if sizes else np.empty(0, dtype=np.int64),
    )


def _joined(parts: list[Hashes]) -> Hashes:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def batches(rows: int, size: int) -> Iterable[tuple[int, int]]:
    """Gives the bounds of batches.

    Args:
        rows: How many there are.
        size: Rows of a batch.
    """
    return pairwise([*range(0, rows, size), rows]) if rows else ()
