"""Bytes of an object in the store, asked for again from where a stream was cut."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from components.core import s3_client
from components.core.errors import IntegrityError, StorageError
from components.core.manifest import FileEntry
from components.core.settings import StoreSettings
from components.core.store import Location

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1024 * 1024
SLOWEST = 8 * 1024
"""Bytes a second, on average since the stream began, below which it is asked for anew after
`read_timeout`: other streams of a server that throttles one connection are faster."""
CUT = (ReadTimeoutError, ResponseStreamingError, IncompleteReadError, TimeoutError)


@dataclass(frozen=True)
class Source:
    """A complete directory in the store."""

    s3: "S3Client"
    settings: StoreSettings
    place: Location


def read_range(source: Source, entry: FileEntry, start: int, stop: int) -> Iterator[bytes]:
    """Gives the bytes from `start` to before `stop` of a file, in chunks.

    A stream that is cut, stalls or crawls is asked for again from where it was.

    Args:
        source: The directory.
        entry: The file; an empty one has the range 0 to 0.
        start: First byte.
        stop: The byte behind the last.

    Raises:
        IntegrityError: The object is not there or has another size.
        StorageError: The server is away or refuses, or the stream was cut at every try.
    """
    at, uri, tries = start, source.place.uri(entry.path), source.settings.attempts
    last: Exception | None = None
    with s3_client.naming(uri):
        for _ in range(tries):
            try:
                for chunk in _one_stream(source, entry, at, stop):
                    at += len(chunk)
                    yield chunk
                return
            except CUT as error:
                last = error
    raise StorageError(f"{uri}: the stream was cut {tries} times ({last}); try again later.")


def _one_stream(source: Source, entry: FileEntry, start: int, stop: int) -> Iterator[bytes]:
    began, got = time.monotonic(), 0
    with closing(_open(source, entry, start, stop)) as body:
        while chunk := body.read(CHUNK_BYTES):
            yield chunk
            got += len(chunk)
            seconds = time.monotonic() - began
            if seconds > source.settings.read_timeout and got < SLOWEST * seconds:
                raise TimeoutError(f"{got} bytes in {seconds:.0f} s")


def _open(source: Source, entry: FileEntry, start: int, stop: int) -> "StreamingBody":
    place, uri = source.place, source.place.uri(entry.path)
    request: dict[str, Any] = {"Range": f"bytes={start}-{stop - 1}"} if stop else {}
    try:
        reply = source.s3.get_object(Bucket=place.bucket, Key=place.key(entry.path), **request)
    except ClientError as error:
        if s3_client.code(error) in s3_client.NOT_FOUND:
            raise IntegrityError(
                f"{uri} is in the manifest but not there; publish it again."
            ) from error
        if s3_client.code(error) not in {"InvalidRange", "416"}:
            raise
        raise IntegrityError(_wrong_size(uri, "fewer", entry)) from error
    size = reply["ContentRange"].rpartition("/")[2] if stop else reply["ContentLength"]
    if int(size) != entry.size:
        reply["Body"].close()
        raise IntegrityError(_wrong_size(uri, str(size), entry))
    return reply["Body"]


def _wrong_size(uri: str, found: str, entry: FileEntry) -> str:
    return f"{uri} has {found} bytes, the manifest says {entry.size}; publish it again."
