"""The rows that pass between stages."""

import hashlib
import hmac
from typing import Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)


class Row(BaseModel):
    """A frozen row; an unknown key is an error, and docstrings go into the exported JSON Schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Fact(Row):
    """One atomic fact that an answer must contain."""

    name: str
    value: str
    """As it is written in the reference answer, for example `16,5%`."""
    accepted: tuple[str, ...] = ()
    """Other spellings that count, for example `16.5 %`."""


class Turn(Row):
    """One message of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)
    time: AwareDatetime | None = None
    """When it was said; None where the source does not tell."""


Split = Literal["train", "test", "unassigned"]


class Dialogue(Row):
    """A dialogue with its ids, its start marker and what is known about it.

    Version 2 added times of turns, `unassigned`, `provenance` and `judge_score`; product and
    phrasing family became optional, since only some sources know them.
    """

    schema_version: Literal[2] = 2
    dialogue_id: str = Field(min_length=1)
    request_id: str
    response_id: str
    user_id: str
    """A hash (`hashed_user_id`): never the bank's own id."""
    start: bool = True
    """The start marker: this row opens a dialogue."""
    turns: tuple[Turn, ...] = Field(min_length=2)
    intent: str
    product: str = ""
    """The product asked about, by its id in the catalogue; empty where the source does not say."""
    phrasing_family: str = ""
    """Which way of asking this is; rows of one family never stand in both splits."""
    facts: tuple[Fact, ...] = ()
    source: str
    """Kind and name, for example `own:copywriters`, `open:banking77`, `synthetic:teacher`."""
    language: str = "ru"
    """ISO 639-1 code of the text."""
    split: Split = "unassigned"
    licence: str
    provenance: str = ""
    """Where the row came from: file and line, dataset id, or who generated it."""
    judge_score: float | None = Field(default=None, ge=1, le=5)
    """G-Eval's score of the answer; None where nobody judged."""

    @field_validator("turns")
    @classmethod
    def _both_speak(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        if not {"user", "assistant"} <= {turn.role for turn in turns}:
            raise ValueError("a dialogue needs a turn of the user and one of the assistant")
        return turns

    @property
    def question(self) -> str:
        """The first message of the user."""
        return next(turn.content for turn in self.turns if turn.role == "user")

    @property
    def answer(self) -> str:
        """The last message of the assistant: the reference."""
        return next(turn.content for turn in reversed(self.turns) if turn.role == "assistant")


class PreferencePair(Row):
    """Two answers to one prompt, of which one is better: what preference training (ORPO) reads."""

    schema_version: Literal[1] = 1
    pair_id: str = Field(min_length=1)
    dialogue_id: str = Field(min_length=1)
    """The dialogue whose prompt this is."""
    prompt: tuple[Turn, ...] = Field(min_length=1)
    """What was said up to the user's last message, which is the last turn here."""
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    facts: tuple[Fact, ...] = ()
    """What the answer must contain; empty where nobody listed it."""
    intent: str
    product: str = ""
    source: str = Field(min_length=1)
    """Kind and name: `corruption:built-in-bank`, `judge:<name>`, `csat`."""
    reason: str = Field(min_length=1)
    """Why the rejected answer is worse, a short stable name that pairs are counted by."""
    licence: str
    split: Split = "unassigned"

    @model_validator(mode="after")
    def _one_is_better(self) -> Self:
        if self.prompt[-1].role != "user":
            raise ValueError("the last turn of `prompt` must be the user's")
        texts = {self.chosen.strip(), self.rejected.strip()}
        if "" in texts or len(texts) == 1:
            raise ValueError("`chosen` and `rejected` must be two different texts, neither blank")
        return self


class QuarantinedRow(Row):
    """A record that was left out, with everything needed to mend it."""

    file: str
    line: int
    """From 1; 0 when the file has no lines (an unreadable archive, a whole file)."""
    reason: str
    """One sentence: what is wrong and how to mend it."""
    kind: str
    """A short stable name that reasons are counted by, for example `empty-answer`."""
    row: Any
    """What was read, as far as it could be; long texts are cut."""


def hashed_user_id(raw: str, salt: str = "") -> str:
    """Turns a bank's own user id into one that only says whether two rows share a user.

    Args:
        raw: The bank's id.
        salt: A secret of the bank's. Without one, anybody who can list the ids can undo the hash.

    Returns:
        `usr-` and 24 hexadecimal digits of HMAC-SHA256 (RFC 2104).
    """
    return f"usr-{hmac.new(salt.encode(), raw.encode(), hashlib.sha256).hexdigest()[:24]}"


class JudgedScores(Row):
    """A judge's opinion of one answer, by the criteria of a rubric."""

    judge: str = Field(min_length=1)
    """The judge's model."""
    rubric: str = Field(min_length=1)
    """The rubric with its version, for example `bank_answer.v1`."""
    scores: dict[str, float]
    """By criterion, in [1, 5]; a criterion whose score could not be read is in `failures`."""
    overall: float | None
    """Mean of the scores by the rubric's weights; None when one of them is missing."""
    failures: dict[str, str] = Field(default_factory=dict)
    """By criterion: why there is no score (`unparseable: ...`, `error: ...`, `timeout: ...`)."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Answer(Row):
    """What a contender answered to one test question, and what it took."""

    dialogue_id: str
    contender: str
    intent: str
    product: str
    question: str
    reference: str
    answer: str
    facts: tuple[Fact, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    latency_seconds: float
    first_token_seconds: float | None
    retries: int = 0
    """Further tries that the endpoint made necessary."""
    judged: JudgedScores | None = None
    """None where no judge was asked."""


class LossPoint(Row):
    """A point of the loss curve, or one held-out loss of a whole model."""

    series: Literal["train", "heldout", "heldout_base"]
    step: int
    loss: float
    """In nats: mean cross-entropy per answer token, or what else the training minimizes."""
    preference_accuracy: float | None = None
    """Share of held-out pairs whose better answer is the more probable one; ORPO only."""
    preference_margin: float | None = None
    """Log odds of the better answer minus those of the worse one, mean over held-out pairs."""
