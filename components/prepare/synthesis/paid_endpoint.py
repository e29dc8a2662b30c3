"""An endpoint that is never paid twice for one request, and never sees personal data."""

from collections.abc import Callable
from dataclasses import dataclass

import openai

from components.core.journal import Journal, request_key
from components.core.llm import Asking, Completion, Endpoint, Messages, complete
from components.core.prices import with_usage
from components.prepare.synthesis.cost import CostMeter
from components.prepare.synthesis.record import Record, Role


class OutOfBudgetError(Exception):
    """The request would have to be paid for, and the budget is used up."""


@dataclass(frozen=True)
class PaidEndpoint:
    """The teacher or the judge behind the journal, the meter and the mask.

    Attributes:
        role: Which of the two.
        api: The client.
        endpoint: Names the model.
        journal: What was paid for.
        meter: Told of every reply.
        mask: Replaces personal data; every text passes it on its way out.
    """

    role: Role
    api: openai.AsyncOpenAI
    endpoint: Endpoint
    journal: Journal[Record]
    meter: CostMeter
    mask: Callable[[str], str]

    async def ask(self, messages: Messages, asking: Asking, sample: str) -> Completion:
        """Gives the reply, from the journal when it was paid for already.

        Args:
            messages: The conversation.
            asking: Tokens, temperature, deadline.
            sample: Tells apart requests that are equal otherwise.

        Returns:
            The reply; a failed one (`error`, `timeout`) is not kept and will be asked again.

        Raises:
            OutOfBudgetError: It is not in the journal, and the budget is used up.
            EndpointError: The endpoint is away or refuses the key or the model.
            OSError: The journal cannot be written.
        """
        sent = [turn.model_copy(update={"content": self.mask(turn.content)}) for turn in messages]
        key = request_key(self.endpoint.model, sent, asking, sample, self.role)
        known = self.journal.get(key)
        if known:
            return known
        if self.meter.exhausted():
            raise OutOfBudgetError
        reply = await complete(self.api, self.endpoint, sent, asking)
        if reply.finish_reason in ("error", "timeout"):
            return reply
        completion, estimated = with_usage(reply, sent)
        record = Record(key=key, role=self.role, completion=completion, estimated=estimated)
        self.journal.add(record)
        self.meter.add(record, this_run=True)
        return completion
