"""Asks an OpenAI-compatible endpoint many questions at once, and times every answer.

The `openai` library brings the HTTP client, the reader of streams and the retries: it waits with
exponential backoff and jitter after 408, 409, 429 and 5xx, and honours `Retry-After` up to two
minutes. Added here: a limit on requests in flight, a deadline, the clock, and what a failure is
called. A failed request is a result with an error, never a missing row.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar, cast

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam
from openai.types.shared_params.response_format_json_schema import (
    JSONSchema,
    ResponseFormatJSONSchema,
)
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from tqdm import tqdm

from components.core.chunks import ChosenToken, Chunk
from components.core.errors import EndpointError, MissingSecretError
from components.core.schemas import Turn
from components.core.tasks import gather_all

Messages: TypeAlias = Sequence[Turn]
"""One conversation up to and including the user's last message."""

ANSWER_LIMIT_SECONDS = 120.0
"""The product's limit for a full answer."""


LISTLESS = (404, 405, 501)
"""Statuses of an endpoint that has no list of models: it is optional."""


class Frozen(BaseModel):
    """Base of values and settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(Frozen):
    """Where a model is served, and as what.

    `api_key_env` names the environment variable that holds the key, so that no key is ever
    stored or printed; empty when the endpoint wants none.
    """

    base_url: str
    """With the API's prefix, for example `http://127.0.0.1:8000/v1`."""
    model: str
    api_key_env: str = ""


class Asking(Frozen):
    """How to ask."""

    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    concurrency: int = Field(default=8, ge=1)
    """Requests in flight."""
    retries: int = Field(default=4, ge=0)
    """Further tries of a request that the server put off; waits 0.5, 1, 2, 4, 8, 8 ... seconds."""
    deadline_seconds: float = Field(default=2 * ANSWER_LIMIT_SECONDS, gt=0)
    """For one request, its retries and waits included; past it the request is a timeout."""
    progress: str = ""
    """Label of the progress bar on stderr; empty for none."""
    top_logprobs: int = Field(default=0, ge=0, le=20)
    """How many likely tokens to report at each position; 0 asks for no log-probabilities."""
    reply_schema: dict[str, JsonValue] | None = None
    """JSON Schema that the server binds the reply to (structured output); None for free text. A
    server that cannot do so refuses the request, or leaves it out: check the reply all the same."""
    extra: dict[str, JsonValue] | None = None
    """What the server knows beyond OpenAI's API, for example vLLM's `ignore_eos`."""


class Token(Frozen):
    """One token of an answer, with the likeliest ones at its place."""

    text: str
    logprob: float
    """Natural logarithm of its probability."""
    top: tuple[tuple[str, float], ...] = ()
    """Likeliest tokens and their log-probabilities, as the endpoint orders them."""


class Completion(Frozen):
    """What came back for one conversation, and when."""

    text: str
    finish_reason: str
    """As the endpoint said (`stop`, `length`, `blacklist` ...), or `error` or `timeout`."""
    prompt_tokens: int
    completion_tokens: int
    latency_seconds: float
    """From the first try to the last token, waits between tries included: what a user feels."""
    first_token_seconds: float | None
    """From the first try to the first text; None when no text came."""
    retries: int
    error: str = ""
    """What went wrong, for `error` and `timeout`."""
    status: int | None = None
    """HTTP status of a refusal, for `error`; None when there was none."""
    tokens: tuple[Token, ...] = ()
    """The answer's tokens; empty unless log-probabilities were asked for and given."""


class _ModelCard(BaseModel):
    id: str
    root: str | None = None


class _ModelList(BaseModel):
    data: tuple[_ModelCard, ...]


class _Stream:
    """Gathers one streamed answer chunk by chunk."""

    def __init__(self) -> None:
        """Starts the clock."""
        self.started = time.perf_counter()
        self.parts: list[str] = []
        self.tokens: list[Token] = []
        self.first: float | None = None
        self.finish_reason = ""
        self.usage = (0, 0)
        self.retries = 0
        self.open = False

    def add(self, chunk: Chunk) -> None:
        """Takes one chunk: text, the reason it ended, or the usage at the end."""
        if chunk.usage:
            self.usage = (chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
        for choice in chunk.choices or ():
            if choice.delta and choice.delta.content:
                self.first = self.first or time.perf_counter() - self.started
                self.parts.append(choice.delta.content)
            if choice.logprobs:
                self.tokens += map(_token, choice.logprobs.content or ())
            self.finish_reason = choice.finish_reason or self.finish_reason

    def completion(
        self, finish_reason: str = "", error: str = "", status: int | None = None
    ) -> Completion:
        """Gives what has been gathered so far, as failed when an error is named."""
        return Completion(
            text=_whole("".join(self.parts)),
            finish_reason=finish_reason or self.finish_reason,
            prompt_tokens=self.usage[0],
            completion_tokens=self.usage[1],
            latency_seconds=time.perf_counter() - self.started,
            first_token_seconds=self.first,
            retries=self.retries,
            error=error,
            status=status,
            tokens=tuple(self.tokens),
        )


def _token(given: ChosenToken) -> Token:
    top = tuple((_whole(each.token), each.logprob) for each in given.top_logprobs or ())
    return Token(text=_whole(given.token), logprob=given.logprob, top=top)


def _whole(text: str) -> str:
    """Joins a character that arrived in two halves; a half alone becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def client(endpoint: Endpoint, retries: int, timeout_seconds: float) -> openai.AsyncOpenAI:
    """Makes the library's client for an endpoint.

    Args:
        endpoint: Where, and the name of the variable that holds the key.
        retries: Further tries of a request that the server put off.
        timeout_seconds: Longest silence on the connection.

    Returns:
        The client; close it, or use it as a context manager.

    Raises:
        MissingSecretError: The endpoint names a variable for its key, and it is not set.
    """
    key = os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else "none"
    if not key:
        raise MissingSecretError(
            f"{endpoint.base_url} wants a key and the environment variable "
            f"{endpoint.api_key_env} is empty; set it (or mount the secret) and run again."
        )
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=key, max_retries=retries, timeout=timeout_seconds
    )


async def served_model(endpoint: Endpoint, timeout_seconds: float = 20.0) -> str:
    """Checks that the endpoint is up and serves the model, before many questions are asked.

    Args:
        endpoint: Where, and as what.
        timeout_seconds: How long to wait for its list of models.

    Returns:
        What the endpoint says stands behind the name (vLLM's `root`: the weights' own path), or
        the name itself; it changes when other weights are served under the same name.

    Raises:
        EndpointError: It is down, refuses the key, or serves other models only.
    """
    async with client(endpoint, 2, timeout_seconds) as api:
        try:
            reply = await api.models.with_raw_response.list()
            cards = _ModelList.model_validate_json(reply.text).data
        except (openai.OpenAIError, ValueError) as error:
            if isinstance(error, openai.APIStatusError) and error.status_code in LISTLESS:
                return endpoint.model
            raise down(endpoint, error) from error
    for card in cards:
        if card.id == endpoint.model:
            return card.root or card.id
    names = ", ".join(card.id for card in cards) or "none"
    raise EndpointError(
        f"{endpoint.base_url} does not serve the model {endpoint.model!r}; it serves: {names}. "
        "Ask for one of these, or deploy the model first."
    )


def down(endpoint: Endpoint, error: Exception) -> EndpointError:
    """Says in one sentence that an endpoint cannot be used, and how to mend it."""
    return EndpointError(
        f"The endpoint {endpoint.base_url} (model {endpoint.model!r}) cannot be used: "
        f"{_reason(error)}. Check that its server is running and ready, its address and its key, "
        "then run the same command again: answers already received are kept."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, openai.APIStatusError):
        return f"it answered HTTP {error.status_code}: {' '.join(error.message.split())[:200]}"
    cause = error.__cause__ or error
    return f"{type(error).__name__}: {' '.join(str(cause).split())[:200]}"


async def complete(
    api: openai.AsyncOpenAI, endpoint: Endpoint, messages: Messages, asking: Asking
) -> Completion:
    """Asks once, streaming, and times the answer.

    Args:
        api: The client, which does the retries.
        endpoint: Names the model; its URL stands in the error.
        messages: The conversation.
        asking: Tokens, temperature, deadline.

    Returns:
        The answer, or a completion whose `finish_reason` is `error` or `timeout`, with the text
        that had come until then.

    Raises:
        EndpointError: Nothing listens there, or it refuses the key or the model: no further
            question can fare better.
    """
    stream = _Stream()
    try:
        async with asyncio.timeout(asking.deadline_seconds):
            await _receive(api, endpoint.model, messages, asking, stream)
    except TimeoutError:
        limit = f"no full answer within {asking.deadline_seconds:g} s"
        return stream.completion("timeout", limit)
    except (openai.APIError, httpx2.HTTPError, ValueError) as error:  # ValueError: broken JSON
        if not stream.open and _is_hopeless(error):
            raise down(endpoint, error) from error
        return _failed(stream, error)
    if not stream.finish_reason:
        return stream.completion("error", "the stream ended without a finish_reason")
    return stream.completion()


def _failed(stream: _Stream, error: Exception) -> Completion:
    if isinstance(error, openai.APIError):
        stream.retries = int(error.request.headers.get("x-stainless-retry-count", 0))
    timed_out = isinstance(error, openai.APITimeoutError)
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    return stream.completion("timeout" if timed_out else "error", _reason(error), status)


def _is_hopeless(error: Exception) -> bool:
    """Whether the next question would fail for the same reason."""
    if isinstance(error, openai.APITimeoutError):
        return False
    wrong = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
    return isinstance(error, (openai.APIConnectionError, *wrong))


async def _receive(
    api: openai.AsyncOpenAI, model: str, messages: Messages, asking: Asking, stream: _Stream
) -> None:
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    top = asking.top_logprobs
    raw = await api.chat.completions.with_raw_response.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", turns),
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True if top else openai.omit,
        top_logprobs=top or openai.omit,
        response_format=_response_format(asking.reply_schema) or openai.omit,
        extra_body=asking.extra,
    )
    stream.open, stream.retries = True, raw.retries_taken
    async with raw.parse(to=openai.AsyncStream[object]) as chunks:
        async for chunk in chunks:
            stream.add(Chunk.model_validate(chunk))


def _response_format(schema: dict[str, Any] | None) -> ResponseFormatJSONSchema | None:
    if schema is None:
        return None
    bound: JSONSchema = {"name": "reply", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": bound}


async def complete_all(
    endpoint: Endpoint,
    conversations: Sequence[Messages],
    asking: Asking,
    received: Callable[[int, Completion], None] | None = None,
) -> list[Completion]:
    """Asks many conversations with a limit on requests in flight.

    Args:
        endpoint: Where, and as what.
        conversations: What to ask.
        asking: Tokens, temperature, concurrency, retries, deadline, progress label.
        received: Called with the index of a conversation and its completion as soon as it is
            there, in order of arrival; a place to save it. It runs in a thread of its own, one
            call at a time, so that asking goes on while it waits for the disk.

    Returns:
        One completion a conversation, in their order.

    Raises:
        EndpointError: The endpoint is down or misconfigured; requests in flight are cancelled.
        MissingSecretError: The key's variable is empty.
    """
    gate, loop = asyncio.Semaphore(asking.concurrency), asyncio.get_running_loop()
    unsaved = asyncio.Semaphore(2 * asking.concurrency)  # so many more may wait for the disk
    bar = tqdm(
        total=len(conversations), desc=asking.progress, disable=not asking.progress, mininterval=1
    )

    async def ask(index: int, messages: Messages) -> Completion:
        async with unsaved:
            async with gate:
                completion = await complete(api, endpoint, messages, asking)
            if received:  # shielded: what came is saved, whatever happens to the others
                await asyncio.shield(loop.run_in_executor(saver, received, index, completion))
        bar.update()
        return completion

    async with client(endpoint, asking.retries, asking.deadline_seconds) as api:
        with bar, ThreadPoolExecutor(1) as saver:
            return await gather_all([ask(*item) for item in enumerate(conversations)])


Item = TypeVar("Item")


async def for_each(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], concurrency: int
) -> None:
    """Works through items with a few workers; each takes the next item when it is free.

    Unlike `complete_all`, an item may take several requests in a row, and items are drawn only
    when a worker is free, so they may be a long stream.

    Args:
        items: Drawn in order.
        work: What to do with one.
        concurrency: Workers, hence items in work at once.

    Raises:
        EndpointError: Work on an item raised it; work on the others is cancelled.
    """
    source = iter(items)

    async def worker() -> None:
        for item in source:
            await work(item)

    await gather_all([worker() for _ in range(concurrency)])
