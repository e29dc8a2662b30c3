"""Parquet files with whatever columns, and data sets of Hugging Face."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.core.errors import BadInputError
from components.core.schemas import QuarantinedRow
from components.prepare.sources.columns import Columns
from components.prepare.sources.quarantine import RowError, quarantined
from components.prepare.sources.records import Record

READ_ROWS = 1_000
"""Rows turned into objects at a time."""


def read_parquet_table(path: Path, columns: Columns) -> Iterator[Record | QuarantinedRow]:
    """Reads the wanted columns of a Parquet file, a thousand rows at a time.

    Args:
        path: The file.
        columns: How columns become fields.

    Yields:
        Records with the row's number from 1.

    Raises:
        SchemaError: Needed columns are missing; names those found.
    """
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            fields = columns.of_header(names, str(path))
            wanted = {name: field for name, field in zip(names, fields, strict=True) if field}
            for batch in file.iter_batches(READ_ROWS, columns=list(wanted)):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(str(path), number, {wanted[name]: row[name] for name in row})
    except (pa.ArrowException, OSError) as error:
        reason = f"The file cannot be read from here on ({error}); check that it is whole."
        yield quarantined(path, number + 1 if number else 0, _broken(reason), None)


def _broken(reason: str) -> RowError:
    return RowError("broken-parquet", reason)


def read_dataset(
    dataset_id: str, config: str, split: str, revision: str, columns: Columns
) -> tuple[Iterable[Record | QuarantinedRow], Mapping[str, tuple[str, ...]]]:
    """Opens a data set of a hub (or a folder in its layout) as a stream, not a download.

    No code of the data set is run: the library loads data files alone since version 4.

    Args:
        dataset_id: For example `PolyAI/banking77`; `HF_ENDPOINT` names a bank's own hub.
        config: Its configuration; empty for the default.
        split: For example `train`.
        revision: A commit or tag; empty for the newest.
        columns: How columns become fields.

    Returns:
        Records with the row's number from 1, and, by field, the names of integer classes.

    Raises:
        BadInputError: The hub cannot be reached, or has no such data set, configuration or split.
        SchemaError: Needed columns are missing; names those found.
    """
    import datasets

    try:
        stream = datasets.load_dataset(
            dataset_id, config or None, split=split, revision=revision or None, streaming=True
        )
        features = stream.features or stream._resolve_features().features
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise _unreachable(dataset_id, error) from error
    fields = columns.of_header(list(features), dataset_id)
    wanted = {name: field for name, field in zip(features, fields, strict=True) if field}
    named = {f: tuple(getattr(features[n], "names", ()) or ()) for n, f in wanted.items()}
    return _stream(dataset_id, stream, wanted), named


def _stream(dataset_id: str, stream: Any, wanted: dict[str, str]) -> Iterator[Record]:
    try:
        for number, row in enumerate(stream, 1):
            yield Record(dataset_id, number, {wanted[n]: row[n] for n in row if n in wanted})
    except (OSError, ValueError) as error:
        raise _unreachable(dataset_id, error) from error


def _unreachable(dataset_id: str, error: Exception) -> BadInputError:
    cause = " ".join(str(error).split())[:300]
    return BadInputError(
        f"The data set {dataset_id} cannot be read ({type(error).__name__}: {cause}); check its "
        "name, and where no hub can be reached, copy its files here and give `path` instead."
    )
