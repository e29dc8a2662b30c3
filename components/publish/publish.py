"""A model in the store: an immutable version, named after its own weights.

A candidate is uploaded first (`candidates/`), so that it can be served and judged; it becomes a
published version (`models/`) by a copy inside the store, once it has passed its gates.
"""

import logging

from components.core import store
from components.core.errors import MissingModelError
from components.core.manifest import Manifest
from components.core.model_pointers import read_pointer
from components.core.settings import StoreSettings
from components.core.store_copy import copy_directory
from components.publish.addresses import VERSION_DIGITS, Version, candidate_name, model_uri
from components.publish.documents import place_documents, read_document
from components.publish.evidence import Evidence
from components.publish.licence import Licence, find_licence
from components.publish.lineage import Lineage, as_json, write_lineage
from components.publish.model_card import Described, write_card
from components.publish.model_files import CARD, LINEAGE, is_licence, only_model
from components.publish.pointers import move_latest

log = logging.getLogger(__name__)
LICENCE_BYTES = 200_000
"""No licence is longer; a larger file of that name is something else."""


def publish_candidate(settings: StoreSettings, candidate: str, evidence: Evidence) -> Version:
    """Publishes a candidate as `s3://<bucket>/models/<name>/<version>/`, and moves `latest`.

    The version is the first 12 hex digits of the hash over the model's own files, so the same
    weights are one version; card, lineage and licence stand in the manifest too. A version that is
    there is never rewritten, whatever was measured since.

    Args:
        settings: The store.
        candidate: The address that `upload_candidate` gave.
        evidence: What the card and the lineage tell.

    Returns:
        The published version; `new` is False when it was published before.

    Raises:
        BadInputError: The address is no candidate's.
        StorageError: There is no such candidate, or the store refuses or is away.
    """
    name = candidate_name(settings, candidate)
    manifest = store.require_manifest(settings, candidate)
    version = only_model(manifest).content_hash[:VERSION_DIGITS]
    uri = model_uri(settings, name, version)
    new = store.read_manifest(settings, uri) is None
    if new:
        lineage = write_lineage(settings, name, version, candidate, evidence)
        documents = _documents(settings, candidate, manifest, lineage, evidence)
        beside = place_documents(settings, uri, documents)
        copy_directory(settings, candidate, uri, beside)
    now = move_latest(settings, name, version, f"run {evidence.run}" if evidence.run else "")
    if now.version != version:
        log.warning(
            "latest of %s stays at %s: %s published it just before, and it is younger than %s.",
            *(name, now.version, now.moved_by, version),
        )
    return Version(uri, version, new)


def latest(settings: StoreSettings, name: str) -> str:
    """The address of the version that `latest.json` points at.

    Raises:
        MissingModelError: when nothing was published under this name.
        StorageError: when the store is away.
    """
    pointer = read_pointer(settings, settings.bucket, name, "latest")
    if pointer is None:
        raise MissingModelError(
            f"{model_uri(settings, name)} holds no model; publish one under this name."
        )
    return model_uri(settings, name, pointer.version)


def _documents(
    settings: StoreSettings,
    candidate: str,
    manifest: Manifest,
    lineage: Lineage,
    evidence: Evidence,
) -> dict[str, bytes]:
    """What publishing writes: card, lineage, notice, and the figures as they were given."""
    known = _known_licence(lineage)
    licence = _licence(settings, candidate, manifest, lineage)
    lineage = lineage.model_copy(update={"licence": licence.id if licence else known})
    config = store.get_json(settings, f"{candidate}/config.json")
    card = write_card(Described(manifest, config or {}, licence), lineage, evidence)
    written = {**evidence.files, LINEAGE: as_json(lineage), CARD: card.encode()}
    if licence:
        there = {entry.path for entry in manifest.files}
        name = "NOTICE.finist" if "NOTICE" in there else "NOTICE"
        written[name] = f"{licence.notice.strip()}\n".encode()
    return written


def _licence(
    settings: StoreSettings, candidate: str, manifest: Manifest, lineage: Lineage
) -> Licence | None:
    base, source = lineage.base_model, lineage.source
    names = [*([base.name, base.address] if base else ()), *([source.hub_id] if source else ())]
    texts = [
        read_document(settings, candidate, entry.path).decode(errors="replace")
        for entry in manifest.files
        if is_licence(entry.path) and entry.size <= LICENCE_BYTES
    ]
    return find_licence(_known_licence(lineage), texts, names)


def _known_licence(lineage: Lineage) -> str:
    """The licence's id as the hub or the base model's lineage gives it; empty for neither."""
    base, source = lineage.base_model, lineage.source
    return (base.licence if base else "") or (source.licence if source else "")
