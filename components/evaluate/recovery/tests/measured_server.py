"""A real HTTP server that weighs token ids and writes answers as long as it is told to."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from components.core.tests.canned_server import Canned, CannedServer


class MeasuredServer(CannedServer):
    """Gives a token the log-probability `-id / 100`.

    With `weighs=False` it leaves log-probabilities out; with `knows_ignore_eos=False` its answers
    end after three words; prompts of more than `window` tokens are refused.
    """

    def __init__(
        self, weighs: bool = True, knows_ignore_eos: bool = True, window: int = 10_000
    ) -> None:
        super().__init__(lambda question: Canned(delay_seconds=0.01), model="bank")
        self.weighs = weighs
        self.knows_ignore_eos = knows_ignore_eos
        self.window = window
        self.weighed: list[list[int]] = []
        self.bodies: list[dict[str, Any]] = []

    def app(self) -> FastAPI:
        app = super().app()
        add = app.add_api_route
        add("/v1/completions", self.completions, methods=["POST"], response_model=None)
        return app

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        tokens = body["prompt"]
        if len(tokens) > self.window:
            return JSONResponse({"error": {"message": "the context is too long"}}, 400)
        self.weighed.append(tokens)
        weights = [None, *(-token / 100 for token in tokens[1:]), -1.0]
        given = {"token_logprobs": weights} if self.weighs and body["echo"] else None
        choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": given}
        head = {"id": "1", "object": "text_completion", "created": 0, "model": "bank"}
        return JSONResponse(head | {"choices": [choice]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        words = body["max_tokens"] if body.get("ignore_eos") and self.knows_ignore_eos else 3
        canned = Canned(text=" ".join(["слово"] * words), delay_seconds=0.01)
        return StreamingResponse(self.stream(canned, None), media_type="text/event-stream")
