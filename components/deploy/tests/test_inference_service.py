"""The builder: what stands in the object, and that it depends on nothing else."""

import pytest

from components.core.errors import BadInputError, RecipeError
from components.deploy.inference_service import GPU, REVISION, arguments, build
from components.deploy.settings import (
    PROFILES,
    DeploySettings,
    ModelServer,
    model_server,
    read_profile,
)

SERVER = ModelServer(
    name="tuned", storage_uri="s3://finist/models/finist/0a1b/", served_model_name="finist"
)


def test_four_gpus_are_one_server_without_a_surge_pod() -> None:
    content = build(SERVER, read_profile("a100x4"))
    predictor = content["spec"]["predictor"]
    resources = predictor["model"]["resources"]
    assert "--tensor-parallel-size=4" in predictor["model"]["args"]
    assert resources["limits"][GPU] == resources["requests"][GPU] == "4"
    assert predictor["deploymentStrategy"] == {"type": "Recreate"}
    assert predictor["timeout"] == 120
    assert content["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


def test_the_laptop_needs_no_gpu_and_computes_in_float32() -> None:
    model = build(SERVER, read_profile("laptop"))["spec"]["predictor"]["model"]
    assert GPU not in model["resources"]["limits"]
    assert model["args"] == [
        "--served-model-name=finist",
        "--max-model-len=1024",
        "--dtype=float32",
    ]
    assert model["storageUri"] == SERVER.storage_uri


def test_shared_memory_is_mounted_where_the_workers_look() -> None:
    predictor = build(SERVER, DeploySettings(shared_memory="3Gi"))["spec"]["predictor"]
    (volume,) = predictor["volumes"]
    (mount,) = predictor["model"]["volumeMounts"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "3Gi"}
    assert mount == {"name": volume["name"], "mountPath": "/dev/shm"}


def test_nothing_is_unset_and_the_same_input_gives_the_same_object() -> None:
    first, second = (build(SERVER, DeploySettings()) for _ in range(2))
    assert first == second
    assert "None" not in str(first)
    assert "priorityClassName" not in first["spec"]["predictor"]


@pytest.mark.parametrize(
    "changed",
    [
        SERVER.model_copy(update={"storage_uri": "s3://finist/models/finist/ffff/"}),
        SERVER.model_copy(update={"served_model_name": "other"}),
    ],
)
def test_other_weights_or_flags_give_another_revision(changed: ModelServer) -> None:
    def revision(server: ModelServer) -> str:
        predictor = build(server, DeploySettings())["spec"]["predictor"]
        return str(predictor["annotations"][REVISION])

    assert revision(changed) != revision(SERVER)


def test_one_gpu_needs_no_tensor_parallelism() -> None:
    assert not any("tensor" in flag for flag in arguments(SERVER, DeploySettings(gpus=1)))


@pytest.mark.parametrize(
    ("name", "uri", "served", "says"),
    [
        ("Tuned", SERVER.storage_uri, "finist", "name 'Tuned'"),
        ("tuned", "/home/me/model", "finist", "storage_uri '/home/me/model'"),
        ("tuned", SERVER.storage_uri, "--port=1", "served_model_name '--port=1'"),
        ("t" * 60, SERVER.storage_uri, "finist", "name 'ttt"),
    ],
)
def test_a_bad_value_is_named(name: str, uri: str, served: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        model_server(name, uri, served)


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_can_be_read(path: str) -> None:
    assert read_profile(str(path)).timeout_seconds == 120


def test_an_unknown_profile_names_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"a100x4\.yaml, laptop\.yaml"):
        read_profile("h100x8")
