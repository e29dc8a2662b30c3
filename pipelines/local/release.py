"""The pointer to the last published model: `.finist/last_release.json`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipelines.local.state import read_file, replace_text

FILE_NAME = "last_release.json"


class Release(BaseModel):
    """A published model; keys that later versions add are no error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_uri: str = Field(pattern=r"^s3://")
    name: str = "tuned"
    """Name of its InferenceService."""


def read_release(home: Path) -> Release | None:
    """Reads the pointer; None before the first publication.

    Raises:
        BadInputError: The file does not hold one.
    """
    trouble = "names no published model; run `make demo` again."
    return read_file(home / FILE_NAME, Release, trouble)


def write_release(home: Path, release: Release) -> None:
    """Replaces the pointer in one step."""
    replace_text(home / FILE_NAME, release.model_dump_json(indent=1))
