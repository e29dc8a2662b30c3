"""The compiled build pipeline, held against the copy that a person has read.

To accept a change: `finist compile tests/golden/build.yaml`, then read the diff.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from pipelines.build.recipe import RECIPES, read_recipe

GOLDEN = Path(__file__).parent / "build.yaml"
LAPTOP = "smollm2-135m-laptop"
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml") if not path.stem.startswith("gates"))
COMPILE = """
import sys
from pathlib import Path
from pipelines.build.compile import write_package
for name in sys.argv[2:]:
    write_package(Path(name), Path(sys.argv[1], f"{name}.yaml"))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every recipe's package, `<recipe>.yaml`.

    Compiled by another process: kfp looks up the caller's module for each thing that is said of a
    task, which means a walk over all that the tests before this one have imported.
    """
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([sys.executable, "-c", COMPILE, folder, *NAMES], check=True)
    return folder


def documents(package: Path) -> list[Any]:
    """The pipeline's spec and its platform's."""
    return list(yaml.load_all(package.read_text(), Loader=yaml.CSafeLoader))


def test_the_compiled_pipeline_is_the_golden_one(packages: Path) -> None:
    assert documents(packages / f"{LAPTOP}.yaml") == documents(GOLDEN)


def test_the_sdk_loads_it_back() -> None:
    """Its steps are those of the build pipeline, which stands inside an exit handler."""
    loaded = components.load_component_from_file(str(GOLDEN)).pipeline_spec
    assert set(loaded.root.dag.tasks) == {"clean-up", "exit-handler-1"}
    assert set(loaded.components["comp-finist-build"].dag.tasks) == {
        "answer",
        "answer-2",
        "base-model",
        "deploy",
        "gate",
        "leaderboard",
        "merge",
        "preflight",
        "prepare",
        "publish",
        "sft",
        "upload",
        "watch",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_compiles_with_the_stages_that_it_has(packages: Path, name: str) -> None:
    stages = read_recipe(Path(name)).stages()
    spec = documents(packages / f"{name}.yaml")[0]
    assert set(spec["root"]["dag"]["tasks"]) == {"clean-up", "exit-handler-1"}
    found = set(spec["components"]["comp-finist-build"]["dag"]["tasks"])
    assert {"orpo", "preference-pairs"} <= found or not stages.orpo
    assert "distill" in found or not stages.distill
    # One pool holds one model: every one but the candidate is removed after it was asked.
    asked = {task for task in found if task.startswith("deploy")}
    removed = {task for task in found if task.startswith("remove")}
    assert len(removed) == len(asked) - 1 == len(stages.temporary)
    assert ("judge" in found) == (stages.judge != "none")
    assert ("benchmark" in found) == stages.benchmarks


def test_nothing_is_published_before_the_gate() -> None:
    spec = documents(GOLDEN)[0]
    steps = spec["components"]["comp-finist-build"]["dag"]["tasks"]
    assert "gate" in steps["publish"]["dependentTasks"]
    assert steps["gate"]["dependentTasks"] == ["leaderboard"]


def test_nothing_is_installed_at_run_time() -> None:
    spec = documents(GOLDEN)[0]
    for name, executor in spec["deploymentSpec"]["executors"].items():
        line = " ".join(executor["container"]["command"])
        assert "pip install" not in line, name
