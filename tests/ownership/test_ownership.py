"""Who owns which object: each is written in one place only."""

from collections import Counter
from pathlib import Path

import pytest

from components.deploy.inference_service import build
from components.deploy.settings import ModelServer, read_profile
from tests.kubernetes_tools import OVERLAYS, Object, kustomize, objects, template

SERVER = ModelServer(name="tuned", storage_uri="s3://finist/models/f/0a/", served_model_name="f")
CHARTS = {"Deployment", "HTTPRoute", "Service", "ServingRuntime"}
"""Releasable units: the chart's."""
ENVIRONMENT = {"Namespace", "PriorityClass", "ResourceQuota", "Role", "RoleBinding"}
"""The environment's: manifests'."""
Key = tuple[str, str, str]


def key(one: Object) -> Key:
    metadata = one["metadata"]
    return one["apiVersion"], one["kind"], metadata["name"]


def written(folder: Path) -> list[Object]:
    """Objects that stand in a folder's files themselves, not those of the chart."""
    paths = [path for path in folder.rglob("*.yaml") if path.name != "values.yaml"]
    found = [one for path in paths for one in objects(path.read_text())]
    return [one for one in found if one["kind"] != "Kustomization"]


def test_no_object_is_written_in_the_chart_and_in_the_manifests() -> None:
    manifests = {key(one) for one in written(OVERLAYS.parent)}
    assert not manifests & {key(one) for one in template()}


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def test_no_overlay_renders_an_object_twice(overlay: Path) -> None:
    counted = Counter(key(one) for one in kustomize(overlay))
    assert [one for one, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def test_an_overlay_is_the_chart_and_the_manifests_and_nothing_else(overlay: Path) -> None:
    own = written(OVERLAYS.parent / "base") + written(overlay)
    assert {key(one) for one in kustomize(overlay)} == {key(one) for one in own + template()}


def test_chart_and_manifests_keep_to_their_kinds() -> None:
    assert not {one["kind"] for one in template()} & ENVIRONMENT
    assert not {one["kind"] for one in written(OVERLAYS.parent)} & CHARTS


def test_the_inference_service_is_the_deploy_steps_alone() -> None:
    service = key(build(SERVER, read_profile("a100x4")))
    everything = [*template(), *written(OVERLAYS.parent)]
    assert service[1] not in {one["kind"] for one in everything}


def test_placement_stands_in_the_chart_not_in_the_inference_service() -> None:
    predictor = build(SERVER, read_profile("a100x4"))["spec"]["predictor"]
    assert not {"nodeSelector", "tolerations", "affinity"} & set(predictor)
    runtime = next(one for one in template() if one["kind"] == "ServingRuntime")
    mounts = runtime["spec"]["containers"][0]["volumeMounts"]
    assert "/dev/shm" not in {mount["mountPath"] for mount in mounts}
