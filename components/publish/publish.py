"""A model in the store: an immutable version, named after its own content.

A candidate is uploaded first (`candidates/`), so that it can be served and judged; it becomes a
published version (`models/`) by a copy inside the store, once it has passed its gates.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.core import store
from components.core.errors import BadInputError, MissingModelError
from components.core.manifest import MANIFEST_NAME, describe_directory
from components.core.settings import StoreSettings
from components.core.store_copy import copy_directory
from components.core.upload import upload_directory
from components.publish.model_card import CARD_NAME, write_card
from components.publish.model_files import check_model

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VERSION_DIGITS = 12
CANDIDATES, MODELS = "candidates", "models"


@dataclass(frozen=True)
class Version:
    """Where a version is, and whether this call brought it there."""

    uri: str
    version: str
    new: bool


def upload_candidate(
    settings: StoreSettings, model: Path, name: str, lineage: Mapping[str, str]
) -> Version:
    """Uploads a model as `s3://<bucket>/candidates/<name>/<version>/`, to be served and judged.

    The version is the first 12 hex digits of the sha256 over the sorted manifest, so the same
    bytes are the same version and are sent once.

    Args:
        settings: The store.
        model: A checkpoint: safetensors weights, config, tokenizer, chat template.
        name: The model's name in the store, a DNS label.
        lineage: What the card says about where the model comes from; it is part of the content.

    Returns:
        The version and its address.

    Raises:
        BadInputError: The name is no DNS label.
        MissingModelError: The directory is no complete checkpoint.
        StorageError: The store refuses or is away; no version then exists.
    """
    if not NAME.fullmatch(name):
        raise BadInputError(f"{name!r} is no model name; use a-z, 0-9 and dashes, 63 at most.")
    check_model(model)
    store.ensure_bucket(settings)
    with tempfile.TemporaryDirectory() as folder:
        return _upload_once(settings, _stage(model, Path(folder), name, lineage), name)


def publish_candidate(settings: StoreSettings, candidate: str) -> Version:
    """Publishes a candidate as `s3://<bucket>/models/<name>/<version>/`, and moves `latest.json`.

    Args:
        settings: The store.
        candidate: The address that `upload_candidate` gave.

    Returns:
        The published version; `new` is False when it was published before.

    Raises:
        BadInputError: The address is no candidate's.
        StorageError: There is no such candidate, or the store refuses or is away.
    """
    place = store.parse_uri(candidate)
    folder, _, rest = place.prefix.partition("/")
    name, _, version = rest.partition("/")
    if folder != CANDIDATES or not version or place.bucket != settings.bucket:
        raise BadInputError(
            f"{candidate} is no candidate; give the s3://{settings.bucket}/{CANDIDATES}/<name>/"
            "<version> that uploading it printed."
        )
    uri = f"s3://{settings.bucket}/{MODELS}/{name}/{version}"
    new = store.read_manifest(settings, uri) is None
    if new:
        copy_directory(settings, candidate, uri)
    published = Version(uri, version, new)
    _point_latest(settings, name, published)
    return published


def latest(settings: StoreSettings, name: str) -> str:
    """The address of the version that `latest.json` points at.

    Raises:
        MissingModelError: when nothing was published under this name.
        StorageError: when the store is away.
    """
    pointer = store.get_json(settings, _pointer(settings, name))
    if pointer is None:
        raise MissingModelError(
            f"s3://{settings.bucket}/{MODELS}/{name} holds no model; publish one under this name."
        )
    return str(pointer["uri"])


def _stage(model: Path, folder: Path, name: str, lineage: Mapping[str, str]) -> Path:
    """A directory of links to the model's files, with our card beside them."""
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        relative = path.relative_to(model)
        if relative.as_posix() in {CARD_NAME, MANIFEST_NAME}:
            continue
        link = folder / relative
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    write_card(model, name, lineage, folder / CARD_NAME)
    return folder


def _upload_once(settings: StoreSettings, staged: Path, name: str) -> Version:
    manifest = describe_directory(staged)
    version = manifest.content_hash[:VERSION_DIGITS]
    uri = f"s3://{settings.bucket}/{CANDIDATES}/{name}/{version}"
    new = store.read_manifest(settings, uri) is None
    if new:
        upload_directory(settings, staged, uri, manifest)
    return Version(uri, version, new)


def _point_latest(settings: StoreSettings, name: str, published: Version) -> None:
    where = _pointer(settings, name)
    pointer = store.get_json(settings, where)
    if pointer is None or pointer.get("uri") != published.uri:
        moved = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"version": published.version, "uri": published.uri, "moved_at": moved}
        store.put_json(settings, where, content)


def _pointer(settings: StoreSettings, name: str) -> str:
    return f"s3://{settings.bucket}/{MODELS}/{name}/latest.json"
