"""Who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of the packages that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_only_faces_and_pipelines_import_kfp(trees: dict[Path, ast.Module]) -> None:
    offenders = [
        path
        for path, tree in trees.items()
        if path.parts[0] == "components"
        and path.name != "component.py"
        and "tests" not in path.parts
        and "kfp" in imported(tree)
    ]
    assert offenders == []


def test_nobody_but_tests_imports_tests(trees: dict[Path, ast.Module]) -> None:
    offenders = [
        path
        for path, tree in trees.items()
        if path.parts[0] in {"components", "pipelines"}
        and "tests" not in path.parts
        and imported(tree) & {"tests", "pytest", "hypothesis", "conftest"}
    ]
    assert offenders == []


def test_core_and_logic_come_without_kfp_and_torch() -> None:
    """Importing the shared library is quick: it pulls neither kfp nor torch."""
    modules = sorted(
        f"components.core.{path.stem}"
        for path in (ROOT / "components/core").glob("*.py")
        if path.stem != "__init__"
    )
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
        "print(sorted({'kfp', 'torch', 'transformers'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
