"""A real OpenAI-compatible HTTP server whose answers, delays and failures a test decides."""

import asyncio
import json
import math
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse


@dataclass(frozen=True)
class Canned:
    """One answer: statuses given first, one a try, then the text.

    `top` are the probabilities of the first word's alternatives, given to who asks for
    log-probabilities; without it the server leaves them out, as some do, or, with
    `refuses_logprobs`, answers 400, as others do. `raw` is sent as it is before the text.
    """

    text: str = ""
    failures: tuple[int, ...] = ()
    always: int = 0
    delay_seconds: float = 0.0
    finish_reason: str = "stop"
    cut: bool = False
    top: dict[str, float] | None = None
    refuses_logprobs: bool = False
    retry_after: str = "0.02"
    raw: str = ""
    counts_tokens: bool = True


class CannedServer:
    """The server's state: what it was asked, how often, how much at once."""

    def __init__(self, answer: Callable[[str], Canned], model: str = "canned") -> None:
        self.answer = answer
        self.model = model
        self.asked: Counter[str] = Counter()
        self.systems: list[str] = []
        self.formats: list[Any] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.models_reply: Response | None = None
        self.runner: uvicorn.Server | None = None

    def die(self) -> None:
        """Closes the socket and every connection at once, as a killed server does."""
        assert self.runner
        self.runner.should_exit = self.runner.force_exit = True

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/v1/models", self.models, methods=["GET"], response_model=None)
        app.add_api_route("/v1/chat/completions", self.chat, methods=["POST"], response_model=None)
        return app

    async def models(self) -> Response:
        card = {"object": "model", "created": 0, "owned_by": "test"}
        known = card | {"id": self.model, "root": f"/models/{self.model}"}
        return self.models_reply or JSONResponse({"object": "list", "data": [known]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        question = body["messages"][-1]["content"]
        self.systems += [m["content"] for m in body["messages"] if m["role"] == "system"]
        self.formats.append(body.get("response_format"))
        canned = self.answer(question)
        tries = self.asked[question]
        self.asked[question] += 1
        self.arrivals[question].append(time.monotonic())
        status = canned.always or (canned.failures[tries] if tries < len(canned.failures) else 200)
        if canned.refuses_logprobs and body.get("logprobs"):
            status = 400
        if status != 200:
            message = {"error": {"message": f"canned {status}", "type": "canned"}}
            return JSONResponse(message, status, headers={"Retry-After": canned.retry_after})
        top = canned.top if body.get("logprobs") else None
        return StreamingResponse(self.stream(canned, top), media_type="text/event-stream")

    async def stream(self, canned: Canned, top: dict[str, float] | None) -> AsyncIterator[str]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(canned.delay_seconds)
            yield canned.raw
            for word in canned.text.split(" ") if canned.text else ():
                given = choice({"content": word + " "})
                yield event(
                    {"choices": [given | ({"logprobs": logprobs(word, top)} if top else {})]}
                )
            if canned.cut:
                raise ConnectionResetError
            yield event({"choices": [choice({}, canned.finish_reason)]})
            words = len(canned.text.split())
            usage = {"prompt_tokens": 7, "completion_tokens": words, "total_tokens": 7 + words}
            if canned.counts_tokens:
                yield event({"choices": [], "usage": usage})
            yield "data: [DONE]\n\n"
        finally:
            self.in_flight -= 1


def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def logprobs(word: str, top: dict[str, float]) -> dict[str, Any]:
    """A word as two tokens, the word with its alternatives and the space behind it."""
    alternatives = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in top.items()]
    space = {"token": " ", "logprob": 0.0, "bytes": None, "top_logprobs": []}
    first = {"token": word, "logprob": -0.1, "bytes": None, "top_logprobs": alternatives}
    return {"content": [first, space], "refusal": None}


def event(content: dict[str, Any]) -> str:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "canned"}
    return f"data: {json.dumps(head | content)}\n\n"


@contextmanager
def serving(server: CannedServer) -> Iterator[CannedServer]:
    """Serves on a free loopback port in a thread, and stops."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = uvicorn.Config(server.app(), log_level="critical", lifespan="off", ws="none")
        runner = server.runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield server
        finally:
            runner.should_exit = True
            thread.join(timeout=20)
