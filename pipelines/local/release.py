"""The pointer to the last published model: `.finist/last_release.json`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.errors import BadInputError
from pipelines.local.state import replace_text

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
    path = home / FILE_NAME
    try:
        return Release.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BadInputError(f"{path} names no published model; run `make demo` again.") from error


def write_release(home: Path, release: Release) -> None:
    """Replaces the pointer in one step."""
    replace_text(home / FILE_NAME, release.model_dump_json(indent=1))
