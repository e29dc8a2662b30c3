"""What every Dockerfile must be like, and that images, chart and pipeline name the same ones."""

import re
from pathlib import Path

import pytest
import yaml

from components.core import images
from tests.kubernetes_tools import CHART, REPOSITORY, scenarios, template

IMAGES = REPOSITORY / "images"
BAKE = IMAGES / "docker-bake.hcl"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
UPSTREAM = {"vllm-openai"}
"""Images of others, mirrored into the registry."""
LABELS = ("title", "description", "licenses", "version", "revision")


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.parent.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def instructions(path: Path) -> list[tuple[str, str]]:
    """Keyword and argument of each instruction; comments are dropped, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(keyword, argument.strip()) for keyword, _, argument in pairs]


def test_there_is_a_dockerfile_for_every_set() -> None:
    assert {path.parent.name for path in DOCKERFILES} == set(images.SETS)


def test_the_base_image_must_be_given(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    assert found[0] == ("ARG", "BASE_IMAGE")
    stages = [argument for keyword, argument in found if keyword == "FROM"]
    assert stages == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_it_does_not_run_as_root(dockerfile: Path) -> None:
    users = [argument for keyword, argument in instructions(dockerfile) if keyword == "USER"]
    assert users == ["10001:10001"]
    after = [keyword for keyword, _ in instructions(dockerfile)]
    assert "RUN" not in after[after.index("USER") :]


def test_it_installs_its_own_lock_with_hashes(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    lock = f"images/{dockerfile.parent.name}/requirements.txt"
    assert ("COPY", f"{lock} ./") in found
    installs = [argument for _, argument in found if "pip install" in argument]
    assert all("--no-deps --require-hashes" in one or "torch.in" in one for one in installs)
    assert "--require-hashes --requirement requirements.txt" in installs[0]


def test_every_lock_is_in_a_dockerfile() -> None:
    text = "".join(path.read_text() for path in DOCKERFILES)
    locks = [path.relative_to(REPOSITORY) for path in IMAGES.glob("*/requirements*.txt")]
    assert [
        str(lock) for lock in locks if lock.parent.name != "dev" and str(lock) not in text
    ] == []


def test_nothing_is_copied_that_is_not_there(dockerfile: Path) -> None:
    for keyword, argument in instructions(dockerfile):
        if keyword == "COPY" and "--from" not in argument:
            for source in argument.split()[:-1]:
                assert (REPOSITORY / source).exists(), source


def test_the_result_holds_neither_pip_nor_a_build_stage(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    last = max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM")
    assert "RUN" not in [keyword for keyword, _ in found[last:]]
    assert ("RUN", "pip uninstall --yes pip") in found[:last]


def test_it_is_labelled(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert all(f"org.opencontainers.image.{label}=" in text for label in LABELS)


@pytest.mark.parametrize(
    "path", [*DOCKERFILES, BAKE], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_registry_no_digest_and_no_latest_is_written_down(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"@sha256:[0-9a-f]{8}", text)
    assert ":latest" not in text
    hosts = re.findall(r"\b[\w-]+(?:\.[\w-]+)*\.(?:io|com|org|net|ru)/", text)
    assert hosts == []


def test_the_secret_index_stays_out_of_the_layers(dockerfile: Path) -> None:
    for _, argument in instructions(dockerfile):
        if "pip install" in argument:
            assert argument.startswith("--mount=type=secret,id=pip.conf,target=/etc/pip.conf ")
    assert "index-url" not in dockerfile.read_text()


def test_bake_builds_every_set_under_the_pipelines_names() -> None:
    text = BAKE.read_text()
    listed = re.search(r"matrix\s+= \{ set = \[(.*)\] \}", text)
    assert listed
    assert re.findall(r'"(\w+)"', listed[1]) == list(images.SETS)
    assert f'default     = "{images.REGISTRY}"' in text
    assert f'default = "{images.TAG}"' in text


def test_the_chart_runs_the_same_images() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["appVersion"] == images.TAG
    assert values["image"]["registry"] == images.REGISTRY
    deployment = next(one for one in template() if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == images.image("app")


def test_the_chart_names_no_set_that_is_not_built() -> None:
    for scenario in scenarios():
        for one in template(f"--values={scenario}"):
            pod = (
                one["spec"]["template"]["spec"]
                if one["kind"] == "Deployment"
                else one.get("spec", {})
            )
            for container in pod.get("containers", ()):
                name = re.split("[:@]", container["image"].rpartition("/")[2])[0]
                assert name in {*images.SETS, *UPSTREAM}
