"""How a served model is measured."""

from pydantic import Field, NonNegativeInt, PositiveInt

from components.core.llm import Frozen


class ServedSettings(Frozen):
    """What is asked of a served model; the same for the model before and after quantization.

    The defaults take a laptop's server half a minute, even one of integers that writes 6 tokens a
    second; GPUs have time for more of everything.
    """

    dialogues: NonNegativeInt = 32
    """Held-out dialogues that the loss is taken on, balanced over products and intents; 0: all."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens of a dialogue that the server takes; longer ones are left out and counted."""
    loss_concurrency: PositiveInt = 8
    """Dialogues weighed at once."""
    concurrency: tuple[PositiveInt, ...] = Field(default=(1, 8, 32), min_length=1)
    """Requests in flight: the speed is measured at each."""
    rounds: PositiveInt = 1
    """Requests of each of those that are in flight at once, one after the other."""
    fewest_requests: PositiveInt = 2
    """At each concurrency, however low."""
    output_tokens: int = Field(default=24, ge=2)
    """Every answer is so long, whatever the model has to say."""
    warm_up_tokens: PositiveInt = 2
    """Length of the answers that are asked for first and not counted."""
    timeout_seconds: float = Field(default=240.0, gt=0)
    """For one request."""
    machine: str = ""
    """What the server runs on, in words; empty: this machine when the server is on it."""
