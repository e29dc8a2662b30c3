"""What every rendered pod, secret and right must be like."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes_tools import OVERLAYS, Object, kustomize, scenarios, template

RENDERS = {
    **{path.stem: (template, f"--values={path}") for path in scenarios()},
    **{path.name: (kustomize, path) for path in sorted(OVERLAYS.iterdir())},
}


@pytest.fixture(scope="module", params=RENDERS)
def rendered(request: pytest.FixtureRequest) -> list[Object]:
    render, argument = RENDERS[request.param]
    return render(argument)  # type: ignore[operator, no-any-return]


def pods(rendered: list[Object]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in rendered:
        if one["kind"] == "Deployment":
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        if one["kind"] == "ServingRuntime":
            yield one["metadata"]["name"], one["spec"]


def containers(rendered: list[Object]) -> Iterator[dict[str, Any]]:
    for _, pod in pods(rendered):
        yield from pod["containers"]


def test_containers_may_do_nothing_but_compute(rendered: list[Object]) -> None:
    for container in containers(rendered):
        security = container["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_containers_have_limits_and_probes(rendered: list[Object]) -> None:
    for container in containers(rendered):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][kind])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"]


def test_images_are_pinned(rendered: list[Object]) -> None:
    for container in containers(rendered):
        name, _, digest = container["image"].partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        assert digest.startswith("sha256:") or tag, container["image"]
        assert tag != "latest"


def test_no_pod_can_talk_to_the_kubernetes_api(rendered: list[Object]) -> None:
    for one in rendered:
        if one["kind"] == "ServiceAccount":
            assert one["automountServiceAccountToken"] is False
        if one["kind"] == "Deployment":
            assert one["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_no_secret_value_is_rendered(rendered: list[Object]) -> None:
    assert not [one for one in rendered if one["kind"] == "Secret"]
    for container in containers(rendered):
        for variable in container["env"]:
            secret = any(
                word in variable["name"] for word in ("CREDENTIAL", "SECRET", "TOKEN", "PASS")
            )
            assert not (secret and "value" in variable), variable["name"]


def test_no_right_is_a_wildcard_or_reads_secrets(rendered: list[Object]) -> None:
    for one in rendered:
        assert one["kind"] not in ("ClusterRole", "ClusterRoleBinding")
        for rule in one.get("rules", ()):
            said = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in said
            assert "secrets" not in said
