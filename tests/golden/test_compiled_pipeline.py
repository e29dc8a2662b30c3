"""The compiled build pipeline, held against the copy that a person has read.

To accept a change: `finist compile tests/golden/build.yaml`, then read the diff.
"""

from pathlib import Path

import yaml
from kfp import components

from pipelines.build.compile import write_package

GOLDEN = Path(__file__).parent / "build.yaml"
RECIPE = Path("smollm2-135m-laptop")


def test_the_compiled_pipeline_is_the_golden_one(tmp_path: Path) -> None:
    package = tmp_path / "build.yaml"
    write_package(RECIPE, package)
    found = list(yaml.safe_load_all(package.read_text()))
    assert found == list(yaml.safe_load_all(GOLDEN.read_text()))


def test_the_sdk_loads_it_back() -> None:
    loaded = components.load_component_from_file(str(GOLDEN))
    assert set(loaded.pipeline_spec.root.dag.tasks) == {
        "answer",
        "answer-2",
        "base-model",
        "deploy",
        "leaderboard",
        "merge",
        "prepare",
        "publish",
        "sft",
        "watch",
    }


def test_nothing_is_installed_at_run_time() -> None:
    spec = next(yaml.safe_load_all(GOLDEN.read_text()))
    for name, executor in spec["deploymentSpec"]["executors"].items():
        line = " ".join(executor["container"]["command"])
        assert "pip install" not in line, name
