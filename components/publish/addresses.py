"""Where models lie in the store, and what may be a name of one."""

import re
from dataclasses import dataclass

from components.core import store
from components.core.errors import BadInputError, MissingModelError
from components.core.model_pointers import MODELS
from components.core.settings import StoreSettings

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VERSION_DIGITS = 12
CANDIDATES = "candidates"


@dataclass(frozen=True)
class Version:
    """Where a version is, and whether this call brought it there."""

    uri: str
    version: str
    new: bool


def check_name(name: str) -> None:
    """Makes sure that `name` can be a model's.

    Raises:
        BadInputError: It is no DNS label.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(f"{name!r} is no model name; use a-z, 0-9 and dashes, 63 at most.")


def model_uri(settings: StoreSettings, name: str, version: str = "") -> str:
    """Where a published version is, or all versions of a model."""
    return store.Location(settings.bucket, f"{MODELS}/{name}/{version}".rstrip("/")).uri()


def require_version(settings: StoreSettings, name: str, version: str) -> str:
    """The address of a published version that is whole.

    Raises:
        MissingModelError: There is no such version.
        StorageError: The store is away or refuses.
    """
    uri = model_uri(settings, name, version)
    if store.read_manifest(settings, uri) is None:
        raise MissingModelError(f"{uri} is no published version; see `finist models show {name}`.")
    return uri


def candidate_uri(settings: StoreSettings, name: str, version: str = "") -> str:
    """Where a candidate is, or all candidates for a model."""
    return store.Location(settings.bucket, f"{CANDIDATES}/{name}/{version}".rstrip("/")).uri()


def candidate_name(settings: StoreSettings, candidate: str) -> str:
    """The model's name in the address of a candidate.

    Raises:
        BadInputError: The address is no candidate's.
    """
    place = store.parse_uri(candidate)
    folder, _, rest = place.prefix.partition("/")
    name, _, version = rest.partition("/")
    if folder != CANDIDATES or not version or place.bucket != settings.bucket:
        raise BadInputError(
            f"{candidate} is no candidate; give the s3://{settings.bucket}/{CANDIDATES}/<name>/"
            "<version> that uploading it printed."
        )
    return name
