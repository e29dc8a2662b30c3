"""Copies of directories from one place of the S3 store to another, made by the server."""

from components.core import store
from components.core.errors import StorageError
from components.core.settings import StoreSettings


def copy_directory(settings: StoreSettings, source: str, target: str) -> store.Manifest:
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
        raise StorageError(f"{source} holds no {store.MANIFEST_NAME}; upload the directory first.")
    here, there = store.parse_uri(source), store.parse_uri(target)
    s3 = store.client(settings)
    with store.progress(f"copy to {there.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            with store.naming(there.uri(entry.path)):
                s3.copy(
                    {"Bucket": here.bucket, "Key": here.key(entry.path)},
                    there.bucket,
                    there.key(entry.path),
                    Config=store.TRANSFER,
                    Callback=advance,
                )
    store.put_json(settings, there.uri(store.MANIFEST_NAME), manifest.model_dump())
    return manifest
