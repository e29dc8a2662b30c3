"""Pairs from customers' marks: a liked answer against a disliked one."""

from collections.abc import Hashable, Iterator
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
from components.prepare.preferences.settings import LOW_CSAT, PreferenceSettings
from components.prepare.sources.quarantine import RowError

SOURCE = "csat"
NO_CONSENT = "no-consent"
"""Kind of a row whose customer does not let the bank train on it."""


class MarkedAnswer(RatedAnswer):
    """An answer with the customer's mark."""

    csat: int = Field(ge=1, le=5)
    """Customer satisfaction, 5 is best."""
    consent: bool
    """Whether the customer lets the bank train on the dialogue."""
    variant: str = ""
    """Which model answered."""


def csat_pairs(
    path: Path, settings: PreferenceSettings
) -> Iterator[PreferencePair | QuarantinedRow]:
    """Pairs the answer that customers liked best against those they liked least.

    Args:
        path: JSON lines of MarkedAnswer, masked, in any order.
        settings: `csat_margin`, `csat_match`, `least_ratings`, `pairs_per_question`.

    Yields:
        Bad lines and rows without consent (of these only the id) as they are met, then pairs of
        the source `csat` and the reason `low-csat`.

    Raises:
        SchemaError: The file cannot be read at all.
    """
    by_intent = settings.csat_match == "intent"
    return rated_pairs(_ratings(path, by_intent), settings, settings.csat_margin, LOW_CSAT)


def _ratings(path: Path, by_intent: bool) -> Iterator[Rating | QuarantinedRow]:
    for row in read_rated(path, MarkedAnswer, _refusal):
        if isinstance(row, QuarantinedRow):
            yield row
        else:
            yield Rating(_compared(row, by_intent), row, row.csat, SOURCE)


def _refusal(row: MarkedAnswer) -> RowError | None:
    told = "The customer did not consent to training; leave the row out of the export."
    return None if row.consent else RowError(NO_CONSENT, told)


def _compared(row: MarkedAnswer, by_intent: bool) -> Hashable:
    """The same words, or the same intent of a known product where one question says it all."""
    said = [turn for turn in row.prompt if turn.role != "system"]
    if by_intent and row.product and len(said) == 1:
        return (row.split, row.product, "intent", row.intent)
    return (row.split, row.product, "words", wording(row.prompt))
