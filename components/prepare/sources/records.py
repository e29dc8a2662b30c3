"""What a reader of files gives: records by field, whatever the format."""

from dataclasses import dataclass
from typing import Any, Literal

Format = Literal["auto", "jsonl", "csv", "xlsx", "json", "label-studio", "parquet"]

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes (or characters) of one line: what is longer is cut there, so that memory is bounded."""

MOST_CHARACTERS = 1_000_000
"""Highest limit that a setting may put on one text, well below `LONGEST_LINE`."""

MOST_UNPACKED = 64 * 1024 * 1024
"""Bytes of an XLSX archive once unpacked: some 60,000 dialogues.

The worst archive of that size (one row of millions of cells) took 2 GiB of memory and 40 s.
"""

MOST_LIST = 256 * 1024 * 1024
"""Bytes of a JSON list; as objects it takes several times that."""


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
        max_unpacked_bytes: Of an XLSX archive.
        max_list_bytes: Of a JSON list, which is read as a whole.
    """

    encoding: str = "auto"
    sheet: str = ""
    max_unpacked_bytes: int = MOST_UNPACKED
    max_list_bytes: int = MOST_LIST
