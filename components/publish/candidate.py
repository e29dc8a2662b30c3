"""Uploads a model as a candidate: an address under which it can be served and judged."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core import store
from components.core.manifest import Manifest, describe_directory
from components.core.settings import StoreSettings
from components.core.upload import upload_directory
from components.publish.addresses import VERSION_DIGITS, Version, candidate_uri, check_name
from components.publish.fingerprint import fingerprint
from components.publish.model_files import check_model, goes_along


def upload_candidate(settings: StoreSettings, model: Path, name: str) -> Version:
    """Uploads a model as `s3://<bucket>/candidates/<name>/<id>/`, to be served and judged.

    The id is the directory's `fingerprint`, known before the bytes are read, so that hashing
    overlaps the transfer and a cut upload goes on under the same address. Where another model with
    that fingerprint lies already, the id is the hash of the content. The same bytes are sent once.

    Args:
        settings: The store.
        model: A checkpoint: safetensors weights, config, tokenizer, chat template; licence files
            beside them go along, a card does not.
        name: The model's name in the store, a DNS label.

    Returns:
        The candidate and its address.

    Raises:
        BadInputError: The name is no DNS label.
        MissingModelError: The directory is no complete checkpoint.
        StorageError: The store refuses or is away; no candidate then exists.
    """
    check_name(name)
    check_model(model)
    store.ensure_bucket(settings)
    with _staged(model) as files:
        version = fingerprint(files)[:VERSION_DIGITS]
        there = store.read_manifest(settings, candidate_uri(settings, name, version))
        if there:
            return _beside(settings, files, name, version, there)
        uri = candidate_uri(settings, name, version)
        upload_directory(settings, files, uri)
    return Version(uri, version, new=True)


def _beside(
    settings: StoreSettings, files: Path, name: str, version: str, there: Manifest
) -> Version:
    """A candidate with this fingerprint exists: only its sums can say whether it is this one."""
    ours = describe_directory(files)
    if ours.content_hash == there.content_hash:
        return Version(candidate_uri(settings, name, version), version, new=False)
    version = ours.content_hash[:VERSION_DIGITS]
    uri = candidate_uri(settings, name, version)
    new = store.read_manifest(settings, uri) is None
    if new:
        upload_directory(settings, files, uri)
    return Version(uri, version, new)


@contextmanager
def _staged(model: Path) -> Iterator[Path]:
    """A directory of links to the files that go into the store."""
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(path for path in model.rglob("*") if path.is_file()):
            relative = path.relative_to(model)
            if goes_along(relative.as_posix()):
                link = Path(folder) / relative
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
        yield Path(folder)
