"""What every Dockerfile must be like, and that images, chart and pipeline name the same ones."""

import re
from pathlib import Path

import pytest
import yaml

from components.core import images
from tests.kubernetes_tools import CHART, REPOSITORY, scenarios, template

IMAGES = REPOSITORY / "images"
BAKE = IMAGES / "docker-bake.hcl"
OWN_DOCKERFILE = {"serve"}
"""Sets without our code; `images/Dockerfile` builds the others."""
UPSTREAM = {"vllm-openai"}
"""Images of others, mirrored into the registry."""
NO_IMAGE = {"dev", "deepeval"}
"""Sets of a developer's machine."""
LABELS = ("title", "description", "licenses", "version", "revision")


@pytest.fixture(params=images.SETS)
def dependency_set(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def dockerfile(dependency_set: str) -> Path:
    folder = IMAGES / dependency_set if dependency_set in OWN_DOCKERFILE else IMAGES
    return folder / "Dockerfile"


Instruction = tuple[str, str]


def instructions(dependency_set: str) -> list[Instruction]:
    """Keyword and argument of each instruction that the set's build goes through, in order.

    Comments are dropped, continued lines joined, `SET` filled in, stages that it does not name left
    out.
    """
    path = dockerfile(dependency_set)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).replace("${SET}", dependency_set)
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return in_use([(keyword, argument.strip()) for keyword, _, argument in pairs])


def in_use(found: list[Instruction]) -> list[Instruction]:
    """The arguments before the first stage, and the stages that the last one comes from."""
    starts = [index for index, (keyword, _) in enumerate(found) if keyword == "FROM"]
    stages = [found[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    kept: list[Instruction] = []
    wanted: set[str] = set()
    for stage in reversed(stages):
        origin, _, name = stage[0][1].partition(" AS ")
        if not kept or name in wanted:
            kept = stage + kept
            wanted |= {origin, *(copied for _, copied in map(copied_from, stage) if copied)}
    return found[: starts[0]] + kept


def copied_from(instruction: Instruction) -> Instruction:
    """The keyword, and the stage that a COPY takes files from; empty for the build's context."""
    keyword, argument = instruction
    named = re.match(r"--from=(\S+)", argument) if keyword == "COPY" else None
    return keyword, named[1] if named else ""


def test_there_is_a_dockerfile_for_every_set_and_none_beside() -> None:
    assert {dockerfile(name) for name in images.SETS} == set(IMAGES.rglob("Dockerfile"))


def test_the_base_image_must_be_given(dependency_set: str) -> None:
    found = instructions(dependency_set)
    assert found[0] == ("ARG", "BASE_IMAGE")
    stages = [argument.partition(" AS ") for keyword, argument in found if keyword == "FROM"]
    ours = {name for _, _, name in stages if name}
    assert {origin for origin, _, _ in stages} <= {"${BASE_IMAGE}", *ours}
    assert stages[-1] == ("${BASE_IMAGE}", "", "")


def test_a_set_that_there_is_not_has_no_stage_to_build_from() -> None:
    stages = [argument for keyword, argument in instructions("dev") if keyword == "FROM"]
    assert "packages-dev AS packages" in stages
    assert not [one for one in stages if one.endswith(" AS packages-dev")]


def test_it_does_not_run_as_root(dependency_set: str) -> None:
    found = instructions(dependency_set)
    assert [argument for keyword, argument in found if keyword == "USER"] == ["10001:10001"]
    after = [keyword for keyword, _ in found]
    assert "RUN" not in after[after.index("USER") :]


def test_it_installs_its_own_lock_with_hashes(dependency_set: str) -> None:
    found = instructions(dependency_set)
    assert ("COPY", f"images/{dependency_set}/requirements.txt ./") in found
    installs = [argument for _, argument in found if "pip install" in argument]
    assert all("--no-deps --require-hashes" in one or "torch.in" in one for one in installs)
    assert "--require-hashes --requirement requirements.txt" in installs[0]


def test_only_sets_that_need_it_install_torch() -> None:
    with_torch = {name for name in images.SETS if "torch.in" in str(instructions(name))}
    assert with_torch == {"train", "quantize", "serve"}


def test_every_lock_is_in_its_image() -> None:
    locks = [path.relative_to(REPOSITORY) for path in IMAGES.glob("*/requirements*.txt")]
    assert [
        str(lock)
        for lock in locks
        if lock.parent.name not in NO_IMAGE and str(lock) not in str(instructions(lock.parent.name))
    ] == []


def test_nothing_is_copied_that_is_not_there(dependency_set: str) -> None:
    for keyword, argument in instructions(dependency_set):
        if keyword == "COPY" and "--from" not in argument:
            for source in argument.split()[:-1]:
                assert (REPOSITORY / source).exists(), source


def test_the_result_holds_neither_pip_nor_a_build_stage(dependency_set: str) -> None:
    found = instructions(dependency_set)
    last = max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM")
    assert "RUN" not in [keyword for keyword, _ in found[last:]]
    assert ("RUN", "pip uninstall --yes pip") in found[:last]


def test_it_is_labelled(dependency_set: str) -> None:
    found = instructions(dependency_set)
    (labels,) = [argument for keyword, argument in found if keyword == "LABEL"]
    assert all(f"org.opencontainers.image.{label}=" in labels for label in LABELS)
    assert f'title="finist-{dependency_set}"' in labels


@pytest.mark.parametrize(
    "path", [*map(dockerfile, ("base", "serve")), BAKE], ids=["Dockerfile", "serve", "bake"]
)
def test_no_registry_no_digest_and_no_latest_is_written_down(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"@sha256:[0-9a-f]{8}", text)
    assert ":latest" not in text
    hosts = re.findall(r"\b[\w-]+(?:\.[\w-]+)*\.(?:io|com|org|net|ru)/", text)
    assert hosts == []


def test_the_secret_index_stays_out_of_the_layers(dependency_set: str) -> None:
    for _, argument in instructions(dependency_set):
        if "pip install" in argument:
            assert argument.startswith("--mount=type=secret,id=pip.conf,target=/etc/pip.conf ")
    assert "index-url" not in dockerfile(dependency_set).read_text()


def test_bake_builds_every_set_under_the_pipelines_names() -> None:
    text = BAKE.read_text()
    listed = re.search(r"matrix\s+= \{ set = \[(.*)\] \}", text)
    assert listed
    assert re.findall(r'"(\w+)"', listed[1]) == list(images.SETS)
    assert 'set == "serve" ? "images/serve/Dockerfile" : "images/Dockerfile"' in text
    assert re.search(r'SET\s+= set == "serve" \? null : set', text)
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
