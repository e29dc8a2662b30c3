"""The cost meter: tokens and money of teacher and judge, and whether the budget is used up."""

from collections import Counter

from pydantic import BaseModel, ConfigDict

from components.core.prices import money
from components.prepare.synthesis.record import Record, Role
from components.prepare.synthesis.settings import SyntheticSource


class Spent(BaseModel):
    """What one endpoint took."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int
    requests_of_this_run: int
    """The others were paid for by earlier runs on the same work folder."""
    estimated_requests: int
    """Of them, those whose tokens the endpoint did not report."""
    prompt_tokens: int
    completion_tokens: int
    money: float
    """In the cost's currency."""


class Cost(BaseModel):
    """What the dialogues of one work folder took, over all runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: Spent
    judge: Spent
    currency: str
    budget: float | None
    stopped: bool
    """Whether requests were left out because the budget was used up."""

    @property
    def money(self) -> float:
        """Teacher and judge together."""
        return self.teacher.money + self.judge.money


class CostMeter:
    """Counts tokens as replies arrive."""

    def __init__(self, source: SyntheticSource) -> None:
        """Starts at nothing."""
        self._source = source
        self._counts: dict[Role, Counter[str]] = {"teacher": Counter(), "judge": Counter()}
        self.stopped = False

    def add(self, record: Record, *, this_run: bool) -> None:
        """Counts a reply.

        Args:
            record: The reply.
            this_run: Whether it was paid for now, and not by an earlier run.
        """
        self._counts[record.role].update(
            requests=1,
            requests_of_this_run=int(this_run),
            estimated_requests=int(record.estimated),
            prompt_tokens=record.completion.prompt_tokens,
            completion_tokens=record.completion.completion_tokens,
        )

    def spent(self, role: Role) -> Spent:
        """Gives what one endpoint took so far."""
        counts = self._counts[role]
        prices = self._source.teacher_prices if role == "teacher" else self._source.judge_prices
        fields = {name: counts[name] for name in Spent.model_fields if name != "money"}
        spent = money(counts["prompt_tokens"], counts["completion_tokens"], prices)
        return Spent.model_validate(fields | {"money": spent})

    def exhausted(self) -> bool:
        """Whether the budget is reached; the meter remembers that somebody was told so."""
        budget = self._source.budget
        if budget is None:
            return False
        used_up = self.spent("teacher").money + self.spent("judge").money >= budget
        self.stopped = self.stopped or used_up
        return used_up

    def cost(self) -> Cost:
        """Gives the whole."""
        return Cost(
            teacher=self.spent("teacher"),
            judge=self.spent("judge"),
            currency=self._source.currency,
            budget=self._source.budget,
            stopped=self.stopped,
        )
