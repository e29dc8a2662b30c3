"""Answers that somebody rated: their rows, and pairs of a well rated and a poorly rated one."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import Field, field_validator

from components.core.errors import SchemaError
from components.core.facts import check_facts
from components.core.json_lines import parse, stream_lines
from components.core.schemas import Fact, PreferencePair, QuarantinedRow, Row, Split, Turn
from components.prepare.preferences.pairs import pair_id
from components.prepare.preferences.settings import PreferenceSettings
from components.prepare.sources.quarantine import RowError, quarantined

_WORD = re.compile(r"[^\W_]+")

BAD_ROW = "bad-row"
"""Kind of a line that does not fit its schema."""


class RatedAnswer(Row):
    """An answer to a prompt, masked; subclasses say who rated it and how."""

    dialogue_id: str = Field(min_length=1)
    prompt: tuple[Turn, ...] = Field(min_length=1)
    """What was said up to the user's last message."""
    answer: str
    facts: tuple[Fact, ...] = ()
    """What the answer must contain, where somebody listed it: a chosen answer holds it all."""
    intent: str
    product: str = ""
    licence: str = Field(min_length=1)
    split: Split = "unassigned"

    @field_validator("prompt")
    @classmethod
    def _ends_with_the_user(cls, prompt: tuple[Turn, ...]) -> tuple[Turn, ...]:
        if prompt[-1].role != "user":
            raise ValueError("the last turn of `prompt` must be the user's")
        return prompt

    @field_validator("answer")
    @classmethod
    def _not_blank(cls, answer: str) -> str:
        if not answer.strip():
            raise ValueError("the answer is blank")
        return answer


RowType = TypeVar("RowType", bound=RatedAnswer)


class Rating(NamedTuple):
    """One rating of one answer."""

    compared: Hashable
    """Answers with the same are compared with each other."""
    row: RatedAnswer
    points: float
    """From 1 to 5."""
    source: str
    """As in `PreferencePair`."""


@dataclass
class _Rated:
    """A distinct answer with its ratings so far."""

    row: RatedAnswer
    source: str
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.count


def read_rated(
    path: Path, model: type[RowType], refusal: Callable[[RowType], RowError | None] | None = None
) -> Iterator[RowType | QuarantinedRow]:
    """Reads rated answers row by row.

    Args:
        path: JSON lines.
        model: The rows' type.
        refusal: Says why a row may not be used; of such a row only the dialogue's id is kept.

    Yields:
        The rows; a line that does not fit comes as a row of the kind `bad-row`.

    Raises:
        SchemaError: The file cannot be read at all.
    """
    for line in stream_lines(path):
        try:
            row = parse(path, line, model)
        except SchemaError as error:
            text = line.content.decode("utf-8", "backslashreplace").strip()
            yield quarantined(path, line.number, RowError(BAD_ROW, str(error)), text)
            continue
        if refusal and (refused := refusal(row)):
            yield quarantined(path, line.number, refused, {"dialogue_id": row.dialogue_id})
        else:
            yield row


def wording(prompt: Iterable[Turn]) -> str:
    """Gives what makes two prompts the same: their words, without case, ё and punctuation.

    Args:
        prompt: The turns; those of the system do not count, since the customer did not see them.
    """
    said = [
        f"{turn.role} {' '.join(_WORD.findall(turn.content))}"
        for turn in prompt
        if turn.role != "system"
    ]
    return "\n".join(said).casefold().replace("ё", "е")


def rated_pairs(
    ratings: Iterable[Rating | QuarantinedRow],
    settings: PreferenceSettings,
    margin: float,
    reason: str,
) -> Iterator[PreferencePair | QuarantinedRow]:
    """Pairs the best answer with the worst ones, where the margin is kept.

    Several ratings of the same answer count with their mean. The best answer is chosen among
    those that hold all facts listed: a judge or a customer may like a wrong answer.

    Args:
        ratings: In any order; each distinct answer is held in memory once.
        settings: Margins and counts.
        margin: Points by which the chosen answer must be ahead, in means.
        reason: Of the pairs.

    Yields:
        First what was left out, as it is met, then the pairs, in the order of the first ratings.
    """
    groups = defaultdict[Hashable, dict[str, _Rated]](dict)
    for rating in ratings:
        if isinstance(rating, QuarantinedRow):
            yield rating
        else:
            _add(groups[rating.compared], rating)
    for answers in groups.values():
        enough = [each for each in answers.values() if each.count >= settings.least_ratings]
        for high, low in _contrasts(enough, margin, settings.pairs_per_question):
            yield _pair(high, low, reason)


def _add(answers: dict[str, _Rated], rating: Rating) -> None:
    key = f"{wording(rating.row.prompt)}\n{rating.row.answer.strip()}"
    rated = answers.setdefault(key, _Rated(rating.row, rating.source))
    rated.total += rating.points
    rated.count += 1


def _contrasts(
    answers: list[_Rated], margin: float, most: int
) -> Iterator[tuple[RatedAnswer, _Rated]]:
    """The best answer with each of the worst, for at most so many of them."""
    ascending = sorted(answers, key=lambda rated: rated.mean)
    for low in ascending[:most]:
        fits = (high for high in reversed(ascending) if _better(high, low, margin))
        if (high := next(fits, None)) is not None:
            yield high.row, low


def _better(high: _Rated, low: _Rated, margin: float) -> bool:
    return (
        high.mean - low.mean >= margin
        and high.row.answer.strip() != low.row.answer.strip()
        and not check_facts((*low.row.facts, *high.row.facts), high.row.answer).missing
    )


def _pair(high: RatedAnswer, low: _Rated, reason: str) -> PreferencePair:
    """The prompt is that of the rejected answer: there a better one is wanted."""
    row = low.row
    return PreferencePair(
        pair_id=pair_id(low.source, row.prompt, high.answer, row.answer),
        dialogue_id=row.dialogue_id,
        prompt=row.prompt,
        chosen=high.answer,
        rejected=row.answer,
        facts=row.facts or high.facts,
        intent=row.intent,
        product=row.product,
        source=low.source,
        reason=reason,
        licence=row.licence if row.licence == high.licence else f"{row.licence}; {high.licence}",
        split=row.split,
    )
