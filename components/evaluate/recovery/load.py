"""How fast a served model writes: fixed work at several numbers of requests in flight."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import numpy as np

from components.core.errors import EndpointError
from components.core.llm import Asking, Completion, Endpoint, Messages, complete_all
from components.evaluate.recovery.served_figures import Load
from components.evaluate.recovery.settings import ServedSettings


def measure_loads(
    endpoint: Endpoint, questions: Sequence[Messages], settings: ServedSettings
) -> tuple[Load, ...]:
    """Lets the model write answers of one length and times them, at each concurrency.

    Answers end where they are told to and not where the model would end, so that two models do the
    same work. Nothing comes out of the server's cache of prompts: each concurrency has a salt of
    its own. What is timed comes after a warm-up of as many requests.

    Args:
        endpoint: Where the model is served, by vLLM.
        questions: n >= 1 conversations to ask, from the beginning again when they run out.
        settings: How much to ask.

    Returns:
        The figures of each concurrency.

    Raises:
        EndpointError: The server is away, a request failed, or an answer has another length.
    """
    return tuple(_measure(endpoint, questions, settings, n) for n in settings.concurrency)


def _measure(
    endpoint: Endpoint, questions: Sequence[Messages], settings: ServedSettings, concurrency: int
) -> Load:
    requests = max(settings.fewest_requests, settings.rounds * concurrency)
    asked = [questions[number % len(questions)] for number in range(requests)]
    _ask(endpoint, asked[:concurrency], settings, concurrency, settings.warm_up_tokens)
    started = time.perf_counter()
    replies = _ask(endpoint, asked, settings, concurrency, settings.output_tokens)
    return _load(replies, concurrency, time.perf_counter() - started)


def _ask(
    endpoint: Endpoint,
    questions: Sequence[Messages],
    settings: ServedSettings,
    concurrency: int,
    tokens: int,
) -> list[Completion]:
    asking = Asking(
        max_tokens=tokens,
        concurrency=concurrency,
        retries=0,
        deadline_seconds=settings.timeout_seconds,
        extra={"ignore_eos": True, "cache_salt": uuid.uuid4().hex},
    )
    replies = asyncio.run(complete_all(endpoint, questions, asking))
    for reply in replies:
        if reply.error or reply.completion_tokens != tokens:
            said = reply.error or f"it wrote {reply.completion_tokens} tokens and not {tokens}"
            raise EndpointError(
                f"The speed of {endpoint.base_url} (model {endpoint.model!r}) cannot be measured "
                f"at {concurrency} requests in flight: {said}; serve the model with vLLM, which "
                f"has `ignore_eos`, and see that nothing else uses it."
            )
    return replies


def _load(replies: Sequence[Completion], concurrency: int, seconds: float) -> Load:
    firsts = np.array([reply.first_token_seconds or reply.latency_seconds for reply in replies])
    whole = np.array([reply.latency_seconds for reply in replies])
    lengths = np.array([reply.completion_tokens for reply in replies])
    between = (whole - firsts) / (lengths - 1)
    return Load(
        concurrency=concurrency,
        requests=len(replies),
        output_tokens=int(lengths.sum()),
        seconds=seconds,
        first_token_p50=float(np.quantile(firsts, 0.5)),
        first_token_p95=float(np.quantile(firsts, 0.95)),
        token_p50=float(np.quantile(between, 0.5)),
        latency_p50=float(np.quantile(whole, 0.5)),
        latency_p95=float(np.quantile(whole, 0.95)),
    )
