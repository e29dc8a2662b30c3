"""Asks a model of the running stack, and gives the answer as it comes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import openai

from components.core.errors import EndpointError
from pipelines.local import stack
from pipelines.local.launch import ADAPTER
from pipelines.local.state import ServiceState, home_directory
from pipelines.local.supervisor import BASELINE

Contender = Literal["tuned", "gigachat"]


def service_of(contender: Contender, home: Path | None = None) -> ServiceState:
    """Finds where a contender answers.

    Args:
        contender: `tuned` is the model server that is not the baseline's; `gigachat` the adapter.
        home: The folder of the laptop's state.

    Raises:
        DeployError: The stack is down, or nothing of that kind answers.
    """
    if contender == "gigachat":
        return stack.service(ADAPTER, home)
    running = stack.status(home or home_directory())
    services = running.services if running else {}
    tuned = [name for name, one in services.items() if one.model_uri and name != BASELINE]
    return stack.service(tuned[-1] if tuned else "the tuned model", home)


def stream_answer(service: ServiceState, question: str, max_tokens: int) -> Iterator[str]:
    """Streams one answer, greedily decoded.

    Args:
        service: Where to ask; its `url` ends in `/v1`, its `model` names the model.
        question: The customer's words.
        max_tokens: Longest answer.

    Raises:
        EndpointError: The model server refuses or breaks off.
    """
    transport = openai.DefaultHttpxClient(trust_env=False)  # loopback: no proxy is asked
    with openai.OpenAI(base_url=service.url, api_key="none", http_client=transport) as client:
        try:
            chunks = client.chat.completions.create(
                model=service.model or "",
                messages=[{"role": "user", "content": question}],
                max_tokens=max_tokens,
                temperature=0,
                stream=True,
            )
            for chunk in chunks:
                yield from (one.delta.content or "" for one in chunk.choices)
        except openai.APIError as error:
            raise EndpointError(
                f"{service.url} did not answer ({error.message}); see {service.log}."
            ) from error
