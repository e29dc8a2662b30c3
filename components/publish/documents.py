"""Puts what publishing writes beside the weights, once: the first writer's words stand.

Two runs may publish the same weights at the same moment, with cards of their own. What one of them
has placed the other takes over, so whoever writes the manifest last, its sums are right.
"""

import hashlib
from collections.abc import Mapping

from botocore.exceptions import ClientError

from components.core import s3_client, store
from components.core.manifest import FileEntry
from components.core.settings import StoreSettings
from components.publish.model_files import WRITTEN

TYPES = {".md": "text/markdown; charset=utf-8", ".json": "application/json"}
"""Content types by ending, so that a browser shows the card; text without one."""


def place_documents(
    settings: StoreSettings, uri: str, documents: Mapping[str, bytes]
) -> list[FileEntry]:
    """Writes files to a version that has no manifest yet, except where one stands already.

    Args:
        settings: The store, whose server must know conditional writes.
        uri: The version's address.
        documents: Contents by name.

    Returns:
        Entries for the manifest, of what stands there: also of such files as an attempt before
        this one left.

    Raises:
        StorageError: The store is away or refuses.
    """
    place = store.parse_uri(uri)
    for name, content in documents.items():
        _put_once(settings, place, name, content)
    there = set(store.stored_objects(s3_client.client(settings), place))
    names = {*documents, *(there & set(WRITTEN))}
    return [_entry(name, read_document(settings, uri, name)) for name in sorted(names)]


def _put_once(settings: StoreSettings, place: store.Location, name: str, content: bytes) -> None:
    ending = f".{name.rpartition('.')[2]}"
    with s3_client.naming(place.uri(name)):
        try:
            s3_client.client(settings).put_object(
                Bucket=place.bucket,
                Key=place.key(name),
                Body=content,
                ContentType=TYPES.get(ending, "text/plain; charset=utf-8"),
                IfNoneMatch="*",
                **s3_client.encryption(settings),  # type: ignore[arg-type]
            )
        except ClientError as error:
            if s3_client.code(error) not in store.CONFLICTS:
                raise


def read_document(settings: StoreSettings, uri: str, name: str) -> bytes:
    """Reads a small file of a candidate or a version.

    Args:
        settings: The store.
        uri: The directory's address.
        name: The file, relative to it.

    Raises:
        StorageError: There is no such file, or the store is away or refuses.
    """
    place = store.parse_uri(uri)
    with s3_client.naming(place.uri(name)):
        reply = s3_client.client(settings).get_object(Bucket=place.bucket, Key=place.key(name))
        return reply["Body"].read()


def _entry(name: str, content: bytes) -> FileEntry:
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(path=name, size=len(content), sha256=digest)
