"""Open data: a data set of a hub, or its files on disk, through a mapping recipe."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from components.core.errors import BadInputError
from components.core.schemas import Dialogue, QuarantinedRow
from components.prepare.sources.files import read_files
from components.prepare.sources.mapping import Mapping, load_mapping
from components.prepare.sources.records import (
    MOST_CHARACTERS,
    MOST_LIST,
    MOST_UNPACKED,
    Format,
    Reading,
    Record,
)
from components.prepare.sources.rows import OpenQuestion, RowRules, TakenIds, to_row
from components.prepare.sources.table_file import read_dataset


class OpenSource(BaseModel):
    """An open data set: `dataset_id`, or `path` of its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["open"] = "open"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Rows carry it: `open:<name>`."""
    path: Path | None = None
    """A file, or a folder of files: JSON lines, CSV, Parquet, a JSON list, XLSX."""
    dataset_id: str = ""
    """Of a hub, for example `PolyAI/banking77`."""
    dataset_config: str = ""
    """Its configuration; empty for the default."""
    dataset_split: str = "train"
    """Which of its splits; it says nothing about ours."""
    dataset_revision: str = ""
    """A commit or tag, so that a run can be repeated; empty for the newest."""
    mapping: str = Field(min_length=1)
    """A recipe of `mappings/` by name, or the path of a YAML file."""
    licence: str = ""
    """Empty for the mapping's."""
    language: str = ""
    """ISO 639-1, of rows that do not say theirs; empty for the mapping's."""
    format: Format = "auto"
    """Of the files: by the suffix, or one of jsonl, csv, xlsx, json, parquet."""
    encoding: str = "auto"
    """Of CSV files."""
    rows: PositiveInt | None = None
    """How many rows to read at most, bad ones included; None for all."""
    max_characters: PositiveInt = Field(default=20_000, le=MOST_CHARACTERS)
    """Longest question, answer or other message."""
    max_unpacked_bytes: PositiveInt = MOST_UNPACKED
    """Largest XLSX once unpacked; a larger one is quarantined."""
    max_list_bytes: PositiveInt = MOST_LIST
    """Largest file that is one JSON list; a larger one is an error."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (not self.dataset_id):
            raise ValueError("give either path or dataset_id")
        return self


def read_open(
    settings: OpenSource, *, salt: str = "", taken: TakenIds | None = None
) -> Iterator[Dialogue | OpenQuestion | QuarantinedRow]:
    """Reads an open data set as a stream.

    Args:
        settings: Which data set, and through which mapping.
        salt: Of the users' hash; a secret of the bank's.
        taken: Ids of the run so far, so that no id occurs in two sources; None for this one alone.

    Yields:
        Dialogues, or questions where the mapping says `answer: none`, and every row that could
        not be used, in the data set's order.

    Raises:
        RecipeError: The mapping cannot be used.
        BadInputError: A file is missing, the hub cannot be reached, or nobody says the licence.
        SchemaError: The data set lacks the mapping's columns; names those found.
    """
    mapping = load_mapping(settings.mapping)
    records, labels = _records(settings, mapping)
    rules = _rules(settings, mapping, labels, salt)
    ids = taken or TakenIds()
    for number, record in enumerate(records, 1):
        if isinstance(record, QuarantinedRow):
            yield record
        else:
            yield to_row(record, rules, ids)
        if number == settings.rows:
            return


def _records(
    settings: OpenSource, mapping: Mapping
) -> tuple[Iterable[Record | QuarantinedRow], tuple[str, ...]]:
    """The records, and the names of integer intents that the data set brings."""
    if settings.path is not None:
        reading = Reading(
            settings.encoding, "", settings.max_unpacked_bytes, settings.max_list_bytes
        )
        return read_files(settings.path, settings.format, mapping.columns(), reading), ()
    records, names = read_dataset(
        settings.dataset_id,
        settings.dataset_config,
        settings.dataset_split,
        settings.dataset_revision,
        mapping.columns(),
    )
    return records, names.get("intent", ())


def _rules(settings: OpenSource, mapping: Mapping, labels: tuple[str, ...], salt: str) -> RowRules:
    licence = settings.licence or mapping.licence
    if not licence:
        raise BadInputError(
            f"Nobody says the licence of the source {settings.name}; read it on the data set's "
            "page and set `licence`."
        )
    form = mapping.conversation
    return RowRules(
        source=f"{settings.kind}:{settings.name}",
        licence=licence,
        language=settings.language or mapping.language or "ru",
        max_characters=settings.max_characters,
        salt=salt,
        labels=labels or mapping.labels,
        answerless=mapping.answerless,
        roles=mapping.roles,
        role_key=form.role if form else "role",
        content_key=form.content if form else "content",
    )
