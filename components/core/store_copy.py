"""Copies of directories from one place of the S3 store to another, made by the server."""

from collections.abc import Sequence

from boto3.s3.transfer import TransferConfig

from components.core import s3_client, store
from components.core.manifest import MANIFEST_NAME, FileEntry, Manifest
from components.core.settings import StoreSettings
from components.core.transfer import progress


def copy_directory(
    settings: StoreSettings, source: str, target: str, beside: Sequence[FileEntry] = ()
) -> Manifest:
    """Copies a complete directory; its manifest comes last, so half a copy does not exist.

    The bytes stay in the store: a model of 140 GB does not pass through the step. Objects over
    5 GB are copied in parts, as S3 wants it.

    Args:
        settings: The store.
        source: `s3://bucket/prefix` of a directory with a manifest.
        target: Where the copy goes.
        beside: Files that are at the target already, to stand in its manifest too.

    Returns:
        The manifest of the target.

    Raises:
        StorageError: There is no complete directory at `source`, or the server is away or refuses.
        BadInputError: An address is no S3 address.
    """
    manifest = store.require_manifest(settings, source)
    here, there = store.parse_uri(source), store.parse_uri(target)
    s3 = s3_client.client(settings)
    with progress(f"copy to {there.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            with s3_client.naming(there.uri(entry.path)):
                s3.copy(
                    {"Bucket": here.bucket, "Key": here.key(entry.path)},
                    there.bucket,
                    there.key(entry.path),
                    ExtraArgs=s3_client.encryption(settings),
                    Config=TransferConfig(max_concurrency=settings.concurrency),
                    Callback=advance,
                )
    files = sorted((*manifest.files, *beside), key=lambda entry: entry.path)
    whole = Manifest(files=tuple(files))
    store.put_json(settings, there.uri(MANIFEST_NAME), whole.model_dump())
    return whole
