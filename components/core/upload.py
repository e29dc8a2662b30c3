"""Directories from this machine into the store."""

from pathlib import Path

from components.core import s3_client
from components.core.manifest import MANIFEST_NAME, Manifest, describe_directory
from components.core.settings import StoreSettings
from components.core.store import parse_uri, put_json
from components.core.transfer import TRANSFER, progress


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
    place, s3 = parse_uri(uri), s3_client.client(settings)
    manifest = manifest or describe_directory(directory)
    with progress(f"upload {place.uri()}", manifest.total_bytes) as advance:
        for entry in manifest.files:
            with s3_client.naming(place.uri(entry.path)):
                s3.upload_file(
                    str(directory / entry.path),
                    place.bucket,
                    place.key(entry.path),
                    Config=TRANSFER,
                    Callback=advance,
                )
    put_json(settings, place.uri(MANIFEST_NAME), manifest.model_dump())
    return manifest
