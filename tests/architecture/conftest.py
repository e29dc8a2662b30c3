"""What the architecture tests look at: the files that git tracks or would track."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the repository that is not ignored, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = (Path(name) for name in listed.stdout.split("\0") if name)
    return sorted(path for path in names if (ROOT / path).is_file())


@pytest.fixture(scope="session")
def trees(files: list[Path]) -> dict[Path, ast.Module]:
    """Syntax trees of every Python file."""
    return {
        path: ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for path in files
        if path.suffix == ".py"
    }


@pytest.fixture(scope="session")
def steps() -> list[Path]:
    """Component folders: every package under components/ but the shared library."""
    found = sorted(path.parent for path in (ROOT / "components").glob("*/__init__.py"))
    return [path for path in found if path.name != "core"]
