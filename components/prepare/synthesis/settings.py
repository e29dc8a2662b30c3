"""Settings of the synthetic source: who writes, who judges, how much, and for how much money."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from components.core.geval import Judging
from components.core.llm import Asking, Endpoint
from components.core.prices import Prices


class Settings(BaseModel):
    """Base of this module's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Settings):
    """What a row must be like before a judge is paid for it."""

    question_characters: tuple[int, int] = (10, 400)
    """Shortest and longest question."""
    answer_characters: tuple[int, int] = (10, 1500)
    """Shortest and longest answer."""
    cyrillic_share: float = Field(default=0.7, ge=0, le=1)
    """Least share of Cyrillic among the letters of the question, and of the answer."""


class SyntheticSource(Settings):
    """Dialogues that a teacher writes from the bank's intents and facts, and a judge rates."""

    kind: Literal["synthetic"] = "synthetic"
    name: str = Field(default="teacher", min_length=1)
    """Rows carry `synthetic:<name>` as their source."""
    teacher: Endpoint
    teacher_prices: Prices = Prices()
    judge: Endpoint | None = None
    """Who gives G-Eval scores; None keeps every row that passes the checks, without a score."""
    judge_prices: Prices = Prices()
    judging: Judging = Judging()
    threshold: float = Field(default=4.0, ge=1, le=5)
    """Least G-Eval score of a row that is kept."""
    dialogues: int = Field(ge=1)
    """How many the teacher is asked for; what is rejected is not asked for again."""
    budget: float | None = Field(default=None, ge=0)
    """Money for teacher and judge together, over all runs on one work folder; no new request is
    made once it is reached, so it can be overrun by the requests then in flight."""
    currency: str = "RUB"
    """Only a label: of the prices, which may leave it out, the budget and the cost."""
    concurrency: int = Field(default=8, ge=1)
    """Dialogues in work at once, each with one request in flight."""
    temperature: float = Field(default=0.9, ge=0, le=2)
    """Of the teacher; the judge has its own."""
    max_tokens: int = Field(default=700, ge=1)
    """Of one reply of the teacher."""
    structured_output: Literal["off", "schema", "schema-with-lengths"] = "off"
    """Whether the teacher's server binds replies to JSON with a question and an answer: for a model
    that does not keep to the form. With lengths they are bound to `limits` too, which vLLM does;
    other providers may refuse it. The judge has its own setting in `judging`."""
    retries: int = Field(default=4, ge=0)
    """Further tries of a request that the teacher put off (429, 5xx)."""
    deadline_seconds: float = Field(default=240.0, gt=0)
    """For one request to the teacher, its retries and waits included."""
    seed: int = 0
    """Decides which product, intent and manner each dialogue has, and its id."""
    prompt_version: str = "v1"
    """Of `prompts/teacher_system.<version>.jinja` and `prompts/teacher_task.<version>.jinja`."""
    manners_version: str = "v1"
    """Of `prompts/manners.<version>.yaml`."""
    intents: tuple[str, ...] | None = None
    """Only these intents of the bank; None for all."""
    products: tuple[str, ...] | None = None
    """Only these products of the bank; None for all."""
    limits: Limits = Limits()
    licence: str = "by the terms of the teacher's provider"
    """Of the rows."""
    note: str = ""
    """One sentence for the data card, for example that the teacher is an emulator."""

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        for prices in (self.teacher_prices, self.judge_prices):
            if "currency" in prices.model_fields_set and prices.currency != self.currency:
                raise ValueError(f"prices are in {prices.currency}, the rest in {self.currency}")
        return self

    @property
    def asking(self) -> Asking:
        """How the teacher is asked."""
        return Asking(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            concurrency=self.concurrency,
            retries=self.retries,
            deadline_seconds=self.deadline_seconds,
            reply_schema=self._reply_schema(),
        )

    def _reply_schema(self) -> dict[str, JsonValue] | None:
        if self.structured_output == "off":
            return None
        bounds = {
            "question": self.limits.question_characters,
            "answer": self.limits.answer_characters,
        }
        lengths = self.structured_output == "schema-with-lengths"
        return {
            "type": "object",
            "properties": {name: _text(*bounds[name], lengths=lengths) for name in bounds},
            "required": list(bounds),
            "additionalProperties": False,
        }


def _text(shortest: int, longest: int, *, lengths: bool) -> dict[str, JsonValue]:
    bounds: dict[str, JsonValue] = {"minLength": shortest, "maxLength": longest}
    return {"type": "string", **(bounds if lengths else {})}
