"""What a reader of files gives: records by field, whatever the format."""

from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["auto", "jsonl", "csv", "xlsx", "json", "label-studio", "parquet"]

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes (or characters) of one line: what is longer is cut there, so that memory is bounded."""

MOST_CHARACTERS = 1_000_000
"""Highest limit that a setting may put on one text, well below `LONGEST_LINE`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file.

    Attributes:
        file: Where it stands.
        line: From 1; the number of the object where a file has no lines.
        values: By field, as read.
    """

    file: str
    line: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        encoding: Of CSV; `auto` finds out.
        sheet: Of XLSX; empty for the first.
        max_unpacked_bytes: Of an XLSX archive, and of a JSON file as it lies.
    """

    encoding: str = "auto"
    sheet: str = ""
    max_unpacked_bytes: int = 256 * 1024 * 1024
