"""Checks an object against the schema of its kind: built-in kinds and CRDs alike.

A CRD's CEL rules are not evaluated: that takes an API server.
"""

from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.kubernetes_tools import REPOSITORY, Object

CRDS = REPOSITORY.parent / "shared" / "crds"
"""CRD files of KServe and the Gateway API; not part of the repository."""
KUBERNETES = "1.37"
BUILT_IN = ("apps", "autoscaling", "batch", "policy")
"""Groups of built-in kinds without a dot in their name; the others end in .k8s.io."""


def check(found: Object) -> None:
    """Raises when an object does not fit its kind's schema, a misspelt key included.

    Skips the test, by name of the kind, where the CRDs are not at hand.
    """
    group, _, version = found["apiVersion"].rpartition("/")
    if (
        not group
        or group in BUILT_IN
        or group.startswith(("rbac.", "scheduling.", "networking.k8s"))
    ):
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
        return
    schema = _crd_schemas().get((group, found["kind"], version))
    if schema is None and not CRDS.is_dir():
        pytest.skip(f"no CRD of {found['kind']} ({group}): there is no folder {CRDS}")
    assert schema is not None, f"no schema of {found['apiVersion']} {found['kind']} in {CRDS}"
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(found)
    ]
    assert not errors, f"{found['kind']} {found['metadata']['name']}: {'; '.join(errors)}"


@cache
def _crd_schemas() -> dict[tuple[str, str, str], Any]:
    schemas = {}
    for path in Path(CRDS).glob("*.yaml"):
        spec = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            key = (spec["group"], spec["names"]["kind"], version["name"])
            schemas[key] = _closed(schema)
    return schemas


def _closed(schema: Any) -> Any:
    """The schema with unknown keys refused, as the API server does with strict field validation."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    fields = schema.get("properties")
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(fields, dict) and not keeps:
        closed["additionalProperties"] = False
    return closed
