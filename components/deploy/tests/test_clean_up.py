"""What an exit handler leaves: nothing but a candidate that came through."""

from pathlib import Path

import pytest
from kfp import dsl

from components.core.errors import DeployError
from components.deploy import directory
from components.deploy.apply import DIRECTORY_VARIABLE, remove_models
from components.deploy.component import clean_up
from components.deploy.inference_service import build
from components.deploy.settings import model_server, read_profile

PROFILE = read_profile("laptop")
NAMES = ("llama-3-1-405b", "judge", "tuned")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    for name in NAMES:
        server = model_server(name, f"s3://finist/candidates/{name}/0a", name)
        directory.write(build(server, PROFILE), tmp_path)
    return tmp_path


def status(state: str) -> dsl.PipelineTaskFinalStatus:
    return dsl.PipelineTaskFinalStatus(
        state=state,
        pipeline_job_resource_name="",
        pipeline_task_name="",
        error_code=None,
        error_message=None,
    )


@pytest.mark.parametrize(("state", "left"), [("SUCCEEDED", {"tuned"}), ("FAILED", set())])
def test_only_a_candidate_that_came_through_stays(folder: Path, state: str, left: set[str]) -> None:
    temporary = ["llama-3-1-405b", "judge", "never-started"]
    clean_up.python_func(temporary, "tuned", "laptop", status(state))
    assert {path.stem for path in folder.glob("*.yaml")} == left


def test_one_that_cannot_be_removed_does_not_keep_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = directory.remove

    def refuse(name: str, where: Path) -> None:
        if name == "judge":
            raise DeployError(f"{name} cannot be removed.")
        remove(name, where)

    monkeypatch.setattr(directory, "remove", refuse)
    with pytest.raises(DeployError, match="judge cannot be removed"):
        remove_models(NAMES, PROFILE)
    assert {path.stem for path in folder.glob("*.yaml")} == {"judge"}
