"""KServe InferenceService objects on the laptop: files in, model directories and status out.

`.finist/inferenceservices/<name>.yaml` stands for the Kubernetes API server; beside each file
stands `<name>.status.json`.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.download import download_directory
from components.core.errors import BadInputError, MissingModelError
from components.core.settings import StoreSettings
from pipelines.local.state import replace_text

FOLDER = "inferenceservices"


class _Part(BaseModel):
    """A part of the object that is read in passing: the cluster's other keys are no error."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Metadata(_Part):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")


class _Model(_Part):
    storage_uri: str = Field(alias="storageUri")
    args: tuple[str, ...] = ()


class _Predictor(_Part):
    model: _Model


class _Spec(_Part):
    predictor: _Predictor


class InferenceService(_Part):
    """What the laptop needs of an InferenceService."""

    metadata: _Metadata
    spec: _Spec

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def storage_uri(self) -> str:
        """Where the weights are: `s3://...`, `file:///...` or `pvc://<volume>/<path>`."""
        return self.spec.predictor.model.storage_uri

    @property
    def arguments(self) -> tuple[str, ...]:
        """The model server's arguments."""
        return self.spec.predictor.model.args

    @property
    def served_name(self) -> str:
        """The name under which clients ask for the model: `--served-model-name`, else its own."""
        for index, argument in enumerate(self.arguments):
            flag, _, value = argument.partition("=")
            if flag == "--served-model-name":
                return value or self.arguments[index + 1]
        return self.name


class Status(BaseModel):
    """What `<name>.status.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: bool
    url: str
    message: str


def build(name: str, storage_uri: str, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    """Builds the smallest InferenceService that serves a model by vLLM."""
    model = {
        "modelFormat": {"name": "vLLM"},
        "storageUri": storage_uri,
        "args": [f"--served-model-name={name}", *arguments],
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model}},
    }


def parse(text: str, source: Path) -> InferenceService:
    """Reads one InferenceService.

    Args:
        text: YAML.
        source: The file, for messages; its stem must be the object's name.

    Raises:
        BadInputError: It is no such object, or its name is not the file's.
    """
    try:
        found = InferenceService.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BadInputError(f"{source} is no YAML; write it anew.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"{source}: {place}: {first['msg'].lower()}; mend it.") from error
    if found.name != source.stem:
        raise BadInputError(f"{source}: the object's name is {found.name}; name the file so.")
    return found


def read_texts(folder: Path) -> dict[str, str]:
    """Reads every object's YAML, by name; one that goes meanwhile is skipped."""
    texts: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        with contextlib.suppress(FileNotFoundError):
            texts[path.stem] = path.read_text(encoding="utf-8", errors="replace")
    return texts


def write(home: Path, content: Mapping[str, Any]) -> Path:
    """Writes an InferenceService where the supervisor finds it (`kubectl apply` on the laptop).

    Raises:
        BadInputError: It is no InferenceService.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    name = str(content.get("metadata", {}).get("name", "unnamed"))
    path = folder / f"{name}.yaml"
    parse(text, path)
    replace_text(path, text)
    return path


def write_status(home: Path, name: str, status: Status) -> None:
    """Writes `<name>.status.json` in one step."""
    replace_text(home / FOLDER / f"{name}.status.json", status.model_dump_json())


def fetch(service: InferenceService, home: Path, settings: StoreSettings | None) -> Path:
    """Brings the model's directory here.

    Args:
        service: Whose model.
        home: The folder of the laptop's state; downloads stay under its `models/`.
        settings: The S3 server, for `s3://` addresses.

    Raises:
        MissingModelError: There is no model at the address.
        StorageError: The download failed; IntegrityError when a sha256 differs.
    """
    address = urlsplit(service.storage_uri)
    if address.scheme == "s3" and settings is not None:
        target = home / "models" / f"{service.name}-{short_hash(service.storage_uri)}"
        target.parent.mkdir(parents=True, exist_ok=True)
        return download_directory(settings, service.storage_uri, target)
    local = {"file": Path(unquote(address.path)), "pvc": home / unquote(address.path.lstrip("/"))}
    directory = local.get(address.scheme)
    if directory is None or not (directory / "config.json").is_file():
        raise MissingModelError(
            f"{service.name}: no model with a config.json at {service.storage_uri}; "
            "give an s3:// or file:// address of a Hugging Face checkpoint."
        )
    return directory


def short_hash(text: str) -> str:
    """Names a text in 12 hex digits of its sha256, for folders."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
