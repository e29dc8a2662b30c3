"""The shapes on the wire: OpenAI's request in, GigaChat's payload out, errors both ways."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(_Frozen):
    """A part of a message; GigaChat takes text here, so other kinds are refused."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of the dialogue; what clients add to it (`name`, `refusal`) is dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[TextPart, ...]

    def for_gigachat(self) -> dict[str, str]:
        """Gives GigaChat's form: one text, and `system` for OpenAI's `developer`."""
        text = self.content
        if not isinstance(text, str):
            text = "\n".join(part.text for part in text)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Frozen):
    """OpenAI's `stream_options`."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatRequest(_Frozen):
    """OpenAI's chat request, as far as GigaChat can do it; anything else is refused by name."""

    model: str = Field(min_length=1)
    messages: tuple[Message, ...] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    n: Literal[1] | None = None
    seed: int | None = None
    """Taken and not passed on: GigaChat has no seed."""
    user: str | None = None
    """Taken and not passed on: who asks is no business of an outside API."""
    metadata: JsonValue = None

    @property
    def include_usage(self) -> bool:
        """Whether the client wants a last chunk with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def for_gigachat(self) -> dict[str, Any]:
        """Gives GigaChat's payload.

        GigaChat refuses a temperature of 0; its way to the most likely answer is `top_p` 0.
        """
        greedy = self.temperature == 0
        payload = {
            "model": self.model,
            "messages": [message.for_gigachat() for message in self.messages],
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": None if greedy else self.temperature,
            "top_p": 0.0 if greedy else self.top_p,
            "repetition_penalty": self.repetition_penalty,
        }
        return {key: value for key, value in payload.items() if value is not None}


EMULATOR_MODEL = "GigaChat-emulator"
"""What the emulator calls itself, so that no answer of its passes for GigaChat's."""
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}


def error_body(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    """Gives OpenAI's error body for an HTTP status."""
    kind = ERROR_TYPES.get(status, "upstream_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def event(content: dict[str, Any] | None) -> str:
    """Gives one server-sent event; None is the `[DONE]` that ends a stream.

    Only ASCII goes out: JSON's escapes keep U+2028 and the like from breaking a client's lines.
    """
    return f"data: {'[DONE]' if content is None else json.dumps(content)}\n\n"


def complaint(error: ValidationError) -> str:
    """Says in one sentence what is wrong with a request, without repeating its content."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{place}: {first['msg']}"
