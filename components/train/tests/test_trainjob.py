from typing import Any

import pytest
import yaml

from components.core.cluster import STORE_KEYS, ClusterSettings
from components.core.errors import BadInputError
from components.prepare.subset import Subset
from components.train.settings import SftSettings
from components.train.trainjob import as_yaml_stream, train_job
from tests.kubernetes_schemas import check

RECIPE = SftSettings.model_validate(
    {
        "base_model": "llama-3.1-405b",
        "hardware": {"nodes": 2, "processes": 8, "deepspeed": "zero3"},
        "packing": True,
    }
)
FILES = {name: f"/workspace/{name}" for name in ("base", "train.jsonl", "test.jsonl", "out")}
OPTIONS = {name.removesuffix(".jsonl"): path for name, path in FILES.items()}


@pytest.fixture
def objects() -> list[dict[str, Any]]:
    stream = as_yaml_stream(train_job("sft", RECIPE, OPTIONS, subset=Subset(rows=100)))
    return list(yaml.safe_load_all(stream))


def test_what_is_printed_has_no_anchors() -> None:
    assert "&id" not in as_yaml_stream(train_job("sft", RECIPE, OPTIONS))


def test_the_objects_fit_their_schemas(objects: list[dict[str, Any]]) -> None:
    assert [one["kind"] for one in objects] == ["ConfigMap", "TrainJob"]
    for one in objects:
        check(one)


def test_the_job_reads_the_very_recipe_and_the_shared_volume(objects: list[dict[str, Any]]) -> None:
    recipe, job = objects
    assert SftSettings.model_validate(yaml.safe_load(recipe["data"]["recipe.yaml"])) == RECIPE
    assert yaml.safe_load(recipe["data"]["subset.yaml"])["rows"] == 100
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["torchrun", "--module", "components.train", "sft"]
    assert trainer["args"] == [
        "--recipe=/etc/finist/recipe.yaml",
        "--subset=/etc/finist/subset.yaml",
        *(f"--{option}={path}" for option, path in OPTIONS.items()),
    ]


def test_nodes_processes_and_gpus_are_those_of_the_recipe(objects: list[dict[str, Any]]) -> None:
    trainer = objects[1]["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 8)
    resources = trainer["resourcesPerNode"]
    assert resources["limits"]["nvidia.com/gpu"] == "8"
    assert resources["limits"] == resources["requests"]


def test_the_pods_are_placed_as_the_pipelines_tasks_are(objects: list[dict[str, Any]]) -> None:
    settings, spec = ClusterSettings(), objects[1]["spec"]
    assert "podTemplateOverrides" not in spec, "it was renamed runtimePatches in v2.2"
    (patch,) = spec["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == dict(settings.node_selector)
    assert pod["tolerations"] == [vars(taint) for taint in settings.tolerations]
    assert pod["securityContext"]["runAsNonRoot"] is True
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert "env" not in container, "Trainer refuses it there: spec.trainer.env is the place"


def test_the_pods_get_the_store(objects: list[dict[str, Any]]) -> None:
    variables = {one["name"]: one for one in objects[1]["spec"]["trainer"]["env"]}
    for key in STORE_KEYS:
        assert variables[key]["valueFrom"]["secretKeyRef"] == {"name": "finist-s3", "key": key}


def test_a_path_that_only_one_machine_has_is_refused() -> None:
    with pytest.raises(BadInputError, match="--base out/base: give a path under /workspace"):
        train_job("sft", RECIPE, {**OPTIONS, "base": "out/base"})
