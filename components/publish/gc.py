"""Removes what nobody needs any more: old versions, candidates, and what was cut off half-way.

A version is needed when a pointer stands for it or stood for it just before (`promote --back`), a
person pinned it, a model server was started from it, it is one of the newest, or it is young:
somebody may be between publishing and promoting it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from components.core import s3_client, store
from components.core.manifest import MANIFEST_NAME
from components.core.multipart import CutUpload
from components.core.settings import StoreSettings
from components.publish.addresses import candidate_uri, model_uri
from components.publish.registry import Folder, Model, age, folders_under, read_model

Kind = Literal["version", "candidate", "cut upload"]


@dataclass(frozen=True)
class Rules:
    """What is kept."""

    served: Collection[str]
    """Addresses that running model servers were started from."""
    keep: int = 3
    """So many newest versions of each model."""
    older_than: timedelta = timedelta(days=7)
    """Whatever is younger stays."""


@dataclass(frozen=True)
class Decision:
    """What becomes of one thing, and why."""

    uri: str
    kind: Kind
    size: int
    """Bytes; 0 for a cut upload, whose parts the server does not sum up."""
    written: datetime
    goes: bool
    why: str
    upload: CutUpload | None = None


def plan(settings: StoreSettings, name: str, rules: Rules) -> list[Decision]:
    """Decides for everything under a model's name, and deletes nothing.

    Args:
        settings: The store.
        name: The model's name.
        rules: What is kept.

    Returns:
        A decision for each version, candidate and cut upload.

    Raises:
        BadInputError: The name is no DNS label.
        StorageError: The store is away or refuses.
    """
    now = datetime.now(UTC)
    model = read_model(settings, name)
    newest = [version for version, folder in model.versions.items() if folder.complete]
    kept = newest[: rules.keep]
    candidates = folders_under(settings, candidate_uri(settings, name))
    return [
        *(
            _version(folder, _needs(model, version, folder, rules, now, version in kept), now)
            for version, folder in model.versions.items()
        ),
        *(_candidate(folder, rules, now) for folder in candidates.values()),
        *_cut(settings, name, rules, now),
    ]


def _needs(
    model: Model, version: str, folder: Folder, rules: Rules, now: datetime, among_newest: bool
) -> str:
    """Why a version stays; empty when nothing needs it."""
    pointing = model.pointers_at(version)
    before = [each for each, one in model.pointers.items() if one.previous == version]
    reasons = [
        (pointing, f"{' and '.join(pointing)} stand{'s'[: len(pointing) == 1]} for it"),
        (version in model.pins, f"pinned: {_reason(model, version)}"),
        (_is_served(folder.uri, rules.served), "a model server was started from it"),
        (before, f"{' and '.join(before)} stood for it before (promote --back)"),
        (among_newest, f"one of the {rules.keep} newest"),
    ]
    needed = [why for holds, why in reasons if holds]
    return next(iter(needed), _young(folder.written, rules, now))


def _reason(model: Model, version: str) -> str:
    found = model.pins.get(version)
    return f"{found.reason} ({found.pinned_by})" if found else ""


def _is_served(uri: str, served: Collection[str]) -> bool:
    return any(address.rstrip("/") == uri for address in served)


def _young(written: datetime, rules: Rules, now: datetime) -> str:
    return f"only {age(written, now)} old" if now - written < rules.older_than else ""


def _version(folder: Folder, needed: str, now: datetime) -> Decision:
    old = f"nothing needs it, {age(folder.written, now)} old"
    cut = f"has no manifest, so it does not exist; {age(folder.written, now)} old"
    why = needed or (old if folder.complete else cut)
    return Decision(folder.uri, "version", folder.size, folder.written, not needed, why)


def _candidate(folder: Folder, rules: Rules, now: datetime) -> Decision:
    served = "a model server was started from it" if _is_served(folder.uri, rules.served) else ""
    needed = served or _young(folder.written, rules, now)
    why = needed or f"a candidate, {age(folder.written, now)} old"
    return Decision(folder.uri, "candidate", folder.size, folder.written, not needed, why)


def _cut(settings: StoreSettings, name: str, rules: Rules, now: datetime) -> Iterator[Decision]:
    for uri in (model_uri(settings, name), candidate_uri(settings, name)):
        for upload in store.stale_uploads(settings, uri, rules.older_than):
            why = f"was cut {age(upload.started, now)} ago and not gone on with"
            yield Decision(upload.uri, "cut upload", 0, upload.started, True, why, upload)


def carry_out(
    settings: StoreSettings, name: str, decisions: Collection[Decision], rules: Rules
) -> list[Decision]:
    """Deletes what the plan says, looking again right before each deletion.

    A deletion begins with the manifest: what is half deleted is not there for any reader. It is
    put back when somebody promoted or pinned the version at that very moment.

    Args:
        settings: The store.
        name: The model's name.
        decisions: The plan.
        rules: As they were for the plan.

    Returns:
        What happened: a version that is needed by now stays, and says why.

    Raises:
        StorageError: The store is away or refuses.
    """
    return [_carry_out(settings, name, one, rules) for one in decisions]


def _carry_out(settings: StoreSettings, name: str, decision: Decision, rules: Rules) -> Decision:
    if not decision.goes:
        return decision
    if decision.upload:
        store.abort_upload(settings, decision.upload)
        return decision
    again = _again(settings, name, decision, rules)
    if not again.goes:
        return again
    manifest = store.get_json(settings, f"{decision.uri}/{MANIFEST_NAME}")
    store.delete_manifest(s3_client.client(settings), store.parse_uri(decision.uri))
    # Whoever moves a pointer looks for the manifest before and after it, and pointers are read
    # here before and after the manifest goes: at least one of the two sees the other.
    again = _again(settings, name, decision, rules)
    if again.goes:
        store.delete_directory(settings, decision.uri)
    elif manifest is not None:
        store.put_json(settings, f"{decision.uri}/{MANIFEST_NAME}", manifest)
    return again


def _again(settings: StoreSettings, name: str, decision: Decision, rules: Rules) -> Decision:
    now = {each.uri: each for each in plan(settings, name, rules)}
    return now.get(decision.uri, decision)
