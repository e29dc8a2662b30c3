"""Whether what lies in the store is still what was published: every byte read, none kept."""

import hashlib
from collections.abc import Callable

from components.core import s3_client
from components.core.errors import IntegrityError
from components.core.manifest import MANIFEST_NAME, FileEntry
from components.core.settings import StoreSettings
from components.core.store import parse_uri, require_manifest, stored_objects
from components.core.streams import Source, read_range
from components.core.transfer import BoundedPool, part_bytes, progress


def verify_directory(settings: StoreSettings, uri: str) -> list[str]:
    """Streams every object of a directory through sha256, several at a time, storing nothing.

    Args:
        settings: The store.
        uri: The directory, `s3://bucket/prefix`.

    Returns:
        A sentence for each object that is missing, differs from the manifest or is not in it;
        empty when all is well.

    Raises:
        IntegrityError: when the manifest itself cannot be read.
        StorageError: when there is no complete upload at `uri`, or the server is away.
    """
    manifest, place = require_manifest(settings, uri), parse_uri(uri)
    source = Source(s3_client.client(settings), settings, place)
    there = stored_objects(source.s3, place)
    strangers = sorted(set(there) - {MANIFEST_NAME, *(entry.path for entry in manifest.files)})
    with (
        progress(f"verify {place.uri()}", manifest.total_bytes) as advance,
        BoundedPool(settings.concurrency) as pool,
    ):
        checks = [pool.submit(_problem, source, entry, advance) for entry in manifest.files]
    found = [problem for check in checks if (problem := check.result())]
    return found + [f"{place.uri(name)} is not in the manifest; remove it." for name in strangers]


def _problem(source: Source, entry: FileEntry, advance: Callable[[int], None]) -> str | None:
    sha256, size = hashlib.sha256(), part_bytes(entry.size)
    try:
        for start in range(0, max(entry.size, 1), size):
            for chunk in read_range(source, entry, start, min(start + size, entry.size)):
                sha256.update(chunk)
                advance(len(chunk))
    except IntegrityError as error:
        return str(error)
    if sha256.hexdigest() == entry.sha256:
        return None
    return (
        f"{source.place.uri(entry.path)} has sha256 {sha256.hexdigest()[:12]}, the manifest says "
        f"{entry.sha256[:12]}; publish it again."
    )
