"""Own data: what copywriters wrote to the brief, and what the bank keeps of its dialogues."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.catalogue import Bank
from components.prepare.sources.columns import normal_name, own_columns
from components.prepare.sources.files import read_files
from components.prepare.sources.records import (
    MOST_CHARACTERS,
    MOST_LIST,
    MOST_UNPACKED,
    Format,
    Reading,
)
from components.prepare.sources.rows import OpenQuestion, RowRules, TakenIds, to_row


class OwnSource(BaseModel):
    """Own files: JSON lines, CSV, XLSX, an export of Label Studio, or Parquet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["own"] = "own"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Rows carry it: `own:<name>`."""
    path: Path
    """A file, or a folder of files."""
    licence: str = Field(min_length=1)
    """What holds for the texts, for example `bank-internal`."""
    format: Format = "auto"
    """By the suffix, or one of jsonl, csv, xlsx, json (label-studio), parquet."""
    columns: dict[str, str] = {}
    """Name of a column -> field of `Dialogue`, `question` or `answer`, for other headers."""
    language: str = "ru"
    """Of rows that do not say theirs, ISO 639-1."""
    encoding: str = "auto"
    """Of CSV: UTF-8 and Windows-1251 are told apart; any name that Python knows."""
    sheet: str = ""
    """Of XLSX; empty for the first one."""
    max_characters: PositiveInt = Field(default=20_000, le=MOST_CHARACTERS)
    """Longest question, answer or other message."""
    max_unpacked_bytes: PositiveInt = MOST_UNPACKED
    """Largest XLSX once unpacked; a larger one is quarantined."""
    max_list_bytes: PositiveInt = MOST_LIST
    """Largest file that is one JSON list; a larger one is an error."""


def read_own(
    settings: OwnSource,
    *,
    salt: str = "",
    taken: TakenIds | None = None,
    bank: Bank | None = None,
) -> Iterator[Dialogue | QuarantinedRow]:
    """Reads own files as a stream.

    Args:
        settings: Which files, and how.
        salt: Of the users' hash; a secret of the bank's.
        taken: Ids of the run so far, so that no id occurs in two sources; None for this one alone.
        bank: When given, an intent must be one of the bank's, by its id or its title.

    Yields:
        Dialogues, and every row that could not be used, in the files' order.

    Raises:
        BadInputError: A file is missing, or of an unknown format.
        SchemaError: A table lacks needed columns; names those found.
    """
    rules = RowRules(
        source=f"{settings.kind}:{settings.name}",
        licence=settings.licence,
        language=settings.language,
        max_characters=settings.max_characters,
        salt=salt,
        intents=None if bank is None else known_intents(bank),
    )
    reading = Reading(
        settings.encoding, settings.sheet, settings.max_unpacked_bytes, settings.max_list_bytes
    )
    ids = taken or TakenIds()
    columns = own_columns(settings.columns)
    for record in read_files(settings.path, settings.format, columns, reading):
        row = record if isinstance(record, QuarantinedRow) else to_row(record, rules, ids)
        if not isinstance(row, OpenQuestion):  # own rows always have answers
            yield row


def known_intents(bank: Bank) -> Mapping[str, str]:
    """Gives the intents by their normal names, ids and titles alike.

    Args:
        bank: The catalogue.

    Returns:
        Normal name -> id. Of two intents with one title, the first.
    """
    titles = {normal_name(i.title): i.id for i in reversed(bank.intents.values())}
    return titles | {normal_name(name): name for name in bank.intents}
