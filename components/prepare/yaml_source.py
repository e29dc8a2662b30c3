"""Reading a YAML file into a pydantic model, with the line of what is wrong."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from components.core.errors import CatalogueError

Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Reads one YAML file into a model.

    Args:
        path: The file, UTF-8.
        model: What the file must hold.

    Returns:
        The validated model.

    Raises:
        CatalogueError: The file cannot be read, is not YAML, repeats a key or does not fit the
            model; names the file and, where there is one, the line.
    """
    root = _compose(path)
    _refuse_repeated_keys(path, root)
    try:
        return model.model_validate(yaml.CSafeLoader("").construct_document(root))
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        line = line_of(root, first["loc"])
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise CatalogueError(f"{path}:{line}: {where}: {problem}; see the README.") from error


def _compose(path: Path) -> yaml.Node:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise CatalogueError(f"{path}{line}: not readable as YAML: {problem}.") from error
    if root is None:
        raise CatalogueError(f"{path} is empty; write the keys that its README names.")
    return root


def _refuse_repeated_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise CatalogueError(f"{path}:{line}: the key {key.value!r} stands here twice.")
            seen.add(key.value)
            _refuse_repeated_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item)


def line_of(node: yaml.Node, location: tuple[str | int, ...]) -> int:
    """Finds the line of a place in a YAML tree.

    Args:
        node: The root of the tree.
        location: Keys and list positions from the root, as pydantic reports them.

    Returns:
        The line, from 1, of the deepest part of `location` that the tree holds.
    """
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            node, line = pair[1], pair[0].start_mark.line + 1
    return line
