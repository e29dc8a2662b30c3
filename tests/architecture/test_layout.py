"""The shape of the house: what each folder has, and what no file may hold."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = ("README.md", "__main__.py", "tests")
PIPELINE_STEPS_ONLY = "component.py"
SERVICES = {"gigachat", "assistant"}  # services, not pipeline steps: they have no KFP face
CATCH_ALL = {"__main__.py", "command_line.py"}
REGISTRY_HOSTS = re.compile(
    r"(pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs\.org)", re.IGNORECASE
)
LATEST = re.compile(r"[\w./-]+:latest\b")


def text(path: Path) -> str:
    """The content of a file; bytes that are no text are skipped."""
    return (ROOT / path).read_text(encoding="utf-8", errors="ignore")


def test_init_files_are_empty(files: list[Path]) -> None:
    assert [path for path in files if path.name == "__init__.py" and text(path).strip()] == []


def test_component_folders_are_complete(steps: list[Path]) -> None:
    missing = [
        f"{step.relative_to(ROOT)}/{name}"
        for step in steps
        for name in (*REQUIRED, *(() if step.name in SERVICES else (PIPELINE_STEPS_ONLY,)))
        if not (step / name).exists()
    ]
    missing += [str(step) for step in steps if not list(step.glob("tests/test_*.py"))]
    assert missing == []


def test_faces_keep_their_annotations(steps: list[Path]) -> None:
    """KFP reads annotations as objects: postponed ones break the component."""
    faces = [path for step in steps for path in step.glob("component.py")]
    assert faces
    assert [path for path in faces if "from __future__ import annotations" in text(path)] == []


def test_faces_install_nothing_at_run_time(steps: list[Path]) -> None:
    for step in steps:
        for face in step.glob("component.py"):
            content = text(face)
            assert content.count("@dsl.component(") == content.count("install_kfp_package=False")
            assert "packages_to_install" not in content


def test_faces_hold_no_logic(steps: list[Path]) -> None:
    """A face converts and calls (and logs metrics one by one): nothing there needs a test."""
    logic = (ast.If, ast.While, ast.Try, ast.ClassDef, ast.Lambda)
    for step in steps:
        for face in step.glob("component.py"):
            nodes = ast.walk(ast.parse(text(face)))
            found = [f"{face}:{node.lineno}" for node in nodes if isinstance(node, logic)]
            assert found == []


def test_no_catch_all_outside_a_main(trees: dict[Path, ast.Module]) -> None:
    offenders = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        if path.name not in CATCH_ALL and "tests" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and swallows_all(node)
    ]
    assert offenders == []


def swallows_all(handler: ast.ExceptHandler) -> bool:
    """Whether it catches everything; cleaning up and raising the same again is no catching."""
    caught = "BaseException" if handler.type is None else ast.unparse(handler.type)
    last = handler.body[-1]
    return caught in {"Exception", "BaseException"} and not (
        isinstance(last, ast.Raise) and last.exc is None
    )


@pytest.mark.parametrize("pattern", [REGISTRY_HOSTS, LATEST], ids=["registry host", ":latest"])
def test_no_file_names(files: list[Path], pattern: re.Pattern[str]) -> None:
    own = Path(__file__).resolve().relative_to(ROOT)
    offenders = [
        f"{path}: {found.group()}"
        for path in files
        if path != own
        for found in pattern.finditer(text(path))
    ]
    assert offenders == []
