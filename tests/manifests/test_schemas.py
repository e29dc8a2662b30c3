"""Every object that we render fits its kind's schema, in every scenario and overlay."""

from pathlib import Path

import kubernetes_validate
import pytest

from components.deploy.inference_service import build
from components.deploy.settings import PROFILES, ModelServer, read_profile
from tests.kubernetes_schemas import check
from tests.kubernetes_tools import (
    OVERLAYS,
    Object,
    kustomize,
    objects,
    run_helm,
    scenarios,
    template,
)

KINDS = ["Deployment", "HTTPRoute", "Service", "ServiceAccount", "ServingRuntime"]
SERVER = ModelServer(name="tuned", storage_uri="s3://finist/models/f/0a/", served_model_name="f")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", scenarios(), ids=lambda path: path.stem)
def test_the_chart_renders_valid_objects(scenario: Path, kind: str) -> None:
    rendered = template(f"--values={scenario}")
    assert sorted(one["kind"] for one in rendered) == KINDS
    check(next(one for one in rendered if one["kind"] == kind))


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.iterdir()), ids=lambda path: path.name)
def test_an_overlay_builds_valid_objects(overlay: Path, subtests: pytest.Subtests) -> None:
    for one in kustomize(overlay):
        with subtests.test(f"{one['kind']} {one['metadata']['name']}"):
            check(one)


@pytest.mark.parametrize("profile", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_deploy_step_builds_a_valid_inference_service(profile: Path) -> None:
    check(build(SERVER, read_profile(profile.stem)))


def test_a_misspelt_key_does_not_pass() -> None:
    route = next(one for one in template() if one["kind"] == "HTTPRoute")
    route["spec"]["rules"][0]["timeout"] = "120s"
    with pytest.raises(AssertionError, match="'timeout' was unexpected"):
        check(route)
    service = next(one for one in template() if one["kind"] == "Service")
    service["spec"]["selectr"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check(service)


def test_helm_lint_is_content() -> None:
    for scenario in scenarios():
        done = run_helm("lint", "--strict", str(scenario.parents[1]), f"--values={scenario}")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("route.cannaryPercent=10", "'cannaryPercent' not allowed"),
        ("route.canaryPercent=101", "maximum: got 101, want 100"),
        ("gigachat.image.tag=latest", "'not' failed"),
        ("vllm.image.digest=sha256:abc", "does not match pattern"),
        ("gigachat.scope=GIGACHAT_API_CROP", "must be one of"),
        ("gigachat.credentials.value=hunter2", "'value' not allowed"),
        ("gigashat.replicas=1", "'gigashat' not allowed"),
        ("gigachat.resources.limits=null", "missing property 'limits'"),
    ],
)
def test_the_values_schema_refuses(setting: str, says: str) -> None:
    chart = str(scenarios()[0].parents[1])
    done = run_helm("template", "finist", chart, "--set", setting)
    assert done.returncode != 0
    assert says in done.stderr


def test_one_object_per_file() -> None:
    chart = scenarios()[0].parents[1]
    for path in (chart / "templates").rglob("*.yaml"):
        assert path.read_text().count("\nkind: ") == 1, path
    for path in OVERLAYS.parent.rglob("*.yaml"):
        if path.name != "values.yaml":
            assert len(objects(path.read_text())) == 1, path


def names(rendered: list[Object]) -> set[tuple[str, str]]:
    return {(one["kind"], one["metadata"]["name"]) for one in rendered}


def test_the_overlay_holds_what_the_deploy_profile_names() -> None:
    rendered = names(kustomize(OVERLAYS / "a100x4"))
    settings = read_profile("a100x4")
    assert ("ServingRuntime", settings.runtime) in rendered
    assert ("ServiceAccount", settings.service_account) in rendered
    assert ("PriorityClass", settings.priority_class) in rendered
    assert ("Namespace", settings.namespace) in rendered
