"""Deployment to Kubernetes, against a stand-in of its API over real HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from components.core.errors import DeployError
from components.deploy import kubernetes_api
from components.deploy.inference_service import REVISION, build
from components.deploy.served import served_in_cluster
from components.deploy.settings import DeploySettings, ModelServer
from components.deploy.tests.fake_kubernetes import Cluster, running
from components.deploy.waiting import wait

SERVER = ModelServer(name="tuned", storage_uri="s3://finist/models/f/0a/", served_model_name="f")
CONTENT = build(SERVER, DeploySettings())
CURRENT = CONTENT["spec"]["predictor"]["annotations"][REVISION]
URL = "http://tuned-predictor.finist.svc.cluster.local"
READY = {"address": {"url": URL}, "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running(Cluster()) as found:
        yield found


@pytest.fixture
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    configuration = client.Configuration(host=cluster.url)
    configuration.retries = False
    with client.ApiClient(configuration) as connection:
        yield connection
        connection.rest_client.pool_manager.clear()


def pod(revision: str = CURRENT, ready: bool = True, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "tuned-predictor-0", "annotations": {REVISION: revision}},
        "status": {"conditions": conditions, **status},
    }


def waiting(container: str, reason: str, ended: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": container,
        "state": {"waiting": {"reason": reason}},
        "lastState": {"terminated": ended or {}},
    }


def test_it_applies_server_side_with_its_own_field_manager(
    cluster: Cluster, api: client.ApiClient
) -> None:
    kubernetes_api.apply(api, CONTENT)
    ((method, path, kind),) = cluster.requests
    assert (method, kind) == ("PATCH", "application/apply-patch+yaml")
    assert path.endswith("/tuned?fieldManager=finist-deploy&fieldValidation=Strict")
    assert cluster.applied == [CONTENT]


def test_what_is_served_is_known_canaries_included(
    cluster: Cluster, api: client.ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_api, "connect", lambda: api)
    assert served_in_cluster("finist") == set()
    kubernetes_api.apply(api, CONTENT)
    canary = {"predictor": {"model": {"name": "", "storageUri": "s3://finist/models/f/0b"}}}
    cluster.applied.append({"spec": {"canary": [canary]}})
    assert served_in_cluster("finist") == {SERVER.storage_uri, "s3://finist/models/f/0b"}
    cluster.refuse = (403, "forbidden")
    with pytest.raises(DeployError, match="forbidden"):
        served_in_cluster("finist")


def test_ready_needs_a_ready_pod_of_this_revision(cluster: Cluster, api: client.ApiClient) -> None:
    kubernetes_api.apply(api, CONTENT)
    cluster.status = READY
    cluster.pods = [pod(revision="the one before")]
    assert kubernetes_api.look(api, CONTENT).endpoint == ""
    cluster.pods.append(pod())
    look = kubernetes_api.look(api, CONTENT)
    assert (look.endpoint, look.message) == (URL, "ready")
    assert wait("tuned", lambda: look, seconds=1, every=0.01) == f"{URL}/v1"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"containerStatuses": [waiting("kserve-container", "ImagePullBackOff")]},
            "its image cannot be pulled",
        ),
        (
            {
                "initContainerStatuses": [
                    waiting(
                        "storage-initializer", "CrashLoopBackOff", {"message": "x\nNo such key"}
                    )
                ]
            },
            "the weights cannot be downloaded; check the S3 secret and storageUri: No such key",
        ),
        (
            {
                "containerStatuses": [
                    waiting("kserve-container", "CrashLoopBackOff", {"reason": "OOMKilled"})
                ]
            },
            "ran out of memory",
        ),
    ],
    ids=["image", "storage", "memory"],
)
def test_what_waiting_will_not_mend_fails_at_once(
    cluster: Cluster, api: client.ApiClient, status: dict[str, Any], says: str
) -> None:
    kubernetes_api.apply(api, CONTENT)
    cluster.pods = [pod(ready=False, **status)]
    with pytest.raises(DeployError, match=says):
        wait("tuned", lambda: kubernetes_api.look(api, CONTENT), seconds=5, every=0.01)


def test_a_pod_that_no_node_takes_is_waited_for_and_explained(
    cluster: Cluster, api: client.ApiClient
) -> None:
    kubernetes_api.apply(api, CONTENT)
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
    cluster.pods = [pod(ready=False)]
    cluster.pods[0]["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "False", "message": message}
    )
    look = kubernetes_api.look(api, CONTENT)
    assert (look.failed, look.message) == (False, f"no node takes it: {message}")
    with pytest.raises(DeployError, match="not ready in 0 s; last seen: no node takes it"):
        wait("tuned", lambda: look, seconds=0, every=0.01)


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (409, 'conflict with "kubectl"', "Another manager owns these fields"),
        (403, "pipeline-runner cannot patch", "with 403: pipeline-runner cannot patch"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_reason(
    cluster: Cluster, api: client.ApiClient, code: int, message: str, says: str
) -> None:
    cluster.refuse = (code, message)
    with pytest.raises(DeployError, match=says):
        kubernetes_api.apply(api, CONTENT)


def test_an_api_that_is_away_is_named() -> None:
    configuration = client.Configuration(host="http://127.0.0.1:9")
    configuration.retries = False
    with (
        client.ApiClient(configuration) as api,
        pytest.raises(DeployError, match=r"http://127\.0\.0\.1:9 cannot be reached"),
    ):
        kubernetes_api.apply(api, CONTENT)


def test_an_invalid_spec_is_not_waited_for(cluster: Cluster, api: client.ApiClient) -> None:
    kubernetes_api.apply(api, CONTENT)
    cluster.status = {
        "modelStatus": {
            "transitionStatus": "InvalidSpec",
            "lastFailureInfo": {"message": "no runtime finist-vllm"},
        }
    }
    look = kubernetes_api.look(api, CONTENT)
    assert (look.failed, look.message) == (True, "no runtime finist-vllm")


def test_it_deletes_what_is_there_and_minds_nothing_that_is_gone(
    cluster: Cluster, api: client.ApiClient
) -> None:
    kubernetes_api.apply(api, CONTENT)
    kubernetes_api.delete(api, "tuned", "finist")
    assert cluster.applied == []
    kubernetes_api.delete(api, "tuned", "finist")
    assert [method for method, _, _ in cluster.requests] == ["PATCH", "DELETE", "DELETE"]


def test_a_deletion_that_is_refused_says_so(cluster: Cluster, api: client.ApiClient) -> None:
    cluster.refuse = (403, "no right to delete")
    with pytest.raises(DeployError, match="no right to delete"):
        kubernetes_api.delete(api, "tuned", "finist")
