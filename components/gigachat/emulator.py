"""An emulator of GigaChat's API, for the laptop and the tests; never for customers.

OAuth, tokens that expire, headers, bodies and errors follow GigaChat; the answers come from any
OpenAI-compatible server, with our system prompt for the baseline before the dialogue. It says
what it is in a header of every answer, in `/healthz` and in the model's name.
"""

import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast

import openai
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from jinja2 import Template
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from components.gigachat.settings import EmulatorSettings
from components.gigachat.wire import EMULATOR_MODEL, Message, complaint, event

MODELS = (
    EMULATOR_MODEL,
    "GigaChat",
    "GigaChat-2",
    "GigaChat-Pro",
    "GigaChat-2-Pro",
    "GigaChat-2-Max",
)
"""Names that it answers to; in its answers it always calls itself the first."""
SCOPES = {"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"}
HEADER = "X-Finist-Emulator"
HONEST = {400, 413, 422, 429}
"""The upstream's refusals that are the client's affair; others are the emulator's 500."""


class EmulatedRequest(BaseModel):
    """GigaChat's chat request, as far as the emulator reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, gt=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)


@dataclass(eq=False)
class RefusalError(Exception):
    """A request that GigaChat would refuse; the body has its form `{"status", "message"}`."""

    status: int
    message: str
    retry_after: str | None = None


class Tokens:
    """Access tokens in memory, each with its end in seconds since the epoch."""

    def __init__(self, life_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.life_seconds = life_seconds
        self.clock = clock
        self.ends: dict[str, float] = {}

    def issue(self) -> tuple[str, int]:
        """Gives a new token and its end in milliseconds, and forgets those that have ended."""
        now = self.clock()
        self.ends = {token: end for token, end in self.ends.items() if end > now}
        token = secrets.token_urlsafe(32)
        self.ends[token] = now + self.life_seconds
        return token, int(self.ends[token] * 1000)

    def accepts(self, token: str) -> bool:
        """Whether the token was issued here and has not ended."""
        return self.ends.get(token, 0.0) > self.clock()


class Emulator:
    """State and handlers of one emulator."""

    def __init__(self, settings: EmulatorSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.tokens = Tokens(settings.token_seconds, clock)
        self.upstream = openai.AsyncOpenAI(
            base_url=settings.upstream_url,
            api_key="none",
            max_retries=0,
            timeout=settings.timeout,
        )
        self.system_prompt = baseline_prompt()

    async def oauth(self, request: Request) -> dict[str, Any]:
        """Gives an access token for an authorization key, as `POST /api/v2/oauth` does."""
        if not _is_uuid(request.headers.get("RqUID", "")):
            raise RefusalError(400, "RqUID header is missing or is no UUID")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        expected = self.settings.credentials.get_secret_value()
        if scheme != "Basic" or not secrets.compare_digest(key.encode(), expected.encode()):
            raise RefusalError(401, "Authorization error: header is incorrect")
        if (await request.form()).get("scope") not in SCOPES:
            raise RefusalError(400, "scope is empty or unknown")
        token, expires_at = self.tokens.issue()
        return {"access_token": token, "expires_at": expires_at}

    async def models(self, request: Request) -> dict[str, Any]:
        """Lists the one model."""
        self._authorize(request)
        entry = {"id": EMULATOR_MODEL, "object": "model", "owned_by": "finist-emulator"}
        return {"object": "list", "data": [entry]}

    async def chat(self, request: Request) -> Response:
        """Answers a dialogue with the upstream's words, in GigaChat's form."""
        self._authorize(request)
        asked = EmulatedRequest.model_validate_json(await request.body())
        if asked.model not in MODELS:
            raise RefusalError(404, "No such model")
        with _as_refusals():
            if asked.stream:
                chunks = await self._ask(asked, stream=True, stream_options={"include_usage": True})
                return await _streamed(cast(openai.AsyncStream[ChatCompletionChunk], chunks))
            whole = await self._ask(asked)
        return JSONResponse(_completion(whole))

    async def healthz(self) -> dict[str, Any]:
        """Says that it lives, and what it is."""
        return {"status": "ok", "emulator": True, "answers_by": self.settings.upstream_model}

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.tokens.accepts(token):
            raise RefusalError(401, "Token has expired")

    async def _ask(self, asked: EmulatedRequest, **options: Any) -> Any:
        messages = [message.for_gigachat() for message in asked.messages]
        if messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.system_prompt}, *messages]
        greedy = asked.top_p == 0
        ask = cast(Any, self.upstream.chat.completions.create)  # overloads want literal options
        return await ask(
            model=self.settings.upstream_model,
            messages=messages,
            max_tokens=asked.max_tokens or openai.omit,
            temperature=0.0 if greedy else asked.temperature or openai.omit,
            top_p=asked.top_p or openai.omit,
            **options,
        )


def create_app(settings: EmulatorSettings, clock: Callable[[], float] = time.time) -> FastAPI:
    """Builds the service.

    Args:
        settings: Who answers, and the key to accept.
        clock: Seconds since the epoch; tests turn it.
    """
    emulator = Emulator(settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await emulator.upstream.close()

    app = FastAPI(title="Emulator of GigaChat", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_api_route("/api/v2/oauth", emulator.oauth, methods=["POST"])
    app.add_api_route("/api/v1/models", emulator.models, methods=["GET"])
    app.add_api_route(
        "/api/v1/chat/completions", emulator.chat, methods=["POST"], response_model=None
    )
    app.add_api_route("/healthz", emulator.healthz, methods=["GET"])
    app.add_exception_handler(RefusalError, _refuse)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_middleware(SayEmulator)
    return app


def baseline_prompt() -> str:
    """Renders the system prompt of the prompted baseline."""
    source = resources.files("components.core").joinpath("templates/baseline_system.jinja")
    return str(Template(source.read_text(encoding="utf-8")).render()).strip()


class SayEmulator:
    """ASGI middleware that names the emulator in every answer.

    Starlette's own base class would end a broken stream as if it were whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and marks the answer's head."""

        async def named(message: ASGIMessage) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[HEADER] = "GigaChat"
                headers["X-Request-ID"] = str(uuid.uuid4())
            await send(message)

        await self.app(scope, receive, named)


async def _streamed(chunks: openai.AsyncStream[ChatCompletionChunk]) -> StreamingResponse:
    """Waits for the first chunk, as GigaChat does, before there is a status."""
    try:
        first = await anext(chunks)
    except StopAsyncIteration as error:
        raise RefusalError(500, "Internal Server Error") from error
    return StreamingResponse(_events(first, chunks), media_type="text/event-stream")


async def _events(
    first: ChatCompletionChunk, rest: openai.AsyncStream[ChatCompletionChunk]
) -> AsyncIterator[str]:
    """Holds the finishing chunk back until the usage is there: GigaChat sends both in one."""
    last: dict[str, Any] | None = None
    for choice in first.choices:
        yield event(_chunk({"delta": {"role": "assistant", "content": choice.delta.content or ""}}))
        last = _finish(choice.finish_reason)
    async with rest:
        async for part in rest:
            for choice in part.choices:
                if choice.delta.content:
                    yield event(_chunk({"delta": {"content": choice.delta.content}}))
                last = _finish(choice.finish_reason) or last
            if part.usage:
                last = (last or _finish("stop") or {}) | {"usage": _usage(part.usage)}
    if last:
        yield event(last)
    yield event(None)


def _finish(reason: str | None) -> dict[str, Any] | None:
    if not reason:
        return None
    return _chunk({"delta": {"content": ""}, "finish_reason": _reason(reason)})


def _chunk(choice: dict[str, Any]) -> dict[str, Any]:
    return _head("chat.completion") | {"choices": [{"index": 0, **choice}]}


def _completion(whole: ChatCompletion) -> dict[str, Any]:
    choices = [
        {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.message.content or ""},
            "finish_reason": _reason(choice.finish_reason),
        }
        for choice in whole.choices
    ]
    return _head("chat.completion") | {"choices": choices, "usage": _usage(whole.usage)}


def _head(kind: str) -> dict[str, Any]:
    return {"object": kind, "created": int(time.time()), "model": EMULATOR_MODEL}


def _usage(spent: openai.types.CompletionUsage | None) -> dict[str, int]:
    return {
        "prompt_tokens": spent.prompt_tokens if spent else 0,
        "completion_tokens": spent.completion_tokens if spent else 0,
        "total_tokens": spent.total_tokens if spent else 0,
        "precached_prompt_tokens": 0,
    }


def _reason(reason: str) -> str:
    """GigaChat calls a filtered answer `blacklist`."""
    return "blacklist" if reason == "content_filter" else reason


@contextmanager
def _as_refusals() -> Iterator[None]:
    """Turns the upstream's failures into GigaChat's."""
    try:
        yield
    except openai.APIStatusError as error:
        status = error.status_code
        if status not in HONEST and not error.response.is_server_error:
            status = 500
        raise RefusalError(
            status, error.message, error.response.headers.get("retry-after")
        ) from error
    except openai.APITimeoutError as error:
        raise RefusalError(504, "Gateway Timeout") from error
    except openai.APIError as error:
        raise RefusalError(503, "Service Unavailable") from error


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    refusal = cast(RefusalError, error)
    headers = {"Retry-After": refusal.retry_after} if refusal.retry_after else None
    body = {"status": refusal.status, "message": refusal.message}
    return JSONResponse(body, refusal.status, headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    body = {"status": 422, "message": complaint(cast(ValidationError, error))}
    return JSONResponse(body, 422)
