"""Rows that were left out: how they are made, written and counted, one way for every part."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from components.core.errors import SchemaError
from components.core.schemas import QuarantinedRow

LONGEST_TEXT = 300
"""Characters of each text of a row that are kept: enough to find it again."""

MOST_ITEMS = 40
"""Values of a row, or items of a list in it, that are kept."""

DEEPEST = 6
"""Levels of nesting of a row that are kept."""

Kept = TypeVar("Kept")


class RowError(SchemaError):
    """A row that cannot be used; whoever reads the file turns it into a `QuarantinedRow`.

    Args:
        kind: A short stable name to count by, for example `empty-answer`.
        reason: One sentence: what is wrong and how to mend it.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def quarantined(file: str | Path, line: int, rejected: RowError, row: Any) -> QuarantinedRow:
    """Makes the record of a row that was left out.

    Args:
        file: Where it stood.
        line: From 1; 0 for the file as a whole.
        rejected: What is wrong with it.
        row: What was read; long texts, long lists and deep nesting are cut.

    Returns:
        The record, which can always be written as UTF-8 JSON.
    """
    reason = shown(str(rejected), 2 * LONGEST_TEXT)
    return QuarantinedRow(
        file=shown(str(file)), line=line, reason=reason, kind=rejected.kind, row=_cut(row, DEEPEST)
    )


def shown(text: str, longest: int = LONGEST_TEXT) -> str:
    """Cuts a text for people, and writes bytes that are no text as escapes.

    Args:
        text: As it was read, lone surrogates included.
        longest: Characters to keep; a cut text says how many there were.
    """
    kept = text[:longest].encode("utf-8", "backslashreplace").decode("utf-8")
    return kept if len(text) <= longest else f"{kept}... ({len(text)} characters)"


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return shown(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else "(a huge number)"
    if depth and isinstance(value, dict):
        items = list(value.items())[:MOST_ITEMS]
        return {shown(str(key)): _cut(item, depth - 1) for key, item in items}
    if depth and isinstance(value, list | tuple):
        return [_cut(item, depth - 1) for item in value[:MOST_ITEMS]]
    return shown(str(value)) if not isinstance(value, dict | list | tuple) else "..."


class Quarantine:
    """Writes `quarantine.jsonl` row by row and counts by kind; a context manager.

    The file appears when the `with` block ends well, empty when nothing was left out; after an
    error there is no file, or the earlier one.

    Args:
        path: Where the file goes; missing folders are made.

    Attributes:
        path: Where the file goes.
        counts: Rows by kind so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = path.with_name(path.name + ".partial")
        self._file = self._partial.open("w", encoding="utf-8")

    def add(self, row: QuarantinedRow) -> None:
        """Writes one row that was left out."""
        self._file.write(row.model_dump_json() + "\n")
        self.counts[row.kind] += 1

    def kept(self, rows: Iterable[Kept | QuarantinedRow]) -> Iterator[Kept]:
        """Passes good rows on and writes the others.

        Args:
            rows: What a reader or a step gives.

        Yields:
            The rows that are not quarantined, in their order.
        """
        for row in rows:
            if isinstance(row, QuarantinedRow):
                self.add(row)
            else:
                yield row

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._partial, self.path)
        else:
            self._partial.unlink(missing_ok=True)
