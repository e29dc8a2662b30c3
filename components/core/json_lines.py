"""Files of JSON lines: read at once or row by row, written whole or not at all."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from components.core.errors import SchemaError
from components.core.whole_files import whole_file

RowType = TypeVar("RowType", bound=BaseModel)


class Line(NamedTuple):
    """A line that was not parsed yet."""

    number: int
    """From 1."""
    content: bytes


def read_jsonl(path: Path, model: type[RowType]) -> list[RowType]:
    """Reads a file of JSON lines into rows.

    Args:
        path: The file, UTF-8, one JSON object a line; empty lines are passed over.
        model: The row's type.

    Returns:
        The rows, in the file's order.

    Raises:
        SchemaError: The file cannot be read, or a line does not fit the type; names both.
    """
    return list(stream_rows(path, model))


def write_jsonl(path: Path, rows: Iterable[BaseModel]) -> None:
    """Writes rows as JSON lines; the file appears whole or not at all.

    Args:
        path: Where to; missing folders are made.
        rows: What to write, in this order.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(row.model_dump_json() + "\n" for row in rows)


def stream_rows(path: Path, model: type[RowType]) -> Iterator[RowType]:
    """Reads a file of JSON lines row by row.

    Args:
        path: The file, UTF-8, one JSON object a line; empty lines are passed over.
        model: The row's type.

    Yields:
        The rows, in the file's order.

    Raises:
        SchemaError: The file cannot be read, or a line does not fit the type; names both.
    """
    for line in stream_lines(path):
        yield parse(path, line, model)


def stream_lines(path: Path) -> Iterator[Line]:
    """Reads the lines of a file that are not empty.

    Args:
        path: The file.

    Yields:
        The lines, in the file's order.

    Raises:
        SchemaError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                if not content.isspace():
                    yield Line(number, content)
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror}.") from error


def parse(path: Path, line: Line, model: type[RowType]) -> RowType:
    """Parses a line.

    Args:
        path: Where it stands, for the error.
        line: The line.
        model: The row's type.

    Raises:
        SchemaError: The line does not fit the type.
    """
    try:
        return model.model_validate_json(line.content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise SchemaError(
            f"{path}:{line.number}: {field}: {first['msg']}; mend or remove this line."
        ) from error
