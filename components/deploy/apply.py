"""Deploys and removes a model server: a folder on a laptop, Kubernetes elsewhere.

The libraries of KServe and Kubernetes take seconds to import, so each is where it is needed.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from components.core.errors import DeployError
from components.deploy import directory
from components.deploy.settings import DeploySettings, ModelServer
from components.deploy.waiting import wait

DIRECTORY_VARIABLE = "FINIST_DEPLOY_DIRECTORY"
"""Environment variable: the folder that the laptop's supervisor watches."""
DIRECTORY_SECONDS = 0.5
CLUSTER_SECONDS = 5.0


def deploy_model(server: ModelServer, settings: DeploySettings) -> str:
    """Applies the InferenceService and waits until it answers.

    Args:
        server: What is served.
        settings: How.

    Returns:
        URL of its OpenAI API, with `/v1`.

    Raises:
        DeployError: It was refused, failed, or was not ready in `settings.ready_seconds`.
    """
    from components.deploy.inference_service import build

    folder = os.environ.get(DIRECTORY_VARIABLE)
    content = build(server, settings)
    if folder:
        path = directory.write(content, Path(folder))
        look = partial(directory.look, path)
        return wait(server.name, look, settings.ready_seconds, DIRECTORY_SECONDS)
    from components.deploy import kubernetes_api

    with kubernetes_api.connect() as api:
        kubernetes_api.apply(api, content)
        look = partial(kubernetes_api.look, api, content)
        return wait(server.name, look, settings.ready_seconds, CLUSTER_SECONDS)


def remove_model(name: str, settings: DeploySettings) -> None:
    """Removes an InferenceService, and so frees its GPUs; one that is gone already is no error.

    Args:
        name: The InferenceService's name.
        settings: Where it was deployed.

    Raises:
        DeployError: It cannot be removed.
    """
    folder = os.environ.get(DIRECTORY_VARIABLE)
    if folder:
        directory.remove(name, Path(folder))
        return
    from components.deploy import kubernetes_api

    with kubernetes_api.connect() as api:
        kubernetes_api.delete(api, name, settings.namespace)


def remove_models(names: Sequence[str], settings: DeploySettings) -> None:
    """Removes several InferenceServices; one that cannot be removed does not keep the others.

    Args:
        names: The InferenceServices' names; those that are gone already are no error.
        settings: Where they were deployed.

    Raises:
        DeployError: Some of them cannot be removed; the first one's sentence.
    """
    errors: list[DeployError] = []
    for name in names:
        try:
            remove_model(name, settings)
        except DeployError as error:
            errors.append(error)
    if errors:
        raise errors[0]
