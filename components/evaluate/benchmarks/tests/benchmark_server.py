"""A real HTTP server that weighs texts (`/completions` with echo) and chats, as a test decides."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from components.core.tests.canned_server import Canned, CannedServer

MARKS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class BenchmarkServer(CannedServer):
    """What it was asked, and how it answers.

    `likes` says of a prompt whether its tokens are likely. With `answers_until` the connection is
    cut after so many requests, whatever they are.
    """

    def __init__(
        self,
        tokenizer: Path,
        likes: Callable[[str], bool],
        says: Callable[[str], str] = lambda question: "",
        weighs: bool = True,
        refuses: int = 0,
        answers_until: int | None = None,
    ) -> None:
        super().__init__(lambda question: Canned(), model="bank")
        self.tokenizer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
        self.likes = likes
        self.says = says
        self.weighs = weighs
        self.refuses = refuses
        self.answers_until = answers_until
        self.weighed: list[str] = []
        self.conversations: list[list[dict[str, str]]] = []

    def app(self) -> FastAPI:
        app = FastAPI()
        for path, method, answer in (
            ("models", "GET", self.models),
            ("completions", "POST", self.completions),
            ("chat/completions", "POST", self.chat),
        ):
            app.add_api_route(f"/v1/{path}", answer, methods=[method], response_model=None)
        return app

    async def completions(self, request: Request) -> Response:
        if self.refuses:
            return JSONResponse({"error": {"message": "canned"}}, self.refuses)
        if self._is_dead():
            return StreamingResponse(cut())
        body = await request.json()
        (tokens,) = body["prompt"]
        text = self.tokenizer.decode(tokens, skip_special_tokens=False)
        self.weighed.append(text)
        each = -0.01 if self.likes(text) else -2.0
        weights = [None, *([each] * len(tokens))]
        logprobs = {
            "token_logprobs": weights,
            "top_logprobs": [None, *({"x": each} for _ in tokens)],
        }
        given = logprobs if self.weighs and body["echo"] and body["logprobs"] else None
        return JSONResponse({"choices": [{"index": 0, "text": text, "logprobs": given}]})

    async def chat(self, request: Request) -> Response:
        if self._is_dead():
            return StreamingResponse(cut())
        body = await request.json()
        self.conversations.append(body["messages"])
        content = self.says(body["messages"][-1]["content"])
        message = {"role": "assistant", "content": content}
        return JSONResponse({"choices": [{"index": 0, "message": message}]})

    def _is_dead(self) -> bool:
        received = len(self.weighed) + len(self.conversations)
        return self.answers_until is not None and received >= self.answers_until


async def cut() -> AsyncIterator[str]:
    yield "{"
    raise ConnectionResetError


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer of single bytes with ChatML, as a model's folder holds it."""
    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    pieces.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    pieces.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}'
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
