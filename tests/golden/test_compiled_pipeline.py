"""The compiled build pipeline, held against the copy that a person has read.

To accept a change: `finist compile tests/golden/build.yaml`, then read the diff.
"""

from pathlib import Path

import pytest
import yaml
from kfp import components

from pipelines.build.compile import write_package
from pipelines.build.recipe import RECIPES, read_recipe

GOLDEN = Path(__file__).parent / "build.yaml"
RECIPE = Path("smollm2-135m-laptop")


def test_the_compiled_pipeline_is_the_golden_one(tmp_path: Path) -> None:
    package = tmp_path / "build.yaml"
    write_package(RECIPE, package)
    found = list(yaml.safe_load_all(package.read_text()))
    assert found == list(yaml.safe_load_all(GOLDEN.read_text()))


def tasks(package: Path) -> set[str]:
    """The steps of the build pipeline, which stands inside an exit handler."""
    loaded = components.load_component_from_file(str(package))
    assert set(loaded.pipeline_spec.root.dag.tasks) == {"clean-up", "exit-handler-1"}
    return set(loaded.pipeline_spec.components["comp-finist-build"].dag.tasks)


def test_the_sdk_loads_it_back() -> None:
    assert tasks(GOLDEN) == {
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


@pytest.mark.parametrize(
    "recipe",
    sorted(set(RECIPES.glob("*.yaml")) - set(RECIPES.glob("gates*"))),
    ids=lambda path: path.stem,
)
def test_every_recipe_compiles_with_the_stages_that_it_has(recipe: Path, tmp_path: Path) -> None:
    package = tmp_path / "build.yaml"
    write_package(recipe, package)
    stages = read_recipe(recipe).stages()
    found = tasks(package)
    assert {"orpo", "preference-pairs"} <= found or not stages.orpo
    assert "distill" in found or not stages.distill
    # One pool holds one model: every one but the candidate is removed after it was asked.
    asked = {task for task in found if task.startswith("deploy")}
    removed = {task for task in found if task.startswith("remove")}
    assert len(removed) == len(asked) - 1 == len(stages.temporary)
    assert ("judge" in found) == (stages.judge != "none")
    assert ("benchmark" in found) == stages.benchmarks


def test_nothing_is_published_before_the_gate() -> None:
    spec = next(yaml.safe_load_all(GOLDEN.read_text()))
    steps = spec["components"]["comp-finist-build"]["dag"]["tasks"]
    assert "gate" in steps["publish"]["dependentTasks"]
    assert steps["gate"]["dependentTasks"] == ["leaderboard"]


def test_nothing_is_installed_at_run_time() -> None:
    spec = next(yaml.safe_load_all(GOLDEN.read_text()))
    for name, executor in spec["deploymentSpec"]["executors"].items():
        line = " ".join(executor["container"]["command"])
        assert "pip install" not in line, name
