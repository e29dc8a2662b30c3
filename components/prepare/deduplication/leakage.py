"""Does training show what the test asks? Compares all questions of the two files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.errors import LeakageError
from components.core.json_lines import stream_rows
from components.core.schemas import Dialogue
from components.prepare.deduplication.overlap import TestQuestions
from components.prepare.deduplication.settings import LeakageSettings
from components.prepare.deduplication.shingles import ShingleSets, gather, hash64, shingles

_BATCH = 20_000
_NAMED = 3


@dataclass(frozen=True)
class LeakingPair:
    """A test question and the training question that gives it away."""

    test_id: str
    train_id: str
    test_question: str
    train_question: str
    jaccard: float
    containment: float
    """Share of the test question's n-grams that the training question has."""


@dataclass(frozen=True)
class Leakage:
    """What the check found."""

    train_rows: int
    test_rows: int
    leaking_test_rows: int
    pairs: tuple[LeakingPair, ...]
    """For each leaking test question the nearest training question, the nearest pairs first."""
    max_share: float

    @property
    def share(self) -> float:
        """Leaking test rows of all test rows; 0 of an empty test."""
        return self.leaking_test_rows / self.test_rows if self.test_rows else 0.0


@dataclass(frozen=True)
class _Nearest:
    """The nearest training question of a test question so far."""

    score: float
    pair: LeakingPair


def check_leakage(train: Path, test: Path, settings: LeakageSettings) -> Leakage:
    """Compares every test question with every training question, exactly.

    Args:
        train: JSON lines of Dialogue; read in batches.
        test: JSON lines of Dialogue; its questions are held in memory.
        settings: What counts as a leak.

    Returns:
        The share of leaking test questions and the pairs; `refuse_leakage` judges them.

    Raises:
        SchemaError: A line is no Dialogue; names file and line.
    """
    asked = [_Question.of(dialogue) for dialogue in stream_rows(test, Dialogue)]
    index = TestQuestions(*_indexed(asked, settings), settings)
    nearest: dict[int, _Nearest] = {}
    rows = 0
    for batch in _batches(train):
        rows += len(batch)
        found = index.overlaps(*_indexed(batch, settings))
        fields = (found.test, found.train, found.jaccard, found.containment)
        for place, other, jaccard, share in zip(*(f.tolist() for f in fields), strict=True):
            _remember(nearest, place, asked[place].against(batch[other], jaccard, share))
    pairs = sorted((near.pair for near in nearest.values()), key=_by_nearness)
    return Leakage(rows, len(asked), len(nearest), tuple(pairs), settings.max_share)


def refuse_leakage(leakage: Leakage) -> None:
    """Passes a check whose share is within its limit.

    Args:
        leakage: What `check_leakage` found.

    Raises:
        LeakageError: Too many test questions leak; names the nearest pairs.
    """
    if leakage.share <= leakage.max_share:
        return
    named = "; ".join(
        f"test {pair.test_id} «{pair.test_question}» is near train {pair.train_id} "
        f"«{pair.train_question}»"
        for pair in leakage.pairs[:_NAMED]
    )
    more = len(leakage.pairs) - _NAMED
    raise LeakageError(
        f"{leakage.leaking_test_rows} of {leakage.test_rows} test questions "
        f"({leakage.share:.1%}, at most {leakage.max_share:.1%} may) stand in the training data: "
        f"{named}{f'; and {more} more' if more > 0 else ''}; remove either row of each pair, or "
        "leave `split` empty so that both come into one."
    )


@dataclass(frozen=True)
class _Question:
    """The little of a dialogue that the check needs."""

    dialogue_id: str
    text: str
    product: str

    @classmethod
    def of(cls, dialogue: Dialogue) -> "_Question":
        return cls(dialogue.dialogue_id, dialogue.question, dialogue.product)

    def against(self, train: "_Question", jaccard: float, containment: float) -> LeakingPair:
        return LeakingPair(
            self.dialogue_id, train.dialogue_id, self.text, train.text, jaccard, containment
        )


def product_number(product: str) -> int:
    """Gives a product's number for comparing: 0 for none, else 63 bits of its hash.

    Args:
        product: Its id in the catalogue, or empty.
    """
    return hash64(product) >> 1 if product else 0


def _indexed(
    questions: list[_Question], settings: LeakageSettings
) -> tuple[ShingleSets, NDArray[np.int64]]:
    sets = gather(shingles(question.text, settings.ngram_words) for question in questions)
    numbers = [product_number(question.product) for question in questions]
    return sets, np.array(numbers, dtype=np.int64)


def _batches(path: Path) -> Iterator[list[_Question]]:
    rows = map(_Question.of, stream_rows(path, Dialogue))
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _remember(nearest: dict[int, _Nearest], place: int, pair: LeakingPair) -> None:
    score = max(pair.jaccard, pair.containment)
    if place not in nearest or nearest[place].score < score:
        nearest[place] = _Nearest(score, pair)


def _by_nearness(pair: LeakingPair) -> tuple[float, str]:
    return -max(pair.jaccard, pair.containment), pair.test_id
