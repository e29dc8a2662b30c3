"""XLSX of strangers: bounded before it is opened, read as a stream, nothing in it is run.

openpyxl evaluates no formula, macro or link; with defusedxml it also refuses XML entities. What
remains is size: an archive may unpack to anything, a sheet may say that it has a billion cells.
"""

import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from components.core.errors import SchemaError
from components.core.schemas import QuarantinedRow
from components.prepare.sources.columns import Columns
from components.prepare.sources.quarantine import RowError, quarantined
from components.prepare.sources.records import Reading, Record

MOST_ENTRIES = 2_000
"""Files in the archive; a workbook of one sheet has about ten."""

HIGHEST_RATIO = 200
"""Unpacked over packed bytes; sheets of ordinary text reach 20 (RATIO_FROM and above only)."""

RATIO_FROM = 16 * 1024 * 1024
"""Unpacked bytes from which the ratio counts: small sheets of equal rows pack well."""

MOST_ROWS = 1_048_576
"""What Excel itself allows in a sheet."""

MOST_COLUMNS = 100
"""Columns that are looked at."""

_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ParseError, NotImplementedError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError),
)
"""What zipfile and openpyxl raise on broken input; defusedxml's refusals are ValueErrors."""


def read_xlsx(path: Path, columns: Columns, reading: Reading) -> Iterator[Record | QuarantinedRow]:
    """Reads the rows of one sheet; its first row that is not blank names the columns.

    Args:
        path: The workbook.
        columns: How columns become fields.
        reading: Holds the sheet and the largest unpacked size.

    Yields:
        Records with their row's number. A row with a formula is quarantined; a workbook that is
        too large, hostile or broken gives one quarantined row for the file, or for where it breaks.

    Raises:
        SchemaError: Needed columns or the sheet are missing; names those found.
    """
    fields: list[str] = []
    blank: tuple[Any, ...] = ()
    number, rows = 0, _rows(path, reading)
    try:
        while (found := _next(rows)) is not None:
            number, cells = found
            if cells is blank or all(cell.value is None for cell in cells):
                blank = cells  # openpyxl gives one object for all rows that the sheet skips
            elif not fields:
                fields = columns.of_header([_text(cell) for cell in cells], str(path))
            else:
                yield _record(path, number, cells, fields)
    except RowError as rejected:
        yield quarantined(path, number + 1 if number else 0, rejected, None)
        return
    if not fields:
        columns.of_header([], str(path))


def _next(rows: Iterator[tuple[int, tuple[Any, ...]]]) -> tuple[int, tuple[Any, ...]] | None:
    try:
        return next(rows, None)
    except SchemaError:
        raise
    except _BROKEN as error:
        raise _told(_first(error)) from error


def _told(cause: BaseException) -> RowError:
    from defusedxml.common import DefusedXmlException

    if isinstance(cause, DefusedXmlException):
        reason = "The workbook declares XML entities, as attacks do; save the table anew as XLSX."
        return RowError("hostile-xlsx", reason)
    said = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    reason = f"The workbook cannot be read from here on ({said}); save it anew."
    return RowError("broken-xlsx", reason)


def _first(error: BaseException) -> BaseException:
    """What was first raised: openpyxl wraps it into "see the exception for more details"."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def _rows(path: Path, reading: Reading) -> Iterator[tuple[int, tuple[Any, ...]]]:
    import openpyxl

    if not openpyxl.DEFUSEDXML:
        raise SchemaError(f"{path} stays closed: XLSX is read only with defusedxml; install it.")
    _refuse_bomb(path, reading.max_unpacked_bytes)
    workbook = openpyxl.load_workbook(path, read_only=True, keep_links=False, data_only=False)
    try:
        sheet = _sheet(path, workbook, reading.sheet)
        sheet.reset_dimensions()  # the size that the sheet claims may be a lie
        yield from enumerate(sheet.iter_rows(max_row=MOST_ROWS, max_col=MOST_COLUMNS), 1)
    finally:
        workbook.close()


def _refuse_bomb(path: Path, most: int) -> None:
    """Adds up what the archive says; zipfile never unpacks more of a file than that."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    ratio = unpacked / max(path.stat().st_size, 1)
    if len(entries) > MOST_ENTRIES or unpacked > most:
        size = f"{len(entries)} files and {unpacked} bytes"
        reason = f"The archive unpacks to {size}, over {MOST_ENTRIES} or {most}; split the table."
        raise RowError("hostile-xlsx", reason)
    if unpacked > RATIO_FROM and ratio > HIGHEST_RATIO:
        reason = f"The archive unpacks to {ratio:.0f} times its size, as bombs do; save it as CSV."
        raise RowError("hostile-xlsx", reason)


def _sheet(path: Path, workbook: Any, name: str) -> Any:
    sheets = {sheet.title: sheet for sheet in workbook.worksheets}
    if not sheets or (name and name not in sheets):
        wanted = f"the sheet {name!r}" if name else "a sheet with rows"
        raise SchemaError(f"{path}: needs {wanted}; found: {', '.join(sheets) or 'none'}.")
    return sheets[name] if name else next(iter(sheets.values()))


def _record(
    path: Path, number: int, cells: tuple[Any, ...], fields: list[str]
) -> Record | QuarantinedRow:
    named = [(field, cell) for field, cell in zip(fields, cells, strict=False) if field]
    values = {field: _text(cell) for field, cell in named}
    formulas = [field for field, cell in named if cell.data_type == "f"]
    if formulas:
        reason = f"{formulas[0]} is a formula, and formulas are never computed; paste its value."
        return quarantined(path, number, RowError("formula", reason), values)
    return Record(str(path), number, values)


def _text(cell: Any) -> str:
    """A cell as text: whole numbers without a point, dates as ISO 8601."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date | time) else str(value)
