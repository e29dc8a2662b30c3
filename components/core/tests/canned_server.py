"""A real OpenAI-compatible HTTP server whose answers, delays and failures a test decides."""

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse


@dataclass(frozen=True)
class Canned:
    """One answer: statuses given first, one a try, then the text."""

    text: str = ""
    failures: tuple[int, ...] = ()
    always: int = 0
    delay_seconds: float = 0.0
    finish_reason: str = "stop"
    cut: bool = False


class CannedServer:
    """The server's state: what it was asked, how often, how much at once."""

    def __init__(self, answer: Callable[[str], Canned], model: str = "canned") -> None:
        self.answer = answer
        self.model = model
        self.asked: Counter[str] = Counter()
        self.systems: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/v1/models", self.models, methods=["GET"])
        app.add_api_route("/v1/chat/completions", self.chat, methods=["POST"], response_model=None)
        return app

    async def models(self) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [
                {
                    "id": self.model,
                    "object": "model",
                    "created": 0,
                    "owned_by": "test",
                    "root": f"/models/{self.model}",
                }
            ],
        }

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        question = body["messages"][-1]["content"]
        self.systems += [m["content"] for m in body["messages"] if m["role"] == "system"]
        canned = self.answer(question)
        tries = self.asked[question]
        self.asked[question] += 1
        status = canned.always or (canned.failures[tries] if tries < len(canned.failures) else 200)
        if status != 200:
            message = {"error": {"message": f"canned {status}", "type": "canned"}}
            return JSONResponse(message, status, headers={"Retry-After": "0.02"})
        return StreamingResponse(self.stream(canned), media_type="text/event-stream")

    async def stream(self, canned: Canned) -> AsyncIterator[str]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(canned.delay_seconds)
            for word in canned.text.split(" ") if canned.text else ():
                yield event({"choices": [choice({"content": word + " "})]})
            if canned.cut:
                raise ConnectionResetError
            yield event({"choices": [choice({}, canned.finish_reason)]})
            words = len(canned.text.split())
            usage = {"prompt_tokens": 7, "completion_tokens": words, "total_tokens": 7 + words}
            yield event({"choices": [], "usage": usage})
            yield "data: [DONE]\n\n"
        finally:
            self.in_flight -= 1


def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def event(content: dict[str, Any]) -> str:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "canned"}
    return f"data: {json.dumps(head | content, ensure_ascii=False)}\n\n"


@contextmanager
def serving(server: CannedServer) -> Iterator[CannedServer]:
    """Serves on a free loopback port in a thread, and stops."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = uvicorn.Config(server.app(), log_level="critical", lifespan="off", ws="none")
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield server
        finally:
            runner.should_exit = True
            thread.join(timeout=20)
