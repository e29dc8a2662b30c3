"""Directories and objects from the store to this machine: parallel, checked, gone on with when cut.

Ranges of all files arrive in parallel and are written where they belong. One thread hashes each
file in order, right behind the writers (it reads from the page cache), so the sha256 is known a
moment after the last range has come, and it is taken of what the disk got.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from components.core import s3_client
from components.core.errors import BadInputError, IntegrityError
from components.core.manifest import MANIFEST_NAME, FileEntry, Manifest, describe_directory
from components.core.partial import PartialDirectory, partial_directory
from components.core.settings import StoreSettings
from components.core.store import parse_uri, require_manifest
from components.core.streams import Source, read_range
from components.core.transfer import MIB, BoundedPool, part_bytes, progress
from components.core.whole_files import whole_file, write_text


@dataclass(frozen=True)
class _Job:
    """What the fetching of every file of a directory needs."""

    source: Source
    partial: PartialDirectory
    pool: BoundedPool
    hashing: ThreadPoolExecutor
    """One thread, so that ranges are hashed in the order in which they are handed in."""
    advance: Callable[[int], None]


def download_directory(settings: StoreSettings, uri: str, directory: Path) -> Path:
    """Bring the directory at `uri` here and check every file's size and sha256.

    `directory` appears whole or not at all; one that is there and right is left alone. A download
    that was cut, also by `kill -9`, is gone on with from `.<name>.partial` beside it. A file that
    arrives wrong is fetched once more.

    Args:
        settings: The store.
        uri: The place, `s3://bucket/prefix`.
        directory: Where it goes.

    Returns:
        `directory`, holding the files and `manifest.json`.

    Raises:
        IntegrityError: when a file differs from the manifest.
        StorageError: when there is no complete upload at `uri`, or the server is away.
        BadInputError: when `directory` holds something else already.
    """
    manifest = require_manifest(settings, uri)
    if _holds(directory, manifest):
        return directory
    _refuse_other_files(directory)
    source = Source(s3_client.client(settings), settings, parse_uri(uri))
    partial = partial_directory(directory, manifest)
    with progress(f"download {source.place.uri()}", manifest.total_bytes) as advance:
        wrong = _fetch(source, partial, manifest.files, advance)
        _refuse(source, _fetch(source, partial, wrong, lambda _: None))
    write_text(partial.files / MANIFEST_NAME, manifest.model_dump_json(indent=1))
    _replace(partial, directory)
    return directory


def _holds(directory: Path, manifest: Manifest) -> bool:
    """Whether `directory` holds exactly these files."""
    if not (directory / MANIFEST_NAME).is_file():
        return False
    try:
        return describe_directory(directory) == manifest
    except BadInputError:
        return False


def _fetch(
    source: Source,
    partial: PartialDirectory,
    entries: Iterable[FileEntry],
    advance: Callable[[int], None],
) -> list[FileEntry]:
    """Fetches files; gives those that arrived wrong, thrown away."""
    with BoundedPool(source.settings.concurrency) as pool, ThreadPoolExecutor(1) as hashing:
        job = _Job(source, partial, pool, hashing, advance)
        checks = [(entry, _fetch_file(job, entry)) for entry in entries]
    wrong = [entry for entry, sha256 in checks if sha256.result() != entry.sha256]
    for entry in wrong:
        partial.forget(entry)
    return wrong


def _fetch_file(job: _Job, entry: FileEntry) -> Future[str]:
    """Hands in the ranges of a file that are not there yet; gives its sha256 to come."""
    arrived, sha256, size = job.partial.arrived(entry), hashlib.sha256(), part_bytes(entry.size)
    job.partial.make(entry)
    for start in range(0, max(entry.size, 1), size):
        stop = min(start + size, entry.size)
        if start in arrived:
            coming = None
            job.advance(stop - start)
        else:
            coming = job.pool.submit(_fetch_range, job, entry, start, stop)
        job.hashing.submit(_hash_range, sha256, job.partial.file(entry), start, stop, coming)
    return job.hashing.submit(sha256.hexdigest)


def _fetch_range(job: _Job, entry: FileEntry, start: int, stop: int) -> None:
    with job.partial.file(entry).open("r+b") as file:
        file.seek(start)
        for chunk in read_range(job.source, entry, start, stop):
            file.write(chunk)
            job.advance(len(chunk))
    job.partial.note(entry, start)


def _hash_range(
    sha256: "hashlib._Hash", path: Path, start: int, stop: int, coming: Future[None] | None
) -> None:
    if coming:
        coming.result()
    with path.open("rb") as file:
        file.seek(start)
        while start < stop:
            sha256.update(chunk := file.read(min(MIB, stop - start)))
            start += len(chunk)


def _refuse(source: Source, wrong: list[FileEntry]) -> None:
    if wrong:
        names = ", ".join(source.place.uri(entry.path) for entry in wrong)
        raise IntegrityError(
            f"{names}: twice, what arrived did not have the sha256 of the manifest; "
            "publish it again."
        )


def _refuse_other_files(directory: Path) -> None:
    there = directory.exists() and any(directory.iterdir())
    if there and not (directory / MANIFEST_NAME).exists():
        raise BadInputError(f"{directory} holds other files; name an empty directory.")


def _replace(partial: PartialDirectory, directory: Path) -> None:
    """Put the files in the place of `directory`, which may be absent, empty or ours."""
    _refuse_other_files(directory)
    if directory.exists():
        shutil.rmtree(directory)
    partial.files.replace(directory)
    shutil.rmtree(partial.folder)


def download_object(settings: StoreSettings, uri: str, path: Path) -> Path:
    """Bring one object here, for example a file that the bank put into the bucket by hand.

    Returns:
        `path`, which appears whole or not at all.

    Raises:
        StorageError: when there is no such object, or the server is away.
    """
    place, s3 = parse_uri(uri), s3_client.client(settings)
    config = TransferConfig(max_concurrency=settings.concurrency)
    with whole_file(path) as partial, s3_client.naming(place.uri()):
        s3.download_file(place.bucket, place.prefix, str(partial), Config=config)
    return path
