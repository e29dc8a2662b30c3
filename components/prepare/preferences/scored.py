"""Pairs from several answers to one question that a judge scored."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from components.core.schemas import PreferencePair, QuarantinedRow
from components.prepare.preferences.ratings import (
    RatedAnswer,
    Rating,
    rated_pairs,
    read_rated,
    wording,
)
from components.prepare.preferences.settings import LOW_SCORE, PreferenceSettings


class ScoredAnswer(RatedAnswer):
    """An answer with a judge's score."""

    score: float = Field(ge=1, le=5)
    """G-Eval's score."""
    judge: str = Field(min_length=1)
    """Model that scored; scores of two judges are not compared."""
    contender: str = ""
    """Who answered."""


def scored_pairs(
    path: Path, settings: PreferenceSettings
) -> Iterator[PreferencePair | QuarantinedRow]:
    """Pairs the answer with the highest score against those with the lowest.

    Args:
        path: JSON lines of ScoredAnswer, in any order.
        settings: `score_margin`, `least_ratings`, `pairs_per_question`.

    Yields:
        Bad lines as they are met, then pairs `judge:<name>` of the reason `low-score`. Only
        answers to the same words, about the same product, in one split are compared.

    Raises:
        SchemaError: The file cannot be read at all.
    """
    rows = read_rated(path, ScoredAnswer)
    ratings = (row if isinstance(row, QuarantinedRow) else _rating(row) for row in rows)
    return rated_pairs(ratings, settings, settings.score_margin, LOW_SCORE)


def _rating(row: ScoredAnswer) -> Rating:
    compared = (row.judge, row.split, row.product, wording(row.prompt))
    return Rating(compared, row, row.score, f"judge:{row.judge}")
