"""Applies an InferenceService to a cluster, and says how far its server is.

The status field `observedGeneration` of an InferenceService is no help: in Standard mode KServe
copies the Deployment's into it. So a server counts as ready when KServe says so and a ready pod
carries this object's revision.
"""

import json
from collections.abc import Iterator
from typing import Any, cast

import urllib3
from kubernetes import client, config

from components.core.errors import DeployError
from components.deploy.inference_service import GROUP, PLURAL, REVISION, VERSION
from components.deploy.waiting import Progress

FIELD_MANAGER = "finist-deploy"
CONFLICT = 409
NOT_FOUND = 404
REQUEST_SECONDS = 30
HOPELESS = {
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImageNeverPull": "its image is not on the node",
    "InvalidImageName": "its image has a bad name",
    "CreateContainerConfigError": "a Secret or ConfigMap that it names is missing",
    "CrashLoopBackOff": "it starts and dies again and again",
}
"""Why a container waits when waiting longer will not help."""


def connect() -> client.ApiClient:
    """Connects as the pod's service account, or else as the kubeconfig says.

    Raises:
        DeployError: There is neither.
    """
    try:
        config.load_incluster_config()
        return client.ApiClient()
    except config.ConfigException:
        pass  # not in a pod
    try:
        config.load_kube_config()
        return client.ApiClient()
    except config.ConfigException as error:
        raise DeployError(
            "There is no Kubernetes to deploy to: run in a pod, give a kubeconfig, or set "
            "FINIST_DEPLOY_DIRECTORY to deploy to the laptop's stack."
        ) from error


def apply(api: client.ApiClient, content: dict[str, Any]) -> None:
    """Applies the object server-side, as the field manager `finist-deploy`.

    Args:
        api: The connection.
        content: The InferenceService.

    Raises:
        DeployError: The API refuses; the sentence holds its own reason.
    """
    metadata = content["metadata"]
    path = _path(metadata["name"], metadata["namespace"])
    headers = {"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"}
    query = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict")]
    _call(api, path, "PATCH", query_params=query, header_params=headers, body=content)


def delete(api: client.ApiClient, name: str, namespace: str) -> None:
    """Deletes an InferenceService with its pods; one that is gone already is no error.

    Args:
        api: The connection.
        name: Its name.
        namespace: Its namespace.

    Raises:
        DeployError: The API refuses.
    """
    try:
        _call(api, _path(name, namespace), "DELETE")
    except DeployError as error:
        if not _is_gone(error):
            raise


def look(api: client.ApiClient, content: dict[str, Any]) -> Progress:
    """Says how far the server of an applied object is.

    Args:
        api: The connection.
        content: The InferenceService as it was applied.

    Raises:
        DeployError: The API refuses.
    """
    name, namespace = content["metadata"]["name"], content["metadata"]["namespace"]
    status = _call(api, _path(name, namespace), "GET").get("status", {})
    selector = [("labelSelector", f"{GROUP}/inferenceservice={name}")]
    listed = _call(api, f"/api/v1/namespaces/{namespace}/pods", "GET", query_params=selector)
    revision = content["spec"]["predictor"]["annotations"][REVISION]
    pods = [pod for pod in listed["items"] if _revision(pod) == revision]
    url = status.get("address", {}).get("url", "")
    if url and _condition(status, "Ready") == "True" and any(map(_is_ready, pods)):
        return Progress(endpoint=url, message="ready")
    return _reason(status, pods)


def list_objects(api: client.ApiClient, namespace: str) -> list[dict[str, Any]]:
    """Lists the InferenceServices of a namespace.

    Args:
        api: The connection.
        namespace: Where.

    Raises:
        DeployError: The API refuses.
    """
    path = _path("", namespace).rstrip("/")
    return cast("list[dict[str, Any]]", _call(api, path, "GET")["items"])


def _path(name: str, namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


def _is_gone(error: DeployError) -> bool:
    cause = error.__cause__
    return isinstance(cause, client.ApiException) and cause.status == NOT_FOUND


def _call(api: client.ApiClient, path: str, method: str, **options: Any) -> dict[str, Any]:
    options.setdefault("header_params", {"Accept": "application/json"})
    try:
        answer = api.call_api(
            path,
            method,
            auth_settings=["BearerToken"],
            response_type="object",
            _return_http_data_only=True,
            _request_timeout=REQUEST_SECONDS,
            **options,
        )
    except client.ApiException as error:
        raise DeployError(_refusal(error, path)) from error
    except urllib3.exceptions.HTTPError as error:
        raise DeployError(
            f"The Kubernetes API at {api.configuration.host} cannot be reached: {error}."
        ) from error
    return cast("dict[str, Any]", answer)


def _refusal(error: client.ApiException, path: str) -> str:
    try:
        said = json.loads(error.body or "{}").get("message", error.reason)
    except ValueError:
        said = error.reason
    hint = (
        " Another manager owns these fields; let it give them up, or deploy under another name."
        if error.status == CONFLICT
        else ""
    )
    return f"Kubernetes refused {path} with {error.status}: {said}.{hint}"


def _revision(pod: dict[str, Any]) -> str | None:
    revision = pod["metadata"].get("annotations", {}).get(REVISION)
    return cast("str | None", revision)


def _is_ready(pod: dict[str, Any]) -> bool:
    gone = "deletionTimestamp" in pod["metadata"]
    return not gone and _condition(pod.get("status", {}), "Ready") == "True"


def _condition(status: dict[str, Any], kind: str, key: str = "status") -> str:
    found = [one for one in status.get("conditions", ()) if one["type"] == kind]
    return str(found[0].get(key, "")) if found else ""


def _reason(status: dict[str, Any], pods: list[dict[str, Any]]) -> Progress:
    """The most telling reason: a container's, the scheduler's, else KServe's."""
    for pod in pods:
        if (stuck := next(_stuck_containers(pod.get("status", {})), None)) is not None:
            return stuck
        if _condition(pod.get("status", {}), "PodScheduled") == "False":
            why = _condition(pod["status"], "PodScheduled", "message")
            return Progress(message=f"no node takes it: {why}")
    said = _condition(status, "Ready", "message")
    invalid = status.get("modelStatus", {}).get("transitionStatus") == "InvalidSpec"
    info = status.get("modelStatus", {}).get("lastFailureInfo", {}).get("message", "")
    return Progress(message=info or said or "waiting for its pod", failed=invalid)


def _stuck_containers(status: dict[str, Any]) -> Iterator[Progress]:
    """Containers that cannot go on, the download of weights (an init container) first."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind, ()):
            reason = container.get("state", {}).get("waiting", {}).get("reason", "")
            ended = container.get("lastState", {}).get("terminated", {})
            if reason in HOPELESS:
                yield Progress(message=_explain(container["name"], reason, ended), failed=True)


def _explain(container: str, reason: str, ended: dict[str, Any]) -> str:
    if ended.get("reason") == "OOMKilled":
        return f"container {container} ran out of memory; raise `memory` in the profile"
    if container == "storage-initializer" and reason == "CrashLoopBackOff":
        said = ended.get("message", "").strip().splitlines()
        tail = f": {said[-1]}" if said else ""
        return f"the weights cannot be downloaded; check the S3 secret and storageUri{tail}"
    return f"container {container}: {HOPELESS[reason]} ({reason})"
