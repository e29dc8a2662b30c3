"""What measuring a served model gives."""

import math

from components.core.llm import Frozen

DENSE = "-dense"
"""What the laptop's supervisor ends a folder's name with that holds dequantized weights, for a
processor whose vLLM has no kernel for the quantized ones (pipelines/local/dense.py)."""


class DialogueLoss(Frozen):
    """How well a model foresees the answers of one held-out dialogue."""

    dialogue_id: str
    nats: float
    """Cross-entropy summed over the answers' tokens and their end tokens."""
    tokens: int


class Load(Frozen):
    """How fast a model writes while so many requests are in flight; times in seconds."""

    concurrency: int
    requests: int
    output_tokens: int
    """Of all requests together."""
    seconds: float
    """From the first request to the last token of the last."""
    first_token_p50: float
    first_token_p95: float
    token_p50: float
    """Median time between two tokens of an answer, its first token's left out."""
    latency_p50: float
    latency_p95: float

    @property
    def tokens_per_second(self) -> float:
        """Output tokens of all requests in a second."""
        return self.output_tokens / self.seconds


class ServedFigures(Frozen):
    """Figures of a model as it is served."""

    model: str
    """The name it is served by."""
    weights: str
    """What stands behind the name, as far as the endpoint or the caller says."""
    served: str
    """What the endpoint says it serves: vLLM's `root`, the folder of the weights."""
    machine: str
    """What the server runs on, in words."""
    dialogues: tuple[DialogueLoss, ...]
    too_long: int
    """Dialogues left out because they exceed the window."""
    answer_tokens: int
    """Length of every answer whose speed was measured."""
    loads: tuple[Load, ...]
    """One a concurrency."""

    @property
    def dequantized(self) -> bool:
        """Whether the weights were served as plain numbers: then the speed is not their own."""
        return self.served.rstrip("/").endswith(DENSE)

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per answer token, over all tokens of all dialogues."""
        return sum(one.nats for one in self.dialogues) / sum(one.tokens for one in self.dialogues)

    @property
    def perplexity(self) -> float:
        """The exponential of the loss."""
        return math.exp(self.loss)


def flat(figures: ServedFigures) -> dict[str, float]:
    """Lists the figures under flat names, as KFP's `dsl.Metrics` wants them.

    Args:
        figures: Of one model.

    Returns:
        Loss, perplexity, and speeds with their concurrency, for example `tokens_per_second_8`.
    """
    found = {
        "heldout_loss": figures.loss,
        "heldout_perplexity": figures.perplexity,
        "heldout_dialogues": float(len(figures.dialogues)),
        "heldout_dialogues_too_long": float(figures.too_long),
    }
    for load in figures.loads:
        found[f"tokens_per_second_{load.concurrency}"] = load.tokens_per_second
        found[f"first_token_p50_seconds_{load.concurrency}"] = load.first_token_p50
        found[f"latency_p95_seconds_{load.concurrency}"] = load.latency_p95
    return found
