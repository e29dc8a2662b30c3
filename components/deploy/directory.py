"""Applies an InferenceService by writing a file: the laptop's stand-in for a Kubernetes API.

Whoever watches the folder starts the server and writes `<name>.status.json` beside the file.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from components.core.errors import DeployError
from components.deploy.waiting import Progress


class Status(BaseModel):
    """What `<name>.status.json` holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ready: bool
    url: str = ""
    message: str = ""


def write(content: dict[str, Any], directory: Path) -> Path:
    """Writes `<name>.yaml` in one step; a changed object loses its old status first.

    Args:
        content: The InferenceService.
        directory: The folder that is watched.

    Returns:
        The file.

    Raises:
        DeployError: The folder cannot be written.
    """
    name = content["metadata"]["name"]
    path = directory / f"{name}.yaml"
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            _status_path(path).unlink(missing_ok=True)
            _replace(path, text)
    except PermissionError as error:
        raise DeployError(
            f"{path} cannot be written ({error.strerror}); check FINIST_DEPLOY_DIRECTORY."
        ) from error
    return path


def remove(name: str, directory: Path) -> None:
    """Removes what `write` wrote; whoever watches the folder then stops the server.

    Args:
        name: The InferenceService's name.
        directory: The folder that is watched.
    """
    path = directory / f"{name}.yaml"
    path.unlink(missing_ok=True)
    _status_path(path).unlink(missing_ok=True)


def look(path: Path) -> Progress:
    """Says how far the server of a written object is.

    Args:
        path: What `write` returned.
    """
    try:
        status = Status.model_validate(json.loads(_status_path(path).read_bytes()))
    except FileNotFoundError:
        return Progress(message="no status yet; is the stack up (`finist up`)?")
    except (ValidationError, ValueError):
        return Progress(message=f"{_status_path(path).name} cannot be read")
    if status.ready:
        return Progress(endpoint=status.url, message="ready")
    gave_up = status.message.startswith("gave up")
    return Progress(message=status.message or "starting", failed=gave_up)


def _status_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.status.json")


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)  # it is there only if something went wrong
