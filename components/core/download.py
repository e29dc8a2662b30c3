"""Directories and objects from the store to this machine, checked."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import ClientError

from components.core import s3_client
from components.core.errors import BadInputError, IntegrityError, StorageError
from components.core.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    describe_directory,
    describe_file,
)
from components.core.settings import StoreSettings
from components.core.store import Location, parse_uri, read_manifest
from components.core.transfer import TRANSFER, progress
from components.core.whole_files import whole_file


def download_directory(settings: StoreSettings, uri: str, directory: Path) -> Path:
    """Bring the directory at `uri` here and check every file's size and sha256.

    Files that are already there and right are not fetched again. `directory` appears whole or
    not at all.

    Returns:
        `directory`, holding the files and `manifest.json`.

    Raises:
        IntegrityError: when a file differs from the manifest.
        StorageError: when there is no complete upload at `uri`, or the server is away.
        BadInputError: when `directory` holds something else already.
    """
    manifest = read_manifest(settings, uri)
    if manifest is None:
        raise StorageError(f"{uri} holds no {MANIFEST_NAME}; publish the directory there first.")
    if _holds(directory, manifest):
        return directory
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _fetch(settings, parse_uri(uri), manifest, partial)
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


def _fetch(settings: StoreSettings, place: Location, manifest: Manifest, directory: Path) -> None:
    s3 = s3_client.client(settings)
    with progress(f"download {place.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            target = directory / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with s3_client.naming(place.uri(entry.path)), _named_in_manifest(place.uri(entry.path)):
                s3.download_file(
                    place.bucket,
                    place.key(entry.path),
                    str(target),
                    Config=TRANSFER,
                    Callback=advance,
                )
            _verify(target, entry, place)
    (directory / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


@contextmanager
def _named_in_manifest(uri: str) -> Iterator[None]:
    """A file that the manifest names and the store lacks is damage, not a store that is away."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in s3_client.NOT_FOUND:
            raise
        raise IntegrityError(
            f"{uri} is in the manifest but not there; publish it again."
        ) from error


def _verify(path: Path, entry: FileEntry, place: Location) -> None:
    found = describe_file(path, entry.path)
    if found != entry:
        raise IntegrityError(
            f"{place.uri(entry.path)}: {found.size} bytes with sha256 {found.sha256[:12]} arrived, "
            f"the manifest says {entry.size} bytes with {entry.sha256[:12]}; publish it again."
        )


def _replace(partial: Path, directory: Path) -> None:
    """Put `partial` in the place of `directory`, which may be absent, empty or ours."""
    if directory.exists():
        if any(directory.iterdir()) and not (directory / MANIFEST_NAME).exists():
            raise BadInputError(f"{directory} holds other files; name an empty directory.")
        shutil.rmtree(directory)
    partial.replace(directory)


def download_object(settings: StoreSettings, uri: str, path: Path) -> Path:
    """Bring one object here, for example a file that the bank put into the bucket by hand.

    Returns:
        `path`, which appears whole or not at all.

    Raises:
        StorageError: when there is no such object, or the server is away.
    """
    place = parse_uri(uri)
    with whole_file(path) as partial, s3_client.naming(place.uri()):
        s3_client.client(settings).download_file(
            place.bucket, place.prefix, str(partial), Config=TRANSFER
        )
    return path
