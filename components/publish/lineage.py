"""Where a published model comes from, as JSON beside its weights."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core import store
from components.core.settings import StoreSettings
from components.publish.evidence import Evidence, Source
from components.publish.model_files import LINEAGE

COMMIT_VARIABLE = "FINIST_GIT_COMMIT"
"""Environment variable: the commit that an image was built from; an image has no checkout."""
REPOSITORY = Path(__file__).resolve().parents[2]


class Base(BaseModel):
    """The model that was trained."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    address: str
    version: str = ""
    """Of one that was published or mirrored here."""
    licence: str = ""
    source: Source | None = None
    """Of one that was mirrored."""


class Data(BaseModel):
    """What it was trained on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    card_sha256: str
    seed: int
    train_rows: int
    test_rows: int


class Lineage(BaseModel):
    """Where a version comes from. Version 1."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = 1
    name: str
    version: str
    created_at: str
    """ISO 8601; the version's name does not hash it."""
    candidate: str
    """Address of the candidate that became this version; it may be gone."""
    run: str = ""
    git_commit: str = "unknown"
    git_dirty: bool = False
    """The checkout held changes that were not committed."""
    base_model: Base | None = None
    data: Data | None = None
    recipes: dict[str, Any] = {}
    licence: str = ""
    """Its id; empty when it is not known."""
    source: Source | None = None
    """Of a mirrored model, which was not trained here."""


def write_lineage(
    settings: StoreSettings, name: str, version: str, candidate: str, evidence: Evidence
) -> Lineage:
    """Gathers what is known of a version's origin; the licence is not looked for here.

    Args:
        settings: The store, which is asked for the lineage of a base model that lies in it.
        name: The model's name.
        version: Its version.
        candidate: The candidate's address.
        evidence: What is known.

    Raises:
        StorageError: The store is away or refuses.
    """
    commit, dirty = code_version()
    data = evidence.data
    return Lineage(
        name=name,
        version=version,
        created_at=datetime.now(UTC).isoformat(),
        candidate=candidate,
        run=evidence.run,
        git_commit=commit,
        git_dirty=dirty,
        base_model=_base(settings, evidence.base_model) if evidence.base_model else None,
        data=Data(
            name=data.name,
            card_sha256=evidence.data_digest,
            seed=data.seed,
            train_rows=data.dataset.train,
            test_rows=data.dataset.test,
        )
        if data
        else None,
        recipes={name: recipe for name, recipe in evidence.recipes.items() if recipe},
        source=evidence.source,
    )


def read_lineage(settings: StoreSettings, uri: str) -> Lineage | None:
    """Reads a version's lineage; None where there is none of ours.

    Args:
        settings: The store.
        uri: The version's address.

    Raises:
        StorageError: The store is away or refuses.
    """
    content = store.get_json(settings, f"{uri.rstrip('/')}/{LINEAGE}")
    return _parsed(json.dumps(content).encode())


def _base(settings: StoreSettings, address: str) -> Base:
    """The base model, with what its own lineage says when it was published or mirrored here."""
    name = address.rstrip("/").rsplit("/", 1)[-1]
    own = _own_lineage(settings, address)
    if own is None:
        return Base(name=name, address=address)
    return Base(
        name=own.name,
        address=address,
        version=own.version,
        licence=own.licence,
        source=own.source,
    )


def _own_lineage(settings: StoreSettings, address: str) -> Lineage | None:
    """Of a model in the store, or of a folder that came from there."""
    if address.startswith("s3://"):
        return read_lineage(settings, address)
    beside = Path(address) / LINEAGE
    return _parsed(beside.read_bytes()) if beside.is_file() else None


def _parsed(content: bytes) -> Lineage | None:
    """A lineage, or None where a file of that name is somebody else's."""
    try:
        return Lineage.model_validate_json(content)
    except ValidationError:
        return None


def code_version() -> tuple[str, bool]:
    """The commit of the code that runs, and whether it was changed since.

    Returns:
        From `FINIST_GIT_COMMIT`, else from the checkout; `unknown` where there is neither.
    """
    given = os.environ.get(COMMIT_VARIABLE, "")
    if given:
        return given.removesuffix("-dirty"), given.endswith("-dirty")
    commit = _git("rev-parse", "HEAD")
    return (commit, bool(_git("status", "--porcelain"))) if commit else ("unknown", False)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def as_json(lineage: Lineage) -> bytes:
    """Writes a lineage for people and machines to read."""
    return json.dumps(lineage.model_dump(), ensure_ascii=False, indent=1).encode()
