"""What a directory must hold to be a model that can be served, and which files are the model."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from components.core.errors import MissingModelError
from components.core.licence_files import LICENCE_FILES
from components.core.manifest import MANIFEST_NAME, Manifest

REQUIRED = ("config.json", "tokenizer.json", "chat_template.jinja")
INDEX = "model.safetensors.index.json"
CARD, LINEAGE, BOARD, RECOVERY = "README.md", "lineage.json", "board.json", "recovery.json"
WRITTEN = (CARD, LINEAGE, BOARD, RECOVERY)
"""What publishing writes itself: such files beside a checkpoint are another version's."""


def goes_along(path: str) -> bool:
    """Whether a file of a checkpoint's folder goes into the store.

    Args:
        path: Relative to the folder.
    """
    return path not in {*WRITTEN, MANIFEST_NAME} and not path.startswith(".")


def is_licence(path: str) -> bool:
    """Whether a file is a licence text.

    Args:
        path: Relative to the model's folder.
    """
    return any(fnmatchcase(path.upper(), pattern) for pattern in LICENCE_FILES)


def only_model(manifest: Manifest) -> Manifest:
    """The files that make a model what it is: not its card, its lineage, its licence texts.

    Args:
        manifest: Of a candidate or a published version.

    Returns:
        The part of it whose hash names the version: the same weights are one version, whatever
        was measured of them.
    """
    files = (entry for entry in manifest.files if entry.path not in WRITTEN)
    return Manifest(files=tuple(entry for entry in files if not is_licence(entry.path)))


def check_model(model: Path) -> None:
    """Make sure that `model` is a complete checkpoint.

    Raises:
        MissingModelError: naming what is missing or unreadable.
    """
    if not model.is_dir():
        raise MissingModelError(f"{model} is no directory; give the folder of a model.")
    missing = [name for name in REQUIRED if not (model / name).is_file()]
    missing += [name for name in weight_files(model) if not (model / name).is_file()]
    if missing:
        raise MissingModelError(f"{model} holds no {', '.join(missing)}; save the model again.")


def weight_files(model: Path) -> list[str]:
    """Names of the safetensors files that make up the weights, as the index lists them.

    Raises:
        MissingModelError: when the index cannot be read.
    """
    if not (model / INDEX).is_file():
        return sorted(path.name for path in model.glob("*.safetensors")) or ["model.safetensors"]
    try:
        return sorted(set(read_json(model / INDEX)["weight_map"].values()))
    except KeyError as error:
        raise MissingModelError(
            f"{model / INDEX} has no weight_map; save the model again."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file of the checkpoint holds.

    Raises:
        MissingModelError: when it is no JSON mapping.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MissingModelError(f"{path} is no JSON ({error}); save the model again.") from error
    if not isinstance(content, dict):
        raise MissingModelError(f"{path} holds no JSON mapping; save the model again.")
    return content
