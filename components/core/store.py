"""The S3 store: addresses, JSON objects, and directories that count once they have a manifest.

A directory without `manifest.json` does not exist for us: an upload that was cut leaves no
version behind, and a download is checked against the sums before anybody sees it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from components.core import s3_client
from components.core.errors import BadInputError, ConflictError, IntegrityError, StorageError
from components.core.manifest import MANIFEST_NAME, Manifest
from components.core.multipart import CutUpload, Stored, abort, cut_uploads
from components.core.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICTS = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"}
"""What servers answer when the object is another one, is being written, or is gone."""


@dataclass(frozen=True)
class Location:
    """A place in the store: a bucket and a key prefix without slashes at its ends."""

    bucket: str
    prefix: str

    @property
    def below(self) -> str:
        """What the keys of everything under this place begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    def key(self, name: str) -> str:
        """The key of `name` under this place."""
        return f"{self.below}{name}"

    def uri(self, name: str = "") -> str:
        """`s3://bucket/prefix[/name]`, as people write it."""
        return f"s3://{self.bucket}/{self.key(name)}".rstrip("/")


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


def ensure_bucket(settings: StoreSettings) -> None:
    """Create the bucket of the settings unless it is there.

    Raises:
        StorageError: when the server is away or refuses.
    """
    s3 = s3_client.client(settings)
    with s3_client.naming(f"s3://{settings.bucket}"):
        try:
            s3.head_bucket(Bucket=settings.bucket)
        except ClientError as error:
            if s3_client.code(error) not in s3_client.NOT_FOUND:
                raise
            s3.create_bucket(Bucket=settings.bucket)


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


def require_manifest(settings: StoreSettings, uri: str) -> Manifest:
    """The manifest of the directory at `uri`.

    Raises:
        StorageError: when there is no complete upload, or the server is away or refuses.
        IntegrityError: when the manifest cannot be read.
    """
    manifest = read_manifest(settings, uri)
    if manifest is None:
        raise StorageError(f"{uri} holds no {MANIFEST_NAME}; publish the directory there first.")
    return manifest


def directories(settings: StoreSettings, uri: str) -> set[str]:
    """Names of the directories right under `uri` that hold an object, complete or not.

    Raises:
        StorageError: when the server is away or refuses.
    """
    names = stored_objects(s3_client.client(settings), parse_uri(uri))
    return {name.partition("/")[0] for name in names if "/" in name}


def stored_objects(s3: "S3Client", place: Location) -> dict[str, Stored]:
    """The objects under `place` by their names relative to it.

    Raises:
        StorageError: when the server is away or refuses.
    """
    with s3_client.naming(place.uri()):
        pages = s3.get_paginator("list_objects_v2")
        return {
            entry["Key"].removeprefix(place.below): Stored.listed(entry)
            for page in pages.paginate(Bucket=place.bucket, Prefix=place.below)
            for entry in page.get("Contents", ())
        }


def delete_manifest(s3: "S3Client", place: Location) -> None:
    """Takes a directory's manifest away: from then on the directory does not exist.

    Raises:
        StorageError: when the server is away or refuses.
    """
    with s3_client.naming(place.uri(MANIFEST_NAME)):
        s3.delete_object(Bucket=place.bucket, Key=place.key(MANIFEST_NAME))


def delete_directory(settings: StoreSettings, uri: str) -> None:
    """Delete everything under `uri`, manifests first: what is half deleted is not there.

    Uploads that were cut, or still run, are aborted.

    Raises:
        BadInputError: when `uri` names a whole bucket.
        StorageError: when the server is away or refuses.
    """
    place, s3 = parse_uri(uri), s3_client.client(settings)
    if not place.prefix:
        raise BadInputError(f"{uri!r} is a whole bucket; name a directory in it to delete.")
    names = stored_objects(s3, place)
    with s3_client.naming(place.uri()):
        for name in sorted(names, key=lambda name: PurePosixPath(name).name != MANIFEST_NAME):
            s3.delete_object(Bucket=place.bucket, Key=place.key(name))
        for upload in cut_uploads(s3, place.bucket, place.below):
            abort(s3, upload)


def stale_uploads(settings: StoreSettings, uri: str, older_than: timedelta) -> list[CutUpload]:
    """Uploads under `uri` that were begun before now minus `older_than` and never completed.

    Nothing aborts them by itself, so that they can be gone on with.

    Args:
        settings: The store.
        uri: A directory, or a whole bucket.
        older_than: Leave it longer than the longest upload takes: a running one looks the same.

    Raises:
        StorageError: when the server is away or refuses.
    """
    place, limit = parse_uri(uri), datetime.now(UTC) - older_than
    with s3_client.naming(place.uri()):
        found = cut_uploads(s3_client.client(settings), place.bucket, place.below)
        return [upload for upload in found if upload.started < limit]


def abort_upload(settings: StoreSettings, upload: CutUpload) -> None:
    """Throws away the parts of a cut upload; one that is gone by now is fine.

    Raises:
        StorageError: when the server is away or refuses.
    """
    with s3_client.naming(upload.uri):
        abort(s3_client.client(settings), upload)


def put_json(settings: StoreSettings, uri: str, content: object) -> None:
    """Write `content` as one JSON object at `uri`.

    Raises:
        StorageError: when the server is away or refuses.
    """
    place = parse_uri(uri)
    with s3_client.naming(place.uri()):
        _put(settings, place, content, {})


def get_json(settings: StoreSettings, uri: str) -> Any | None:
    """The JSON at `uri`; None when there is nothing.

    Raises:
        StorageError: when the server is away or refuses.
        IntegrityError: when the object is no JSON.
    """
    found = get_tagged(settings, uri)
    return found.content if found else None


@dataclass(frozen=True)
class Tagged:
    """A JSON object and the ETag that names this writing of it."""

    content: Any
    etag: str


def get_tagged(settings: StoreSettings, uri: str) -> Tagged | None:
    """The JSON at `uri` with its ETag, to be given to `swap_json`; None when there is nothing.

    Raises:
        StorageError: when the server is away or refuses.
        IntegrityError: when the object is no JSON.
    """
    place = parse_uri(uri)
    with s3_client.naming(place.uri()):
        try:
            reply = s3_client.client(settings).get_object(Bucket=place.bucket, Key=place.prefix)
            return Tagged(json.loads(reply["Body"].read()), reply["ETag"])
        except ClientError as error:
            if s3_client.code(error) not in s3_client.NOT_FOUND:
                raise
            return None
        except ValueError as error:
            raise IntegrityError(f"{uri} is no JSON; publish it again.") from error


def swap_json(settings: StoreSettings, uri: str, content: object, expected: str | None) -> str:
    """Write `content` at `uri` only if nobody wrote there since it was read (compare-and-swap).

    A lost answer to a write that was done makes the repeated request fail: ConflictError then
    stands for our own writing, so read again before telling anybody that another was faster.

    Args:
        settings: The store; its server must know conditional writes (AWS, SeaweedFS and MinIO do).
        uri: Where the JSON object is.
        content: What is to stand there.
        expected: The ETag that `get_tagged` gave; None when there must be nothing.

    Returns:
        The new ETag.

    Raises:
        ConflictError: when something else stands there by now; nothing was written.
        StorageError: when the server is away or refuses.
    """
    place = parse_uri(uri)
    condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
    with s3_client.naming(place.uri()):
        try:
            return _put(settings, place, content, condition)
        except ClientError as error:
            if s3_client.code(error) not in CONFLICTS:
                raise
            raise ConflictError(
                f"{uri} was written by somebody else in the meantime and was left as it is; "
                "read it again and decide anew."
            ) from error


def _put(
    settings: StoreSettings, place: Location, content: object, condition: Mapping[str, str]
) -> str:
    request: dict[str, Any] = {"Bucket": place.bucket, "Key": place.prefix}
    request |= {**condition, **s3_client.encryption(settings)}
    body = json.dumps(content, ensure_ascii=False, indent=1).encode()
    s3 = s3_client.client(settings)
    return s3.put_object(Body=body, ContentType="application/json", **request)["ETag"]
