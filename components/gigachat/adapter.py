"""An OpenAI-compatible face of GigaChat.

Thin on purpose: the `gigachat` library does OAuth (refreshing a token a minute before it ends, one
refresh at a time), TLS and parsing. This module maps requests, answers and failures, and answers
200 to a stream only when GigaChat's first chunk is there, so that a 429 stays a 429.
"""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from gigachat import GigaChat
from gigachat.models import ChatCompletion, ChatCompletionChunk, Usage
from pydantic import ValidationError

from components.gigachat.settings import AdapterSettings
from components.gigachat.upstream import UpstreamError, as_upstream_errors
from components.gigachat.wire import ChatRequest, complaint, error_body, event


def create_app(settings: AdapterSettings) -> FastAPI:
    """Builds the service.

    Args:
        settings: Where GigaChat is and who we are there.

    Raises:
        MissingSecretError: There is no authorization key.
    """
    client = connect(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()

    app = FastAPI(title="GigaChat as OpenAI", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.client = client
    app.state.upstream = settings.base_url
    app.add_api_route("/v1/chat/completions", chat, methods=["POST"], response_model=None)
    app.add_api_route("/v1/models", models, methods=["GET"])
    app.add_api_route("/healthz", healthz, methods=["GET"])
    app.add_exception_handler(UpstreamError, _failed)
    app.add_exception_handler(ValidationError, _refused)
    return app


def connect(settings: AdapterSettings) -> GigaChat:
    """Opens the library's client; it speaks to GigaChat at the first request.

    Raises:
        MissingSecretError: There is no authorization key.
    """
    bundle = settings.ca_bundle_file
    return GigaChat(
        base_url=settings.base_url,
        auth_url=settings.auth_url,
        credentials=settings.secret(),
        scope=settings.scope,
        ca_bundle_file=str(bundle) if bundle else None,
        timeout=settings.timeout,
        max_connections=settings.max_connections,
    )


async def healthz(request: Request) -> dict[str, str]:
    """Says that the adapter itself lives; it does not ask GigaChat."""
    return {"status": "ok", "upstream": request.app.state.upstream}


async def models(request: Request) -> dict[str, Any]:
    """Lists GigaChat's models in OpenAI's form."""
    with as_upstream_errors():
        found = await _client(request).aget_models()
    data = [
        {"id": model.id_, "object": "model", "created": 0, "owned_by": model.owned_by}
        for model in found.data
    ]
    return {"object": "list", "data": data}


async def chat(request: Request) -> Response:
    """Answers a dialogue, whole or as a stream."""
    asked = ChatRequest.model_validate_json(await request.body())
    if not asked.stream:
        with as_upstream_errors():
            whole = await _client(request).achat(asked.for_gigachat())
        return JSONResponse(completion(whole))
    chunks = _client(request).astream(asked.for_gigachat())
    try:
        with as_upstream_errors():
            first = await anext(chunks)
    except StopAsyncIteration as error:
        raise UpstreamError(502, "GigaChat ended the stream before its first chunk.") from error
    return StreamingResponse(
        events(first, chunks, asked.include_usage),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def events(
    first: ChatCompletionChunk, rest: AsyncIterator[ChatCompletionChunk], include_usage: bool
) -> AsyncIterator[str]:
    """Turns GigaChat's chunks into OpenAI's events.

    Args:
        first: The chunk that was waited for.
        rest: The others; a failure there ends the stream with an error event, without `[DONE]`.
        include_usage: Whether a last chunk without choices carries the usage.
    """
    answer = _Answer()
    async with aclosing(cast(Any, rest)):
        yield event(answer.chunk(first))
        try:
            with as_upstream_errors():
                async for part in rest:
                    yield event(answer.chunk(part))
                answer.check_finished()
        except UpstreamError as error:
            yield event(error_body(error.status, error.message, "stream_cut"))
            return
    if include_usage:
        yield event(answer.usage_chunk())
    yield event(None)


class _Answer:
    """What the chunks of one answer share, and the usage and the finish met on the way."""

    def __init__(self) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = ""
        self.usage: Usage | None = None
        self.finished = False

    def chunk(self, part: ChatCompletionChunk) -> dict[str, Any]:
        self.model = part.model
        self.usage = part.usage or self.usage
        self.finished |= any(choice.finish_reason for choice in part.choices)
        choices = [
            {
                "index": choice.index,
                "delta": choice.delta.model_dump(include={"role", "content"}, exclude_none=True),
                "finish_reason": choice.finish_reason,
            }
            for choice in part.choices
        ]
        return self._with(choices)

    def check_finished(self) -> None:
        """Raises UpstreamError when no finish reason came: the library takes a cut for an end."""
        if not self.finished:
            raise UpstreamError(502, "GigaChat ended the stream without a finish reason.")

    def usage_chunk(self) -> dict[str, Any]:
        return self._with([]) | {"usage": usage(self.usage) if self.usage else None}

    def _with(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def completion(answer: ChatCompletion) -> dict[str, Any]:
    """Gives a whole answer in OpenAI's form; `finish_reason` stays GigaChat's (`blacklist` too)."""
    choices = [
        {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.message.content},
            "finish_reason": choice.finish_reason,
        }
        for choice in answer.choices
    ]
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices,
        "usage": usage(answer.usage),
    }


def usage(spent: Usage) -> dict[str, Any]:
    """Gives the token counts in OpenAI's form; GigaChat's cached tokens go under details."""
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.total_tokens,
        "prompt_tokens_details": {"cached_tokens": spent.precached_prompt_tokens or 0},
    }


def _client(request: Request) -> GigaChat:
    return cast(GigaChat, request.app.state.client)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    failure = cast(UpstreamError, error)
    headers = {"Retry-After": failure.retry_after} if failure.retry_after else None
    return JSONResponse(error_body(failure.status, failure.message), failure.status, headers)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(error_body(400, complaint(cast(ValidationError, error))), 400)
