"""Directories from this machine into the store: parallel, hashed on the way, gone on with when cut.

One thread reads the files in order, hashes what it reads and hands parts to the threads that send
them, so hashing costs no pass of its own and memory holds a part for each sender and one more.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from components.core import s3_client
from components.core.errors import IntegrityError
from components.core.manifest import MANIFEST_NAME, FileEntry, Manifest, files_under
from components.core.multipart import (
    CutUpload,
    Stored,
    complete,
    etag_of_parts,
    newest_cut_upload,
    stored_parts,
)
from components.core.settings import StoreSettings
from components.core.store import Location, delete_manifest, parse_uri, put_json, stored_objects
from components.core.transfer import PART_BYTES, BoundedPool, part_bytes, progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class _Job:
    """What the sending of every file of a directory needs."""

    s3: "S3Client"
    place: Location
    encryption: dict[str, str]
    there: dict[str, Stored]
    """Objects that an upload before left, by name."""
    pool: BoundedPool
    advance: Callable[[int], None]
    spare: SimpleQueue[bytearray] = field(default_factory=SimpleQueue)
    """Buffers of parts that were sent: the kernel would hand out new memory page by page."""


def upload_directory(
    settings: StoreSettings, directory: Path, uri: str, manifest: Manifest | None = None
) -> Manifest:
    """Upload every file under `directory` to `uri`, in parallel parts, the manifest last.

    An upload that was cut, also by `kill -9`, is gone on with by calling this again: objects and
    parts that are there are known by their size and MD5 (the ETag) and not sent again. Objects
    encrypted with a KMS key (`aws:kms`) have other ETags, so they are sent again. What is not
    sent again keeps the encryption that it was sent with. A manifest that stands there already is
    removed first: half overwritten, the directory does not exist.

    Args:
        settings: The store.
        directory: What to upload; links to files are followed.
        uri: The place, `s3://bucket/prefix`.
        manifest: What `directory` must hold, where the caller knows it; only its files are sent.

    Returns:
        The manifest that now stands at `uri`.

    Raises:
        BadInputError: when the directory is empty or `uri` is no S3 address.
        IntegrityError: when a file is not what `manifest` says; nothing then counts as uploaded.
        StorageError: when the server is away or refuses; nothing then counts as uploaded.
    """
    place, s3 = parse_uri(uri), s3_client.client(settings)
    expected = {entry.path: entry for entry in manifest.files} if manifest else {}
    names = list(expected) or files_under(directory)
    there = stored_objects(s3, place)
    if MANIFEST_NAME in there:
        delete_manifest(s3, place)
    size = sum(_size(directory / name) for name in names)
    with (
        progress(f"upload {place.uri()}", size) as advance,
        BoundedPool(settings.concurrency) as pool,
    ):
        job = _Job(s3, place, s3_client.encryption(settings), there, pool, advance)
        found = [_send(job, directory / name, name, expected.get(name)) for name in names]
    sent = Manifest(files=tuple(found))
    put_json(settings, place.uri(MANIFEST_NAME), sent.model_dump())
    return sent


def _send(job: _Job, path: Path, name: str, expected: FileEntry | None) -> FileEntry:
    """Reads a file and hands it in; some of it may still be on its way afterwards."""
    size = path.stat().st_size
    entry = _compare(job, path, name, size)
    if entry:
        job.advance(size)
        _check(path, entry, expected)
    elif size <= part_bytes(size):
        content = next(_parts(job, path, size), bytearray())
        entry = _entry(name, len(content), hashlib.sha256(content).hexdigest())
        _check(path, entry, expected)
        job.pool.submit(_put, job, name, content)
    else:
        entry = _send_parts(job, path, name, expected)
    return entry


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise IntegrityError(f"{path} is in the manifest but not there; make it again.") from error


def _entry(name: str, size: int, sha256: str) -> FileEntry:
    return FileEntry(path=name, size=size, sha256=sha256)


def _check(path: Path, found: FileEntry, expected: FileEntry | None) -> None:
    if expected and found != expected:
        raise IntegrityError(
            f"{path} has {found.size} bytes with sha256 {found.sha256[:12]}, the manifest says "
            f"{expected.size} bytes with {expected.sha256[:12]}: it was changed; start again."
        )


def _parts(job: _Job, path: Path, size: int) -> Iterator[bytearray]:
    """The parts of a file of about this size, in order; whoever is done with one calls `_spare`.

    As bytearray: boto3 makes a stream of bytes, which it sends in pieces of 16 KiB once the
    server has given it leave.
    """
    with path.open("rb") as file:
        while True:
            part = _buffer(job, part_bytes(size))
            read = file.readinto(part)
            if read == len(part):
                yield part
            else:
                if read:
                    yield part[:read]
                _spare(job, part)
                return


def _buffer(job: _Job, size: int) -> bytearray:
    try:
        part = job.spare.get_nowait()
    except Empty:
        return bytearray(size)
    return part if len(part) == size else bytearray(size)


def _spare(job: _Job, part: bytearray) -> None:
    if len(part) >= PART_BYTES:
        job.spare.put(part)


def _md5(content: bytearray) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _compare(job: _Job, path: Path, name: str, size: int) -> FileEntry | None:
    """The entry of a file that is in the store already with the same bytes, by its MD5."""
    stored = job.there.get(name)
    if stored is None or stored.size != size:
        return None
    sha256, etags = hashlib.sha256(), []
    for part in _parts(job, path, size):
        sha256.update(part)
        etags.append(_md5(part))
        _spare(job, part)
    whole = etags[0] if len(etags) == 1 else etag_of_parts(etags) if etags else _md5(bytearray())
    return _entry(name, size, sha256.hexdigest()) if whole == stored.etag else None


def _put(job: _Job, name: str, content: bytearray) -> None:
    key = job.place.key(name)
    with s3_client.naming(job.place.uri(name)):
        job.s3.put_object(Bucket=job.place.bucket, Key=key, Body=content, **job.encryption)  # type: ignore[arg-type]
    job.advance(len(content))
    _spare(job, content)


def _send_parts(job: _Job, path: Path, name: str, expected: FileEntry | None) -> FileEntry:
    with s3_client.naming(job.place.uri(name)):
        upload = _begin(job, job.place.key(name))
        there = stored_parts(job.s3, upload)
    size, sha256 = 0, hashlib.sha256()
    sent: list[Future[str]] = []
    for number, part in enumerate(_parts(job, path, path.stat().st_size), 1):
        size += len(part)
        sha256.update(part)
        sent.append(job.pool.submit(_send_part, job, upload, number, part, there.get(number)))
    entry = _entry(name, size, sha256.hexdigest())
    _check(path, entry, expected)
    job.pool.submit(_complete, job, upload, sent)
    return entry


def _begin(job: _Job, key: str) -> CutUpload:
    """The upload of this object that was cut, or a new one."""
    bucket = job.place.bucket
    cut = newest_cut_upload(job.s3, bucket, key)
    if cut:
        return cut
    reply = job.s3.create_multipart_upload(Bucket=bucket, Key=key, **job.encryption)  # type: ignore[arg-type]
    return CutUpload(bucket, key, reply["UploadId"], datetime.now(UTC))


def _send_part(
    job: _Job, upload: CutUpload, number: int, part: bytearray, there: Stored | None
) -> str:
    """Sends a part unless it is there; returns its ETag."""
    if there is None or there.size != len(part) or there.etag != _md5(part):
        with s3_client.naming(upload.uri):
            reply = job.s3.upload_part(
                Bucket=upload.bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=part,  # type: ignore[arg-type]
            )
        etag = reply["ETag"].strip('"')
    else:
        etag = there.etag
    job.advance(len(part))
    _spare(job, part)
    return etag


def _complete(job: _Job, upload: CutUpload, sent: list[Future[str]]) -> None:
    """Runs in the pool behind the parts, which were handed in before it and so are being sent."""
    with s3_client.naming(upload.uri):
        complete(job.s3, upload, [part.result() for part in sent])
