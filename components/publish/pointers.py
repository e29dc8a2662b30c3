"""Moves the names `latest`, `production` and `canary` from version to version, by compare-and-swap.

Of two who move a name at the same moment one is told that the other was faster: neither can undo
the other's decision without having seen it.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from components.core import store
from components.core.errors import BadInputError, ConflictError
from components.core.model_pointers import POINTERS, Pointer, parse_pointer, pointer_uri
from components.core.settings import StoreSettings
from components.publish.addresses import model_uri, require_version
from components.publish.lineage import read_lineage

TRIES = 5
"""Of moving `latest`, when publishers race: more of them at one moment is no accident."""


@dataclass(frozen=True)
class Seen:
    """A pointer as it was read; moving it fails if it was moved since."""

    name: str
    """Of the model."""
    pointer: str
    now: Pointer | None
    etag: str | None


def look(settings: StoreSettings, name: str, pointer: str) -> Seen:
    """Reads a pointer, to move it from where it is.

    Raises:
        BadInputError: There is no such pointer.
        StorageError: The store is away or refuses.
    """
    if pointer not in POINTERS:
        raise BadInputError(f"There is no pointer {pointer!r}; there are {', '.join(POINTERS)}.")
    where = pointer_uri(settings.bucket, name, pointer)
    tagged = store.get_tagged(settings, where)
    now = parse_pointer(where, tagged.content if tagged else None)
    return Seen(name, pointer, now, tagged.etag if tagged else None)


def move(settings: StoreSettings, seen: Seen, version: str, by: str = "") -> Pointer:
    """Moves a pointer to a version, if nobody moved it since it was read.

    Args:
        settings: The store.
        seen: What `look` gave.
        version: The version, which must be complete.
        by: Who moves it; the user and host of this process when empty.

    Returns:
        The pointer as it stands now.

    Raises:
        MissingModelError: There is no such version.
        ConflictError: Somebody else moved it; names who, and where to.
        StorageError: The store is away or refuses.
    """
    uri = require_version(settings, seen.name, version)
    ours = Pointer(
        version=version,
        uri=uri,
        moved_at=datetime.now(UTC).isoformat(),
        moved_by=by or whoami(),
        previous=seen.now.version if seen.now else "",
    )
    where = pointer_uri(settings.bucket, seen.name, seen.pointer)
    try:
        store.swap_json(settings, where, ours.model_dump(), seen.etag)
    except ConflictError as error:
        winner = look(settings, seen.name, seen.pointer).now
        if winner != ours:  # else our own answer was lost on the way, and the request repeated
            raise ConflictError(_lost(seen, version, winner)) from error
    require_version(settings, seen.name, version)  # gc may have been faster
    return ours


def _lost(seen: Seen, version: str, winner: Pointer | None) -> str:
    what = f"{seen.pointer} of {seen.name}"
    if winner is None:
        return f"{what} was taken away while you moved it; look at it and move it again."
    return (
        f"{what} was not moved to {version}: {winner.moved_by} moved it to {winner.version} at "
        f"{winner.moved_at[:19]} UTC, just before you; look at that version, and promote again if "
        f"yours should still replace it."
    )


def promote(settings: StoreSettings, name: str, version: str, pointer: str) -> Pointer:
    """Moves a pointer from wherever it is now; one that is there already stays as it is.

    Raises:
        BadInputError: There is no such pointer.
        MissingModelError: There is no such version.
        ConflictError: Somebody else moved it at the same moment.
        StorageError: The store is away or refuses.
    """
    seen = look(settings, name, pointer)
    if seen.now and seen.now.version == version:
        return seen.now
    return move(settings, seen, version)


def move_back(settings: StoreSettings, name: str, pointer: str) -> Pointer:
    """Moves a pointer to the version that it stood for before.

    Raises:
        BadInputError: There is no such pointer, or it never stood elsewhere.
        MissingModelError: That version is gone.
        ConflictError: Somebody else moved it at the same moment.
        StorageError: The store is away or refuses.
    """
    seen = look(settings, name, pointer)
    if not seen.now or not seen.now.previous:
        raise BadInputError(f"{pointer} of {name} stood for no other version; name one to move to.")
    return move(settings, seen, seen.now.previous)


def move_latest(settings: StoreSettings, name: str, version: str, by: str) -> Pointer:
    """Moves `latest` to a version that was just published.

    When another publisher was faster, the younger of the two versions counts.

    Args:
        settings: The store.
        name: The model's name.
        version: The version.
        by: Who publishes; the user and host of this process when empty.

    Returns:
        Where `latest` stands: another version than ours when that is younger.

    Raises:
        ConflictError: So many publish at once that ours never came through.
        StorageError: The store is away or refuses.
    """
    seen = look(settings, name, "latest")
    if seen.now and seen.now.version == version:
        return seen.now
    for _ in range(TRIES):
        try:
            return move(settings, seen, version, by)
        except ConflictError as error:
            lost, seen = error, look(settings, name, "latest")
        if seen.now and _younger(settings, name, seen.now.version, version):
            return seen.now
    raise lost


def _younger(settings: StoreSettings, name: str, theirs: str, ours: str) -> bool:
    """Whether their version is ours, or was published after it."""
    read = (read_lineage(settings, model_uri(settings, name, each)) for each in (theirs, ours))
    first, second = read
    return theirs == ours or bool(first and second and first.created_at > second.created_at)


def whoami() -> str:
    """The user and host of this process, for people who ask who moved a pointer."""
    user = os.environ.get("USER") or f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
