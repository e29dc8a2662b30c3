"""Copies a model of a hub into the store, so that nothing else needs the hub (air gap)."""

import errno
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import httpx2
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import ModelInfo

from components.core import store
from components.core.errors import IntegrityError, MissingModelError
from components.core.licence_files import LICENCE_FILES
from components.core.settings import StoreSettings
from components.core.whole_files import write_text
from components.publish.addresses import Version, check_name
from components.publish.candidate import upload_candidate
from components.publish.evidence import Evidence, Source
from components.publish.model_files import read_json
from components.publish.publish import publish_candidate

WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", *LICENCE_FILES)
UNWANTED = ("*/*", "consolidated*")
"""Folders hold the same weights in other formats; so do the files of Llama's own loader."""
TEMPLATE = "chat_template.jinja"


class _Fetched(NamedTuple):
    """A commit of a hub's model, here."""

    folder: Path
    info: ModelInfo
    source: Source


def mirror(settings: StoreSettings, hub_id: str, name: str, revision: str, work: Path) -> Version:
    """Copies a hub's model to `s3://<bucket>/models/<name>/<version>/`, like a published one.

    What was fetched before an interruption is not fetched again.

    Args:
        settings: The store.
        hub_id: The model's id, `owner/name`; HF_ENDPOINT names another hub, HF_TOKEN opens gated
            models.
        name: The model's name in the store; made from the id when empty.
        revision: A branch, a tag or a commit.
        work: A folder with room for the whole model; what is put there is removed at the end.

    Returns:
        The version; `new` is False when it was there already.

    Raises:
        BadInputError: The name is no DNS label.
        MissingModelError: The hub is away or has no such model, or it cannot be served for chats.
        IntegrityError: What arrived is not what the hub says it has.
        StorageError: The store refuses or is away.
    """
    name = name or store_name(hub_id)
    check_name(name)
    fetched = _fetch(hub_id, revision, work, name)
    _write_chat_template(fetched.folder, hub_id)
    candidate = upload_candidate(settings, fetched.folder, name)
    _check_sums(settings, candidate.uri, fetched.info)
    published = publish_candidate(settings, candidate.uri, Evidence(source=fetched.source))
    store.delete_directory(settings, candidate.uri)
    shutil.rmtree(fetched.folder)
    return published


def store_name(hub_id: str) -> str:
    """Makes a name in the store from a hub's id: its last part, in small letters and dashes.

    Args:
        hub_id: For example `HuggingFaceTB/SmolLM2-135M-Instruct`.
    """
    return re.sub(r"[^a-z0-9]+", "-", hub_id.rsplit("/", 1)[-1].lower()).strip("-")


def _fetch(hub_id: str, revision: str, work: Path, name: str) -> _Fetched:
    """Brings the files of a commit here; each commit has a folder, so nothing is mixed."""
    hub = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
    try:
        info = HfApi(endpoint=hub).model_info(hub_id, revision=revision, files_metadata=True)
        folder = work / f"{name}-{str(info.sha)[:12]}"
        snapshot_download(
            hub_id,
            revision=info.sha,
            endpoint=hub,
            local_dir=folder,
            allow_patterns=list(WANTED),
            ignore_patterns=list(UNWANTED),
        )
    except (HfHubHTTPError, httpx2.HTTPError, HFValidationError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise  # the disk is to blame, and says so
        raise MissingModelError(
            f"{hub_id} at {revision} cannot be fetched from {hub} "
            f"({str(error).strip().splitlines()[0]}); check the id, HF_ENDPOINT, the network, and "
            f"HF_TOKEN for a gated model."
        ) from error
    licence = info.card_data.get("license") if info.card_data else None
    known = licence if isinstance(licence, str) else ""
    source = Source(hub=hub, hub_id=info.id, commit=str(info.sha), licence=known)
    return _Fetched(folder, info, source)


def _write_chat_template(folder: Path, hub_id: str) -> None:
    """Training and serving load the template from a file; older models have it in a JSON."""
    config = folder / "tokenizer_config.json"
    if (folder / TEMPLATE).is_file():
        return
    template = read_json(config).get("chat_template") if config.is_file() else None
    if isinstance(template, list):  # several, by name
        template = {each["name"]: each["template"] for each in template}.get("default")
    if not isinstance(template, str):
        raise MissingModelError(
            f"{hub_id} has no chat template, so nobody can chat with it; mirror the model that was "
            f"trained on dialogues (often called -Instruct)."
        )
    write_text(folder / TEMPLATE, template)


def _check_sums(settings: StoreSettings, uri: str, info: ModelInfo) -> None:
    """Holds the sums of what went into the store against those that the hub has for large files."""
    manifest = store.require_manifest(settings, uri)
    ours = {entry.path: entry.sha256 for entry in manifest.files}
    for file in info.siblings or ():
        theirs = file.lfs.sha256 if file.lfs else None
        if theirs and file.rfilename in ours and ours[file.rfilename] != theirs:
            store.delete_directory(settings, uri)
            raise IntegrityError(
                f"{file.rfilename} of {info.id} arrived with sha256 {ours[file.rfilename][:12]}, "
                f"the hub says {theirs[:12]}; delete the work folder and mirror it again."
            )
