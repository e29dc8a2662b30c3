"""The loss of a served model on held-out answers, from the probabilities that its server gives.

Teacher forcing over `/completions`: a dialogue is sent as token ids with `echo` and `logprobs`, and
the server answers with the probability of each token after those before it. So the loss is that of
the kernels which customers are served by, quantized ones included.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import openai
from tqdm import tqdm
from transformers import AutoTokenizer

from components.core.errors import BadInputError, EndpointError, MissingModelError
from components.core.llm import Endpoint, client, down, for_each
from components.core.rendered_dialogue import render_dialogue
from components.core.schemas import Dialogue
from components.evaluate.recovery.served_figures import DialogueLoss
from components.evaluate.recovery.settings import ServedSettings

RETRIES = 4
MARK = re.compile(r"{%-?\s*generation\b")
CANNOT = (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError)
"""What a server answers that cannot weigh texts, or not such long ones."""


class Tokens(NamedTuple):
    """A dialogue as the model reads it."""

    dialogue_id: str
    ids: list[int]
    answered: list[int]
    """Places in `ids` of the answers' tokens and of their end tokens: what is learnt."""


def heldout_losses(
    endpoint: Endpoint, dialogues: Sequence[Tokens], settings: ServedSettings
) -> list[DialogueLoss]:
    """Asks a server how probable the answers of dialogues are.

    Args:
        endpoint: Where the model is served.
        dialogues: What to weigh.
        settings: How many at once, and for how long.

    Returns:
        Summed cross-entropy in nats and tokens of each, in their order.

    Raises:
        EndpointError: The server is away, or cannot weigh texts.
    """
    return asyncio.run(_weigh(endpoint, dialogues, settings))


def read_tokens(dialogues: Sequence[Dialogue], folder: Path) -> list[Tokens]:
    """Renders dialogues with a model's own chat template and marks the answers.

    The same tokens carry the training's loss (`components/train/tokenized_dialogues.py`).

    Args:
        dialogues: What to render, up to the last answer of each.
        folder: Holds the tokenizer and `chat_template.jinja`.

    Returns:
        Token ids of each dialogue, and where its answers stand in them.

    Raises:
        MissingModelError: There is no tokenizer in the folder.
        BadInputError: The chat template does not mark answers.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise MissingModelError(
            f"{folder} holds no tokenizer ({str(error).splitlines()[0]}); name the folder of the "
            f"model that is served."
        ) from error
    if not MARK.search(tokenizer.chat_template or ""):
        raise BadInputError(
            f"The chat template in {folder} does not mark answers with `{{% generation %}}`, so "
            f"their loss cannot be told from the question's; put Finist's template "
            f"(components/core/templates/dialogue.jinja) there as chat_template.jinja."
        )
    return [_tokens(dialogue, tokenizer) for dialogue in dialogues]


def _tokens(dialogue: Dialogue, tokenizer: Any) -> Tokens:
    ids, answered = render_dialogue(dialogue.turns, tokenizer)
    return Tokens(dialogue.dialogue_id, ids[: answered[-1] + 1], answered)


async def _weigh(
    endpoint: Endpoint, dialogues: Sequence[Tokens], settings: ServedSettings
) -> list[DialogueLoss]:
    found: dict[str, DialogueLoss] = {}
    bar = tqdm(total=len(dialogues), desc="held-out loss", mininterval=1)

    async def weigh(dialogue: Tokens) -> None:
        found[dialogue.dialogue_id] = await _dialogue_loss(api, endpoint, dialogue)
        bar.update()

    async with client(endpoint, RETRIES, settings.timeout_seconds) as api:
        with bar:
            await for_each(dialogues, weigh, settings.loss_concurrency)
    return [found[dialogue.dialogue_id] for dialogue in dialogues]


async def _dialogue_loss(
    api: openai.AsyncOpenAI, endpoint: Endpoint, dialogue: Tokens
) -> DialogueLoss:
    try:
        reply = await api.completions.create(
            model=endpoint.model,
            prompt=dialogue.ids,
            max_tokens=1,
            echo=True,
            logprobs=1,
            temperature=0,
        )
    except CANNOT as error:
        said = " ".join(error.message.split())[:200]
        raise _cannot_weigh(endpoint, dialogue, f"HTTP {error.status_code}: {said}") from error
    except openai.OpenAIError as error:
        raise down(endpoint, error) from error
    logprobs = reply.choices[0].logprobs if reply.choices else None
    given = dict(enumerate((logprobs.token_logprobs if logprobs else None) or ()))
    weights = [weight for n in dialogue.answered if (weight := given.get(n)) is not None]
    if len(weights) < len(dialogue.answered):
        raise _cannot_weigh(endpoint, dialogue, "no log-probabilities of the prompt")
    return DialogueLoss(dialogue_id=dialogue.dialogue_id, nats=-sum(weights), tokens=len(weights))


def _cannot_weigh(endpoint: Endpoint, dialogue: Tokens, said: str) -> EndpointError:
    return EndpointError(
        f"The endpoint {endpoint.base_url} (model {endpoint.model!r}) did not weigh a dialogue of "
        f"{len(dialogue.ids)} tokens ({said}), which the held-out loss needs (`/completions` with "
        f"`echo` and `logprobs`, as vLLM has it); serve the model with vLLM, or lower `max_length`."
    )
