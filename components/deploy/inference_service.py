"""Builds the KServe InferenceService of a model server. Pure: nothing is read or sent."""

import hashlib
import json
from typing import Any, cast

from kserve.models import (
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
)
from kubernetes import client

from components.deploy.settings import DeploySettings, ModelServer

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
REVISION = "finist.ai/revision"
"""Annotation on the server's pods: which description they were started from."""
GPU = "nvidia.com/gpu"
SHARED_MEMORY = "shared-memory"


def build(server: ModelServer, settings: DeploySettings) -> dict[str, Any]:
    """Builds the object that serves a model by vLLM in KServe's Standard mode.

    `spec.predictor.model.args` holds vLLM's flags and `.storageUri` the weights, so the laptop's
    supervisor starts a server from the very same object.

    Args:
        server: What is served.
        settings: How.

    Returns:
        The object as Kubernetes reads it.
    """
    annotations = {
        f"{GROUP}/deploymentMode": "Standard",
        f"{GROUP}/autoscalerClass": "none",  # an HPA could never place a second pod on four GPUs
    }
    labels = {
        "app.kubernetes.io/part-of": "finist",
        "networking.kserve.io/visibility": "cluster-local",  # the chart's HTTPRoute is the way in
    }
    service = V1beta1InferenceService(
        api_version=f"{GROUP}/{VERSION}",
        kind="InferenceService",
        metadata=client.V1ObjectMeta(
            name=server.name,
            namespace=settings.namespace,
            labels=labels,
            annotations=annotations,
        ),
        spec=V1beta1InferenceServiceSpec(predictor=_predictor(server, settings)),
    )
    return _with_revision(_plain(service))


def arguments(server: ModelServer, settings: DeploySettings) -> list[str]:
    """Gives vLLM's flags; the runtime adds the port and the model's directory.

    Args:
        server: What is served.
        settings: How.
    """
    flags = [
        f"--served-model-name={server.served_model_name}",
        f"--max-model-len={settings.max_model_len}",
        f"--dtype={settings.dtype}",
    ]
    if settings.gpus > 1:
        flags.append(f"--tensor-parallel-size={settings.gpus}")
    return [*flags, *settings.arguments]


def _predictor(server: ModelServer, settings: DeploySettings) -> V1beta1PredictorSpec:
    memory = client.V1EmptyDirVolumeSource(medium="Memory", size_limit=settings.shared_memory)
    return V1beta1PredictorSpec(
        model=_model(server, settings),
        service_account_name=settings.service_account,
        automount_service_account_token=False,
        priority_class_name=settings.priority_class,
        min_replicas=1,
        max_replicas=1,
        timeout=settings.timeout_seconds,
        termination_grace_period_seconds=settings.timeout_seconds + 10,
        # No surge: a second pod would wait for GPUs that the first one holds.
        deployment_strategy=client.V1DeploymentStrategy(type="Recreate"),
        volumes=[client.V1Volume(name=SHARED_MEMORY, empty_dir=memory)],
    )


def _model(server: ModelServer, settings: DeploySettings) -> V1beta1ModelSpec:
    return V1beta1ModelSpec(
        model_format=V1beta1ModelFormat(name="vLLM"),
        runtime=settings.runtime,
        storage_uri=server.storage_uri,
        args=arguments(server, settings),
        resources=_resources(settings),
        volume_mounts=[client.V1VolumeMount(name=SHARED_MEMORY, mount_path="/dev/shm")],
    )


def _resources(settings: DeploySettings) -> client.V1ResourceRequirements:
    """Requests equal limits: the pod is Guaranteed, the last to be evicted."""
    amounts = {"cpu": settings.cpu, "memory": settings.memory}
    if settings.gpus:
        amounts[GPU] = str(settings.gpus)
    return client.V1ResourceRequirements(requests=dict(amounts), limits=amounts)


def _plain(service: V1beta1InferenceService) -> dict[str, Any]:
    """The SDK's object as plain data: camelCase keys, nothing unset; no connection is opened."""
    serializer = client.ApiClient(configuration=client.Configuration())
    content = cast("dict[str, Any]", serializer.sanitize_for_serialization(service))
    content["spec"]["predictor"]["model"].pop("name", None)  # the SDK's default, an empty string
    return content


def _with_revision(content: dict[str, Any]) -> dict[str, Any]:
    """Marks the pods with a hash of the spec, so that a wait can tell new pods from old ones."""
    text = json.dumps(content["spec"], sort_keys=True)
    revision = hashlib.sha256(text.encode()).hexdigest()[:12]
    content["spec"]["predictor"]["annotations"] = {REVISION: revision}
    return content
