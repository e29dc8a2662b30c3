"""Directories in an S3 store, each with a manifest of sha256 sums that is written last.

A directory without `manifest.json` does not exist for us: an upload that was cut leaves no
version behind, and a download is checked against the sums before anybody sees it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from tqdm import tqdm

from components.core.errors import BadInputError, IntegrityError, StorageError
from components.core.settings import StoreSettings
from components.core.whole_files import whole_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MANIFEST_NAME = "manifest.json"
TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024**2, multipart_chunksize=16 * 1024**2, max_concurrency=4
)
NOT_FOUND = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}


@dataclass(frozen=True)
class Location:
    """A place in the store: a bucket and a key prefix without slashes at its ends."""

    bucket: str
    prefix: str

    def key(self, name: str) -> str:
        """The key of `name` under this place."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def uri(self, name: str = "") -> str:
        """`s3://bucket/prefix[/name]`, as people write it."""
        return f"s3://{self.bucket}/{self.key(name)}".rstrip("/")


class FileEntry(BaseModel):
    """One file of a directory: path relative to it, size in bytes, sha256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or path in {"", MANIFEST_NAME}:
            raise ValueError(f"{path!r} is no path inside the directory")
        return path


class Manifest(BaseModel):
    """What a directory in the store holds, sorted by path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    files: tuple[FileEntry, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(entry.size for entry in self.files)

    @property
    def content_hash(self) -> str:
        """The sha256 in hex over the sorted `<sha256>  <path>` lines: same bytes, same hash."""
        lines = sorted(f"{entry.sha256}  {entry.path}\n" for entry in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def parse_uri(uri: str) -> Location:
    """Split `s3://bucket/some/prefix`.

    Raises:
        BadInputError: when the text is not such an address.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise BadInputError(f"{uri!r} is no store address; write it as s3://bucket/prefix.")
    return Location(bucket, prefix.strip("/"))


def client(settings: StoreSettings) -> "S3Client":
    """A boto3 S3 client; without keys in the settings boto3 looks for credentials itself."""
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    return boto3.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=secret,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
            # servers other than AWS need not know the CRC headers
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Turn what boto3 raises into a StorageError that names `place`."""
    try:
        yield
    except ClientError as error:
        reply = error.response.get("Error", {})
        raise StorageError(
            f"{place}: the S3 server answered {reply.get('Code', '?')} "
            f"({reply.get('Message') or 'no message'}); check the bucket, the key and the rights."
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError(
            f"{place}: the S3 server cannot be used ({error}); "
            "check AWS_ENDPOINT_URL and the AWS credentials."
        ) from error


def ensure_bucket(settings: StoreSettings) -> None:
    """Create the bucket of the settings unless it is there.

    Raises:
        StorageError: when the server is away or refuses.
    """
    s3 = client(settings)
    with naming(f"s3://{settings.bucket}"):
        try:
            s3.head_bucket(Bucket=settings.bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in NOT_FOUND:
                raise
            s3.create_bucket(Bucket=settings.bucket)


def describe_directory(directory: Path) -> Manifest:
    """Hash every file under `directory` (but its own manifest).

    Raises:
        BadInputError: when there is no such directory or it holds no file.
    """
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    named = [(path, path.relative_to(directory).as_posix()) for path in paths]
    entries = [_describe(path, name) for path, name in named if name != MANIFEST_NAME]
    if not entries:
        raise BadInputError(f"{directory} holds no files; give the directory to upload.")
    return Manifest(files=tuple(entries))


def _describe(path: Path, name: str) -> FileEntry:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(path=name, size=path.stat().st_size, sha256=digest)


def upload_directory(
    settings: StoreSettings, directory: Path, uri: str, manifest: Manifest | None = None
) -> Manifest:
    """Upload every file under `directory` to `uri`, in parallel parts, the manifest last.

    Args:
        settings: The store.
        directory: What to upload; links to files are followed.
        uri: The place, `s3://bucket/prefix`.
        manifest: `describe_directory(directory)` where the caller has it already.

    Raises:
        BadInputError: when the directory is empty or `uri` is no S3 address.
        StorageError: when the server is away or refuses; nothing then counts as uploaded.
    """
    place, s3 = parse_uri(uri), client(settings)
    manifest = manifest or describe_directory(directory)
    with progress(f"upload {place.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            with naming(place.uri(entry.path)):
                s3.upload_file(
                    str(directory / entry.path),
                    place.bucket,
                    place.key(entry.path),
                    Config=TRANSFER,
                    Callback=advance,
                )
    put_json(settings, place.uri(MANIFEST_NAME), manifest.model_dump())
    return manifest


def read_manifest(settings: StoreSettings, uri: str) -> Manifest | None:
    """The manifest of the directory at `uri`; None when no complete upload is there.

    Raises:
        StorageError: when the server is away or refuses.
        IntegrityError: when the manifest cannot be read.
    """
    content = get_json(settings, parse_uri(uri).uri(MANIFEST_NAME))
    try:
        return None if content is None else Manifest.model_validate(content)
    except ValidationError as error:
        raise IntegrityError(f"{uri}/{MANIFEST_NAME} is no manifest; publish it again.") from error


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
    s3 = client(settings)
    with progress(f"download {place.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            target = directory / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with naming(place.uri(entry.path)), _named_in_manifest(place.uri(entry.path)):
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
        if error.response.get("Error", {}).get("Code") not in NOT_FOUND:
            raise
        raise IntegrityError(
            f"{uri} is in the manifest but not there; publish it again."
        ) from error


def _verify(path: Path, entry: FileEntry, place: Location) -> None:
    found = _describe(path, entry.path)
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


def directories(settings: StoreSettings, uri: str) -> set[str]:
    """Names of the directories right under `uri` that hold an object, complete or not.

    Raises:
        StorageError: when the server is away or refuses.
    """
    place = parse_uri(uri)
    below = (key.removeprefix(place.key("")) for key in _keys(client(settings), place))
    return {name.partition("/")[0] for name in below if "/" in name}


def delete_directory(settings: StoreSettings, uri: str) -> None:
    """Delete everything under `uri`, manifests first: what is half deleted is not there.

    Raises:
        BadInputError: when `uri` names a whole bucket.
        StorageError: when the server is away or refuses.
    """
    place, s3 = parse_uri(uri), client(settings)
    if not place.prefix:
        raise BadInputError(f"{uri!r} is a whole bucket; name a directory in it to delete.")
    keys = _keys(s3, place)
    with naming(place.uri()):
        for key in sorted(keys, key=lambda key: not key.endswith(f"/{MANIFEST_NAME}")):
            s3.delete_object(Bucket=place.bucket, Key=key)


def _keys(s3: "S3Client", place: Location) -> list[str]:
    with naming(place.uri()):
        pages = s3.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=place.bucket, Prefix=place.key(""))
        return [entry["Key"] for page in found for entry in page.get("Contents", ())]


def download_object(settings: StoreSettings, uri: str, path: Path) -> Path:
    """Bring one object here, for example a file that the bank put into the bucket by hand.

    Returns:
        `path`, which appears whole or not at all.

    Raises:
        StorageError: when there is no such object, or the server is away.
    """
    place = parse_uri(uri)
    with whole_file(path) as partial, naming(place.uri()):
        client(settings).download_file(place.bucket, place.prefix, str(partial), Config=TRANSFER)
    return path


def put_json(settings: StoreSettings, uri: str, content: object) -> None:
    """Write `content` as one JSON object at `uri`.

    Raises:
        StorageError: when the server is away or refuses.
    """
    place = parse_uri(uri)
    body = json.dumps(content, ensure_ascii=False, indent=1).encode()
    with naming(place.uri()):
        client(settings).put_object(
            Bucket=place.bucket, Key=place.prefix, Body=body, ContentType="application/json"
        )


def get_json(settings: StoreSettings, uri: str) -> Any | None:
    """The JSON at `uri`; None when there is nothing.

    Raises:
        StorageError: when the server is away or refuses.
        IntegrityError: when the object is no JSON.
    """
    place = parse_uri(uri)
    with naming(place.uri()):
        try:
            reply = client(settings).get_object(Bucket=place.bucket, Key=place.prefix)
            return json.loads(reply["Body"].read())
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in NOT_FOUND:
                raise
            return None
        except ValueError as error:
            raise IntegrityError(f"{uri} is no JSON; publish it again.") from error


@contextmanager
def progress(what: str, total_bytes: int) -> Iterator[Callable[[int], object]]:
    """A progress bar in bytes where a person looks on; silent elsewhere."""
    with tqdm(total=total_bytes, unit="B", unit_scale=True, desc=what, disable=None) as bar:
        yield bar.update
