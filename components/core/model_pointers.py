"""Names that move from version to version of a model: `latest`, `production`, `canary`.

`s3://bucket/models/<name>/production.json` says which version `.../models/<name>/production` is.
Whoever works with such a name looks once, at the start, and from then on uses the version.
"""

import re

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core import store
from components.core.errors import IntegrityError, MissingModelError
from components.core.settings import StoreSettings

MODELS = "models"
"""The folder of published models in the bucket."""
POINTERS = ("latest", "production", "canary")
_MOVING = re.compile(rf"{MODELS}/([^/]+)/({'|'.join(POINTERS)})")


class Pointer(BaseModel):
    """Which version a name stands for, and since when; keys of later releases are no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: str
    uri: str
    moved_at: str
    """ISO 8601, with microseconds: together with who moved it, it tells two movings apart."""
    moved_by: str = "unknown"
    previous: str = ""
    """The version it stood for before; empty at first."""


def pointer_uri(bucket: str, name: str, pointer: str) -> str:
    """Where a pointer stands.

    Args:
        bucket: The bucket.
        name: The model's name.
        pointer: One of `POINTERS`.
    """
    return f"s3://{bucket}/{MODELS}/{name}/{pointer}.json"


def read_pointer(settings: StoreSettings, bucket: str, name: str, pointer: str) -> Pointer | None:
    """Reads a pointer; None when it stands for nothing yet.

    Raises:
        IntegrityError: It is no pointer.
        StorageError: The store is away or refuses.
    """
    where = pointer_uri(bucket, name, pointer)
    return parse_pointer(where, store.get_json(settings, where))


def parse_pointer(where: str, content: object | None) -> Pointer | None:
    """Checks what was read.

    Args:
        where: The pointer's address, for the error.
        content: What stands there; None for nothing.

    Raises:
        IntegrityError: It is no pointer.
    """
    try:
        return None if content is None else Pointer.model_validate(content)
    except ValidationError as error:
        raise IntegrityError(
            f"{where} is no pointer; promote a version to write it anew."
        ) from error


def fixed(settings: StoreSettings, uri: str) -> str:
    """Gives the version that an address with a moving name means now.

    Args:
        settings: The store.
        uri: The address of a model: `s3://bucket/models/<name>/<latest|production|canary>`, or
            anything else, which is given back as it is: a version, a folder, a hub id.

    Returns:
        The version's address, in the same bucket: a copy of the bucket may have another name.

    Raises:
        MissingModelError: The name stands for nothing.
        StorageError: The store is away or refuses.
    """
    if not uri.startswith("s3://"):
        return uri
    place = store.parse_uri(uri)
    moving = _MOVING.fullmatch(place.prefix)
    if not moving:
        return uri
    found = read_pointer(settings, place.bucket, *moving.groups())
    if found is None:
        raise MissingModelError(
            f"{uri} stands for no version yet; publish or promote one, or name a version that "
            f"`finist models list` shows."
        )
    return f"s3://{place.bucket}/{MODELS}/{moving[1]}/{found.version}"
