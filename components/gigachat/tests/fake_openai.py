"""A tiny OpenAI-compatible server whose next answer a test decides, and the way to run servers."""

import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class FakeOpenAI:
    """Answers `words`, or fails with `status`, or breaks the stream after the first word."""

    words: tuple[str, ...] = ("Ставка", " 16", "%.")
    finish_reason: str = "stop"
    status: int = 200
    cut: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/v1/chat/completions", self.chat, methods=["POST"], response_model=None)
        return app

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        if self.status != 200:
            error = {"error": {"message": "try later", "type": "fake", "code": None}}
            return JSONResponse(error, self.status, {"Retry-After": "7"})
        if body.get("stream"):
            return StreamingResponse(self.stream(), media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(self.words)}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return JSONResponse(head("chat.completion") | {"choices": [choice], "usage": USAGE})

    async def stream(self) -> AsyncIterator[str]:
        for word in self.words:
            yield event([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
            if self.cut:
                raise ConnectionResetError
        yield event([{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
        yield event([], usage=USAGE)
        yield "data: [DONE]\n\n"


def head(kind: str) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 0, "model": "fake"}


def event(choices: list[dict[str, Any]], **more: Any) -> str:
    body = head("chat.completion.chunk") | {"choices": choices} | more
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serves on a free loopback port in a thread; gives the URL; stops."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="critical", ws="none")
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            runner.should_exit = True
            thread.join(timeout=20)
