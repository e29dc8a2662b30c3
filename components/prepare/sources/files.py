"""Files of a source: which there are, and which reader each takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from components.core.errors import BadInputError
from components.core.schemas import QuarantinedRow
from components.prepare.sources.columns import Columns
from components.prepare.sources.csv_file import read_csv
from components.prepare.sources.json_file import read_json, read_jsonl
from components.prepare.sources.records import Format, Reading, Record
from components.prepare.sources.table_file import read_parquet_table
from components.prepare.sources.xlsx_file import read_xlsx

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
"""Suffix -> format, for `auto`."""


def read_files(
    path: Path, file_format: Format, columns: Columns, reading: Reading
) -> Iterator[Record | QuarantinedRow]:
    """Reads a file, or every file of a folder whose suffix is known, in the order of their names.

    Args:
        path: A file or a folder.
        file_format: `auto` goes by the suffix.
        columns: How columns become fields.
        reading: How files are read.

    Yields:
        Records, and what could not be read where it stands.

    Raises:
        BadInputError: There is no such file, or its format is unknown; SchemaError, its child,
            when a table lacks needed columns.
    """
    for file in _files(path):
        found = FORMATS.get(file.suffix.casefold()) if file_format == "auto" else file_format
        if found is None:
            known = ", ".join(FORMATS)
            raise BadInputError(f"{file}: no reader goes by this suffix; known are {known}.")
        yield from _read(file, found, columns, reading)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInputError(f"There is no file or folder {path}; check the path of the source.")
    found = sorted(p for p in path.rglob("*") if p.suffix.casefold() in FORMATS and p.is_file())
    files = [file for file in found if not file.name.startswith((".", "~$"))]
    if not files:
        raise BadInputError(f"{path} holds no file with one of the suffixes {', '.join(FORMATS)}.")
    return files


def _read(
    file: Path, file_format: Format, columns: Columns, reading: Reading
) -> Iterator[Record | QuarantinedRow]:
    match file_format:
        case "jsonl":
            return read_jsonl(file, columns)
        case "csv":
            return read_csv(file, columns, reading)
        case "xlsx":
            return read_xlsx(file, columns, reading)
        case "json" | "label-studio":
            return read_json(file, columns, reading)
        case "parquet":
            return read_parquet_table(file, columns)
        case "auto":
            raise BadInputError(f"{file}: say which format it has.")
    assert_never(file_format)
