"""Recipes: YAML files that hold a stage's hyper-parameters, checked against its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from components.core.errors import RecipeError

SettingsType = TypeVar("SettingsType", bound=BaseModel)


def load_recipe(path: Path, settings: type[SettingsType]) -> SettingsType:
    """Reads a recipe.

    Args:
        path: A YAML file that holds a mapping.
        settings: The pydantic model that says which keys there are.

    Returns:
        The settings.

    Raises:
        RecipeError: The file cannot be read, or has an unknown key or a value out of range.
    """
    return check_recipe(str(path), read_mapping(path), settings)


def check_recipe(
    name: str, content: Mapping[str, Any], settings: type[SettingsType]
) -> SettingsType:
    """Checks a recipe that was read already: from a file, or handed over by KFP.

    Args:
        name: What to call it in an error.
        content: Its keys and values.
        settings: The pydantic model that says which keys there are.

    Returns:
        The settings.

    Raises:
        RecipeError: It has an unknown key or a value out of range.
    """
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(sorted(settings.model_fields))
        hint = f" Known keys: {known}." if first["type"] == "extra_forbidden" else ""
        raise RecipeError(f"{name}: {where}: {first['msg']}.{hint}") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """Reads a YAML file that holds a mapping, and leaves it unchecked.

    Args:
        path: The file.

    Raises:
        RecipeError: The file cannot be read, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        near = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml"))) or "none"
        raise RecipeError(f"There is no recipe {path}; beside it: {near}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML: {error}.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold a mapping of keys to values.")
    return content
