"""pipelines/cluster.py: a pipeline is compiled with it, and the platform spec read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from components.core.cluster import STORE_KEYS, WORKSPACE, ClusterSettings
from components.core.images import image
from components.deploy.settings import read_profile
from pipelines.cluster import on_gpus, place
from tests.kubernetes_tools import REPOSITORY, kustomize, overlay_values


@dsl.component(base_image=image("base"), install_kfp_package=False)  # type: ignore[untyped-decorator]
def plain() -> str:
    return "x"


@dsl.component(base_image=image("train"), install_kfp_package=False)  # type: ignore[untyped-decorator]
def trained(text: str) -> str:
    return text


@dsl.component(base_image=image("base"), install_kfp_package=False)  # type: ignore[untyped-decorator]
def served(text: str) -> str:
    return text


@dsl.component(base_image=image("train"), install_kfp_package=False)  # type: ignore[untyped-decorator]
def fetched() -> str:
    return "x"


@dsl.pipeline(name="placed")  # type: ignore[untyped-decorator]
def placed() -> None:
    cluster = place()
    first = plain()
    second = trained(text=first.output)
    third = served(text=second.output)
    fourth = fetched()
    for task in (first, second, third, fourth):
        cluster.every(task)
    cluster.store(third)
    cluster.data(first)
    cluster.train(second)
    cluster.server(third)
    cluster.fetch(fourth)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Any]]:
    path = tmp_path_factory.mktemp("package") / "placed.yaml"
    compiler.Compiler().compile(placed, str(path))
    spec, platforms = yaml.safe_load_all(path.read_text())
    platform = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    yield spec, {name.removeprefix("exec-"): value for name, value in platform.items()}


def container(package: tuple[dict[str, Any], Any], name: str) -> dict[str, Any]:
    executor: dict[str, Any] = package[0]["deploymentSpec"]["executors"][f"exec-{name}"]
    return dict(executor["container"])


def environment(package: Any, name: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(package, name)["env"]}


def test_only_the_task_that_brings_a_base_model_may_ask_a_hub(package: Any) -> None:
    assert environment(package, "fetched")["HF_HUB_OFFLINE"] == "0"
    assert {environment(package, name)["HF_HUB_OFFLINE"] for name in ("plain", "served")} == {"1"}


def test_training_gets_the_pools_gpus_nodes_and_shared_memory(package: Any) -> None:
    resources = container(package, "trained")["resources"]
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "4"
    assert resources["resourceMemoryLimit"] == "256Gi"
    platform = package[1]["trained"]
    assert platform["nodeSelector"]["labels"] == dict(ClusterSettings().node_selector)
    (memory,) = platform["emptyDirMounts"]
    assert memory["mountPath"] == "/dev/shm"
    assert (memory["medium"], memory["sizeLimit"]) == ("Memory", "16Gi")
    (toleration,) = platform["tolerations"]
    assert toleration["key"] == "nvidia.com/gpu"
    assert platform["activeDeadlineSeconds"] == str(48 * 3600)


def test_only_the_task_that_speaks_to_s3_gets_its_secret(package: Any) -> None:
    (secret,) = package[1]["served"]["secretAsEnv"]
    assert secret["secretName"] == "finist-s3"
    assert {pair["envVar"] for pair in secret["keyToEnv"]} == set(STORE_KEYS)
    assert "secretAsEnv" not in package[1]["trained"]


def test_the_data_stage_goes_on_where_a_lost_pod_stopped(package: Any) -> None:
    settings = ClusterSettings()
    (secret,) = package[1]["plain"]["secretAsEnv"]
    assert (secret["secretName"], secret["optional"]) == (settings.data_secret, True)
    (volume,) = package[1]["plain"]["pvcMount"]
    assert volume["mountPath"] == WORKSPACE
    assert environment(package, "plain")["FINIST_HOME"] == WORKSPACE
    claims = [
        one["metadata"]["name"]
        for one in kustomize(REPOSITORY / "manifests" / "overlays" / "a100x4")
        if one["kind"] == "PersistentVolumeClaim"
    ]
    assert claims == [settings.workspace_claim]


@pytest.mark.parametrize("name", ["plain", "trained", "served"])
def test_every_task_has_limits_retries_and_a_plain_user(package: Any, name: str) -> None:
    resources = container(package, name)["resources"]
    assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"]
    assert package[1][name]["securityContext"]["runAsNonRoot"] is True
    retry = package[0]["root"]["dag"]["tasks"][name]["retryPolicy"]
    assert (retry["maxRetryCount"], retry["backoffFactor"]) == (2, 2.0)


def test_a_server_is_started_each_time_and_results_are_cached(package: Any) -> None:
    tasks = package[0]["root"]["dag"]["tasks"]
    assert tasks["plain"]["cachingOptions"].get("enableCache") is True
    assert not tasks["served"]["cachingOptions"].get("enableCache")


def test_more_gpus_than_the_pool_has_are_refused() -> None:
    with pytest.raises(ValueError, match="5 GPUs for a task; the pool has 4"):
        on_gpus(None, 5, ClusterSettings())


def test_training_and_serving_name_the_same_nodes() -> None:
    vllm, settings = overlay_values("a100x4")["vllm"], ClusterSettings()
    assert vllm["nodeSelector"] == dict(settings.node_selector)
    assert vllm["tolerations"] == [vars(taint) for taint in settings.tolerations]


def test_the_quota_the_pool_and_the_profile_agree_on_the_gpus() -> None:
    objects = kustomize(REPOSITORY / "manifests" / "overlays" / "a100x4")
    quota = next(one for one in objects if one["metadata"]["name"] == "finist-gpus")
    hard = int(quota["spec"]["hard"]["requests.nvidia.com/gpu"])
    assert hard == ClusterSettings().gpus == read_profile("a100x4").gpus


@pytest.mark.parametrize("profile", ["laptop", "a100x4"])
def test_the_deploy_step_outlives_its_own_wait(profile: str) -> None:
    assert ClusterSettings().server_seconds > read_profile(profile).ready_seconds


def test_a_package_is_read_back_by_the_sdk(tmp_path: Path) -> None:
    from kfp import components

    path = tmp_path / "placed.yaml"
    compiler.Compiler().compile(placed, str(path))
    assert components.load_component_from_file(str(path)).name == "placed"
