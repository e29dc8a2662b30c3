"""CSV as people save it: any of three delimiters, UTF-8 or Windows-1251, quotes left open."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from components.core.errors import SchemaError
from components.core.schemas import QuarantinedRow
from components.prepare.sources.columns import Columns, normal_name
from components.prepare.sources.quarantine import RowError, quarantined
from components.prepare.sources.records import LONGEST_LINE, Reading, Record

DELIMITERS = ";,\t"
MOST_LINES = 200
"""Lines of one record: a quote that is not closed by then was left open by mistake."""


def read_csv(path: Path, columns: Columns, reading: Reading) -> Iterator[Record | QuarantinedRow]:
    """Reads a CSV file record by record; the first row that is not blank names the columns.

    Args:
        path: The file. Records that do not decode, or whose quotes do not fit, are quarantined.
        columns: How columns become fields.
        reading: Holds the encoding.

    Yields:
        Records with the number of their first line, and quarantined ones where they stand.

    Raises:
        SchemaError: Needed columns are missing; names those found.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_LINE))
    encoding = _encoding(path, reading.encoding)
    try:
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            yield from _records(path, file, columns, encoding)
    except (LookupError, UnicodeError) as error:
        raise SchemaError(f"{path} cannot be read as {encoding}: {error}.") from error


def _encoding(path: Path, asked: str) -> str:
    """Finds the encoding: by its mark, else UTF-8 when most lines are that, else Windows-1251.

    Russian text in Windows-1251 is never valid UTF-8, and few broken bytes in a UTF-8 file do not
    make it Windows-1251.
    """
    if asked != "auto":
        return asked
    with path.open("rb") as file:
        start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        file.seek(0)
        votes = 0
        while line := file.readline(LONGEST_LINE):
            if not line.isascii():
                votes += 1 if _is_utf8(line) else -1
    return "utf-8-sig" if votes >= 0 else "cp1251"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Lines:
    """Lines of a text file for csv.reader, with those of the record at hand kept to go back to."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._ahead: list[str] = []
        self.record: list[str] = []
        self.done = 0
        """Lines of finished records."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.record) >= MOST_LINES:
            raise csv.Error(f"a quote stays open for over {MOST_LINES} lines")
        line = self._ahead.pop() if self._ahead else self._read()
        if not line:
            raise StopIteration
        self.record.append(line)
        return line

    def _read(self) -> str:
        line = rest = self._file.readline(LONGEST_LINE)
        while len(rest) == LONGEST_LINE and not rest.endswith("\n"):
            rest = self._file.readline(LONGEST_LINE)
        return line

    def finish(self, lines: int) -> None:
        """Ends the record after so many of its lines; the others are read again."""
        self._ahead += reversed(self.record[lines:])
        self.done += lines
        self.record = []


def _records(
    path: Path, file: TextIO, columns: Columns, encoding: str
) -> Iterator[Record | QuarantinedRow]:
    lines = _Lines(file)
    delimiter = _delimiter(lines, columns)
    fields: list[str] = []
    for number, cells in _rows(lines, delimiter):
        if isinstance(cells, RowError):
            if not fields:
                raise SchemaError(f"{path}:{number}: the row of columns is broken: {cells}")
            yield quarantined(path, number, cells, None)
        elif not any(cell.strip() for cell in cells):
            continue
        elif not fields:
            fields = columns.of_header(cells, str(path))
        else:
            yield _record(path, number, cells, fields, encoding)
    if not fields:
        columns.of_header([], str(path))


def _delimiter(lines: _Lines, columns: Columns) -> str:
    """The one that gives most known columns, or most columns, in the first line with text."""
    header = next((line for line in islice(lines, MOST_LINES) if line.strip()), "")
    lines.finish(0)

    def known(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return sum(normal_name(name) in columns.fields for name in names), len(names)

    return max(DELIMITERS, key=known)


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str] | RowError]]:
    """First line and cells of each record; after a broken one, goes on at the next line."""
    while True:
        number = lines.done + 1
        try:
            cells = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            reason = f"The quotes of this row do not fit ({error}); close or double them."
            lines.finish(1)
            yield number, RowError("broken-csv", reason)
            continue
        if cells is None:
            return
        lines.finish(len(lines.record))
        yield number, cells


def _record(
    path: Path, number: int, cells: list[str], fields: list[str], encoding: str
) -> Record | QuarantinedRow:
    if any(cells[len(fields) :]):
        reason = f"{len(cells)} values for {len(fields)} columns; quote texts with the delimiter."
        return quarantined(path, number, RowError("wrong-columns", reason), cells)
    if encoding == "cp1251" and any(map(_was_utf8, cells)):
        reason = "The row is UTF-8 in a file of Windows-1251; save the file in one encoding."
        return quarantined(path, number, RowError("encoding", reason), cells)
    named = zip(fields, cells, strict=False)
    return Record(str(path), number, {field: cell for field, cell in named if field})


def _was_utf8(cell: str) -> bool:
    """Whether a cell read as Windows-1251 is UTF-8; Russian in the one is never the other."""
    return not cell.isascii() and _is_utf8(cell.encode("cp1251", "surrogateescape"))
