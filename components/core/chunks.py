"""The chunks of a streamed chat completion, as far as they are read here.

The `openai` library's own models of them take 0.1 ms of CPU each to build, which at 32 answers in
flight is more than a core has; these are checked by pydantic in a tenth of it. What is null,
missing or unknown does no harm; a chunk of another shape is an error.
"""

from typing import Annotated

from pydantic import BaseModel, PlainValidator


def _text(value: object) -> str:
    """Lets half a character through, which pydantic's own strings refuse: the rest may follow."""
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


Text = Annotated[str, PlainValidator(_text)]


class Alternative(BaseModel):
    """A token and how likely it was."""

    token: Text
    logprob: float


class ChosenToken(Alternative):
    """A token of the answer."""

    top_logprobs: tuple[Alternative, ...] | None = None


class Logprobs(BaseModel):
    """The tokens of one chunk."""

    content: tuple[ChosenToken, ...] | None = None


class Delta(BaseModel):
    """What a chunk adds."""

    content: Text | None = None


class Choice(BaseModel):
    """One answer's part of a chunk."""

    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Usage(BaseModel):
    """Tokens of the whole answer."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Chunk(BaseModel):
    """One event of the stream."""

    choices: tuple[Choice, ...] | None = None
    usage: Usage | None = None
