"""Pairs of a test and a training question that share most of their n-grams, found exactly.

No LSH here: the test is small, so prefix filtering (Chaudhuri et al., A Primitive Operator for
Similarity Joins, ICDE 2006; Bayardo et al., WWW 2007) gives every pair, with no chance of a miss.
A training question that holds a share c of a test question's m n-grams holds at least one of any
m - ceil(c m) + 1 of them, so only so many, the rarest, are looked up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.prepare.deduplication.settings import LeakageSettings
from components.prepare.deduplication.shingles import ShingleSets, batches

_BATCH = 20_000

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Overlaps:
    """Leaking pairs, one place in all four arrays for each."""

    test: Rows
    train: Rows
    jaccard: NDArray[np.float64]
    containment: NDArray[np.float64]
    """Share of the test question's n-grams that the training question has."""


class TestQuestions:
    """The test's questions, indexed; training questions are then compared in batches."""

    __test__ = False  # no test class, whatever pytest thinks of the name

    def __init__(self, sets: ShingleSets, products: Rows, settings: LeakageSettings) -> None:
        """Indexes the test.

        Args:
            sets: The n-grams of each test question.
            products: A number for each question's product; 0 where it is not known.
            settings: What counts as a leak.
        """
        self.sets, self.products, self.settings = sets, products, settings
        self.vocabulary, counts = np.unique(sets.values, return_counts=True)
        self.matrix = self._matrix(sets)
        self.prefixes = self._prefixes(counts)

    def overlaps(self, sets: ShingleSets, products: Rows) -> Overlaps:
        """Compares training questions with the whole test.

        Pairs about two different known products are left out: the same words about another
        product ask for another answer, so remembering the training answer does not help.

        Args:
            sets: The n-grams of each training question.
            products: As for the test.

        Returns:
            Every leaking pair.
        """
        parts = list(self._batches(sets, products))
        fields = [np.concatenate(field) for field in zip(*parts, strict=True)] if parts else []
        if not fields:
            none = np.empty(0, dtype=np.int64)
            return Overlaps(none, none, none.astype(float), none.astype(float))
        return Overlaps(*fields)

    def _batches(
        self, sets: ShingleSets, products: Rows
    ) -> Iterator[tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]]]:
        if not len(self.vocabulary):
            return
        for first, after in batches(len(sets.sizes), _BATCH):
            part = sets.part(first, after)
            train, test, jaccard, containment = self._pairs(part)
            one, other = self.products[test], products[first + train]
            leaks = self._leaks(test, jaccard, containment)
            leaks &= (one == other) | (one == 0) | (other == 0)
            yield test[leaks], first + train[leaks], jaccard[leaks], containment[leaks]

    def _pairs(
        self, part: ShingleSets
    ) -> tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]]:
        """Candidates of one batch with both measures."""
        matrix = self._matrix(part)
        train, test = (matrix @ self.prefixes.T).nonzero()
        train, test = train.astype(np.int64), test.astype(np.int64)
        common = np.asarray(matrix[train].multiply(self.matrix[test]).sum(axis=1)).ravel()
        own, other = self.sets.sizes[test], part.sizes[train]
        return train, test, common / (own + other - common), common / own

    def _leaks(
        self, test: Rows, jaccard: NDArray[np.float64], containment: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        long = self.sets.sizes[test] >= self.settings.containment_ngrams
        near: NDArray[np.bool_] = jaccard >= self.settings.jaccard
        return near | (long & (containment >= self.settings.containment))

    def _matrix(self, sets: ShingleSets) -> sparse.csr_matrix:
        """One line a question, one column an n-gram of the test."""
        place = np.searchsorted(self.vocabulary, sets.values)
        place[place == len(self.vocabulary)] = 0
        known = self.vocabulary[place] == sets.values
        row = np.repeat(np.arange(len(sets.sizes)), sets.sizes)[known]
        shape = (len(sets.sizes), len(self.vocabulary))
        ones = np.ones(len(row), dtype=np.int32)
        return sparse.csr_matrix((ones, (row, place[known])), shape=shape)

    def _prefixes(self, counts: Rows) -> sparse.csr_matrix:
        """The rarest n-grams of each test question, as many as no leaking pair can do without."""
        sizes = self.sets.sizes
        place = np.searchsorted(self.vocabulary, self.sets.values)
        row = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((place, counts[place], row))
        rank = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        least = min(self.settings.jaccard, self.settings.containment)
        length = sizes - np.ceil(least * sizes - 1e-9).astype(np.int64) + 1
        taken = rank < np.repeat(length, sizes)
        ones = np.ones(int(taken.sum()), dtype=np.int32)
        return sparse.csr_matrix(
            (ones, (row[taken], place[order][taken])), shape=(len(sizes), len(self.vocabulary))
        )
