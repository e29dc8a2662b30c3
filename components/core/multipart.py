"""Uploads in parts: those that were cut, what they hold already, and how they are completed.

An object that is sent in parts is not there until the upload is completed. One that was cut stays
with the server, unseen and paid for, until somebody goes on with it or aborts it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from components.core import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class CutUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    bucket: str
    key: str
    upload_id: str
    started: datetime
    """With its time zone."""

    @property
    def uri(self) -> str:
        """Where the object would be."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Stored:
    """An object or a part: size in bytes, ETag without its quotes, when it was written."""

    size: int
    etag: str
    written: datetime
    """With its time zone."""

    @classmethod
    def listed(cls, entry: Any) -> "Stored":
        """What a listing of objects or of parts says of one."""
        return cls(entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])


def abort(s3: "S3Client", upload: CutUpload) -> None:
    """Throws away the parts of a cut upload; one that is gone by now is fine."""
    try:
        s3.abort_multipart_upload(Bucket=upload.bucket, Key=upload.key, UploadId=upload.upload_id)
    except ClientError as error:
        if s3_client.code(error) not in {"NoSuchUpload", *s3_client.NOT_FOUND}:
            raise


def cut_uploads(s3: "S3Client", bucket: str, prefix: str) -> Iterator[CutUpload]:
    """Every upload of a key that begins with `prefix`, the running ones as well."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for entry in page.get("Uploads", ()):
            yield CutUpload(bucket, entry["Key"], entry["UploadId"], entry["Initiated"])


def newest_cut_upload(s3: "S3Client", bucket: str, key: str) -> CutUpload | None:
    """The upload of just this object that was begun last; None when there is none."""
    found = [upload for upload in cut_uploads(s3, bucket, key) if upload.key == key]
    return max(found, key=lambda upload: upload.started, default=None)


def stored_parts(s3: "S3Client", upload: CutUpload) -> dict[int, Stored]:
    """The parts that are there already, by number, the first is 1."""
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=upload.bucket, Key=upload.key, UploadId=upload.upload_id
    )
    return {
        part["PartNumber"]: Stored.listed(part) for page in pages for part in page.get("Parts", ())
    }


def etag_of_parts(etags: Sequence[str]) -> str:
    """The ETag of an object in parts: MD5 over the parts' MD5s, a dash, their number.

    As AWS and the servers that follow it make it, unless the parts are encrypted with a KMS key.

    Args:
        etags: MD5 of each part, in hex, in order.
    """
    digests = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def complete(s3: "S3Client", upload: CutUpload, etags: Sequence[str]) -> None:
    """Makes the parts one object.

    When the answer to the first try was lost, the second is told that there is no such upload;
    then the object is looked at. So it is, too, when another process sent the same file at once.

    Args:
        s3: A client.
        upload: What was begun.
        etags: ETag of each part, in order.
    """
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    try:
        s3.complete_multipart_upload(
            Bucket=upload.bucket,
            Key=upload.key,
            UploadId=upload.upload_id,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        )
    except ClientError as error:
        if s3_client.code(error) != "NoSuchUpload":
            raise
        there = s3.head_object(Bucket=upload.bucket, Key=upload.key)["ETag"].strip('"')
        if there != etag_of_parts(etags):
            raise
