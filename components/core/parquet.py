"""Dialogues as Parquet: the same rows as the JSON lines, for tools that read columns."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from components.core.errors import SchemaError
from components.core.schemas import Dialogue
from components.core.whole_files import whole_file

if TYPE_CHECKING:  # the base image has no pyarrow
    import pyarrow as pa

GROUP_ROWS = 10_000
"""Rows of one row group at most."""

GROUP_CHARACTERS = 50_000_000
"""Characters of text in one row group at most, which bounds the memory whatever the rows are."""

READ_ROWS = 1_000
"""Rows turned into objects at a time."""


def write_parquet(path: Path, rows: Iterable[Dialogue]) -> int:
    """Writes dialogues as one Parquet file, which appears whole or not at all.

    Memory stays bounded: rows are taken as they come and written group by group. Times are kept
    to the microsecond, in UTC.

    Args:
        path: Where to; missing folders are made.
        rows: What to write, in this order; none give a file with the columns and no row.

    Returns:
        How many rows were written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema, written = arrow_schema(), 0
    with (
        whole_file(path) as partial,
        parquet.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        for group in _groups(rows):
            table = pa.Table.from_pylist([row.model_dump() for row in group], schema)
            writer.write_table(table)
            written += len(group)
    return written


def read_parquet(path: Path) -> Iterator[Dialogue]:
    """Reads dialogues from a Parquet file, a thousand at a time.

    Args:
        path: A file with the columns of `Dialogue`; those with a default may be absent.

    Yields:
        The rows, in the file's order.

    Raises:
        SchemaError: The file is not Parquet, its columns are not those of `Dialogue`, or a row
            does not fit; names the file and the columns or the row.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _refuse_other_columns(path, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=READ_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield _dialogue(path, number, values)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(
            f"{path} cannot be read as Parquet: {error}; check that the file is whole."
        ) from error


def arrow_schema() -> "pa.Schema":
    """Gives the columns and their types, nested ones for turns and facts."""
    import pyarrow as pa

    text = pa.string()
    time = pa.timestamp("us", tz="UTC")
    turn = pa.struct([("role", text), ("content", text), ("time", time)])
    fact = pa.struct([("name", text), ("value", text), ("accepted", pa.list_(text))])
    special = {
        "schema_version": pa.int32(),
        "start": pa.bool_(),
        "turns": pa.list_(turn),
        "facts": pa.list_(fact),
        "judge_score": pa.float64(),
    }
    return pa.schema([(name, special.get(name, text)) for name in Dialogue.model_fields])


def _groups(rows: Iterable[Dialogue]) -> Iterator[list[Dialogue]]:
    group: list[Dialogue] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(turn.content) for turn in row.turns)
        if len(group) == GROUP_ROWS or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _refuse_other_columns(path: Path, found: list[str]) -> None:
    fields = Dialogue.model_fields
    missing = [name for name, field in fields.items() if field.is_required() and name not in found]
    unknown = [name for name in found if name not in fields]
    if missing or unknown:
        raise SchemaError(
            f"{path} does not hold dialogues: missing columns: {', '.join(missing) or 'none'}; "
            f"unknown columns: {', '.join(unknown) or 'none'}; found: {', '.join(found)}."
        )


def _dialogue(path: Path, number: int, values: dict[str, Any]) -> Dialogue:
    try:
        return Dialogue.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SchemaError(
            f"{path}, row {number}: {field}: {first['msg']}; mend or remove this row."
        ) from error
