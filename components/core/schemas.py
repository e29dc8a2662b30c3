"""The rows that pass between stages, and how they are read and written as JSON lines."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.errors import SchemaError


class Row(BaseModel):
    """A frozen row; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(Row):
    """One atomic fact that an answer must contain."""

    name: str
    value: str
    """As it is written in the reference answer, for example `16,5%`."""
    accepted: tuple[str, ...] = ()
    """Other spellings that count, for example `16.5 %`."""


class Turn(Row):
    """One message of a dialogue."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class Dialogue(Row):
    """A dialogue with its ids, its start marker and what is known about it."""

    schema_version: Literal[1] = 1
    dialogue_id: str
    request_id: str
    response_id: str
    user_id: str
    """A hash: never the bank's own id."""
    start: bool = True
    """The start marker: this row opens a dialogue."""
    turns: tuple[Turn, ...] = Field(min_length=2)
    intent: str
    product: str
    phrasing_family: str
    facts: tuple[Fact, ...] = ()
    source: str
    language: str = "ru"
    split: Literal["train", "test"]
    licence: str

    @property
    def question(self) -> str:
        """The first message of the user."""
        return next(turn.content for turn in self.turns if turn.role == "user")

    @property
    def answer(self) -> str:
        """The last message of the assistant: the reference."""
        return next(turn.content for turn in reversed(self.turns) if turn.role == "assistant")


class Answer(Row):
    """What a contender answered to one test question, and what it took."""

    dialogue_id: str
    contender: str
    intent: str
    product: str
    question: str
    reference: str
    answer: str
    facts: tuple[Fact, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    latency_seconds: float
    first_token_seconds: float | None


class LossPoint(Row):
    """A point of the loss curve, or one held-out loss of a whole model."""

    series: Literal["train", "heldout", "heldout_base"]
    step: int
    loss: float
    """Mean cross-entropy per answer token, in nats."""


RowType = TypeVar("RowType", bound=BaseModel)


def read_jsonl(path: Path, model: type[RowType]) -> list[RowType]:
    """Reads a file of JSON lines into rows.

    Args:
        path: The file, UTF-8, one JSON object a line.
        model: The row's type.

    Returns:
        The rows, in the file's order.

    Raises:
        SchemaError: The file cannot be read, or a line does not fit the type; names both.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    return [_row(path, number, line, model) for number, line in enumerate(lines, 1) if line]


def _row(path: Path, number: int, line: str, model: type[RowType]) -> RowType:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise SchemaError(
            f"{path}:{number}: {field}: {first['msg']}; mend or remove this line."
        ) from error


def write_jsonl(path: Path, rows: Iterable[BaseModel]) -> None:
    """Writes rows as JSON lines; the file appears whole or not at all.

    Args:
        path: Where to; missing folders are made.
        rows: What to write, in this order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(row.model_dump_json() + "\n" for row in rows)
    os.replace(partial, path)
