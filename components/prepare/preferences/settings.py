"""What may be set about preference pairs, and the names of their reasons; imports nothing heavy."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from components.prepare.deduplication.settings import LeakageSettings
from components.prepare.subset import Subset

Reason = Literal["other-product", "wrong-number", "missing-fact", "other-answer", "contradiction"]
"""Why a corrupted answer is wrong: another product's value of a fact, a wrong number of the same
unit, a fact left out, another product's whole answer, an answer at odds with itself."""

REASONS: tuple[Reason, ...] = get_args(Reason)

LOW_SCORE = "low-score"
LOW_CSAT = "low-csat"


class PreferenceSettings(BaseModel):
    """How pairs are made; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reasons: tuple[Reason, ...] = Field(default=REASONS, min_length=1)
    """Corruptions to use, each about equally often."""
    pairs_per_dialogue: int = Field(default=1, ge=1, le=len(REASONS))
    """Corruptions of one reference answer, each for another reason."""
    subset: Subset = Subset()
    """Which dialogues of each split to corrupt; balanced over intents and products."""
    bank_name: str = Field(default="built-in-bank", min_length=1)
    """Corrupted pairs carry `corruption:<bank_name>` as their source."""
    seed: int = 0
    score_margin: float = Field(default=2.0, gt=0, le=4)
    """Judge's points, of 1 to 5, by which the chosen answer must be ahead."""
    csat_margin: float = Field(default=2.0, gt=0, le=4)
    """CSAT points, of 1 to 5, by which the chosen answer must be ahead."""
    csat_match: Literal["question", "intent"] = "question"
    """`question`: only answers to the same words are compared. `intent`: also answers to other
    words of the same intent about the same product, where both dialogues are one question long."""
    least_ratings: PositiveInt = 1
    """Ratings that an answer needs before its mean counts."""
    pairs_per_question: PositiveInt = 1
    """Rejected answers, the lowest first, that one question (or intent) gives."""
    leakage: LeakageSettings = LeakageSettings()
    """What counts as test text in a training prompt."""

    @field_validator("reasons")
    @classmethod
    def _each_once(cls, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        if len(set(reasons)) < len(reasons):
            raise ValueError("a reason stands here twice; name each once")
        return reasons
