"""Which weights model servers are started from: what must not be deleted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from components.core.errors import DeployError
from components.deploy import kubernetes_api

ADDRESS = "storageUri"
"""The key of an InferenceService that names weights: of its predictor, and of each canary."""


def served_in_directory(directory: Path) -> set[str]:
    """Reads the laptop's InferenceServices.

    Args:
        directory: The folder that the supervisor watches; it need not be there.

    Returns:
        Addresses of the weights.

    Raises:
        DeployError: A file cannot be read, so what it serves is not known.
    """
    found: set[str] = set()
    for path in sorted(directory.glob("*.yaml")):
        try:
            found |= set(_addresses(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (OSError, yaml.YAMLError) as error:
            raise DeployError(
                f"{path} cannot be read, so what it serves is not known; mend or remove it."
            ) from error
    return found


def served_in_cluster(namespace: str) -> set[str]:
    """Asks the cluster for its InferenceServices.

    Args:
        namespace: Where they are.

    Returns:
        Addresses of the weights, canaries included.

    Raises:
        DeployError: There is no cluster, or its API refuses.
    """
    with kubernetes_api.connect() as api:
        return set(_addresses(kubernetes_api.list_objects(api, namespace)))


def _addresses(content: Any) -> Iterator[str]:
    """Every address in an object, however deep it stands."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == ADDRESS and isinstance(value, str):
                yield value
            yield from _addresses(value)
    elif isinstance(content, list):
        for each in content:
            yield from _addresses(each)
