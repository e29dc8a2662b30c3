"""Copies of directories from one place of the S3 store to another, made by the server."""

from components.core import s3_client, store
from components.core.errors import StorageError
from components.core.manifest import MANIFEST_NAME, Manifest
from components.core.settings import StoreSettings
from components.core.transfer import TRANSFER, progress


def copy_directory(settings: StoreSettings, source: str, target: str) -> Manifest:
    """Copies a complete directory; its manifest comes last, so half a copy does not exist.

    The bytes stay in the store: a model of 140 GB does not pass through the step. Objects over
    5 GB are copied in parts, as S3 wants it.

    Args:
        settings: The store.
        source: `s3://bucket/prefix` of a directory with a manifest.
        target: Where the copy goes.

    Returns:
        The manifest of both.

    Raises:
        StorageError: There is no complete directory at `source`, or the server is away or refuses.
        BadInputError: An address is no S3 address.
    """
    manifest = store.read_manifest(settings, source)
    if manifest is None:
        raise StorageError(f"{source} holds no {MANIFEST_NAME}; upload the directory first.")
    here, there = store.parse_uri(source), store.parse_uri(target)
    s3 = s3_client.client(settings)
    with progress(f"copy to {there.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            with s3_client.naming(there.uri(entry.path)):
                s3.copy(
                    {"Bucket": here.bucket, "Key": here.key(entry.path)},
                    there.bucket,
                    there.key(entry.path),
                    Config=TRANSFER,
                    Callback=advance,
                )
    store.put_json(settings, there.uri(MANIFEST_NAME), manifest.model_dump())
    return manifest
