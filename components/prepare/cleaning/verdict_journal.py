"""A file that keeps every verdict of a paid model, so that none is ever asked for twice."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from components.core.errors import SchemaError
from components.core.schemas import Row

LOG = logging.getLogger(__name__)


class Verdict(Row):
    """What the model said of one dialogue, and what that took."""

    key: str
    """SHA-256 of all that decides the verdict: dialogue, prompt, model."""
    reply: str
    prompt_tokens: int
    completion_tokens: int


def read_journal(path: Path) -> dict[str, Verdict]:
    """Reads the verdicts of earlier runs; a line torn by a crash is cut off, with a warning.

    Args:
        path: JSON lines of `Verdict`; may be absent.

    Returns:
        The verdicts by key.

    Raises:
        SchemaError: A line that is not the last one is no verdict; names it.
    """
    content = path.read_bytes() if path.exists() else b""
    whole, _, torn = content.rpartition(b"\n")
    if torn:
        LOG.warning("%s: the last line was torn by a crash; its verdict is asked again.", path)
        os.truncate(path, len(content) - len(torn))
    lines = whole.split(b"\n") if whole else []
    rows = (_verdict(path, number, line) for number, line in enumerate(lines, 1))
    return {row.key: row for row in rows}


def _verdict(path: Path, number: int, line: bytes) -> Verdict:
    try:
        return Verdict.model_validate_json(line)
    except ValidationError as error:
        raise SchemaError(
            f"{path}:{number} is no verdict; remove this line, and it is asked for again."
        ) from error


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """Opens a journal for `append`; folders are made.

    Args:
        path: The file.

    Yields:
        The open file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        yield file


def append(file: TextIO, verdict: Verdict) -> None:
    """Adds a verdict and waits until it is on the disk.

    Args:
        file: From `appending`.
        verdict: What to keep.
    """
    file.write(verdict.model_dump_json() + "\n")
    file.flush()
    os.fsync(file.fileno())
