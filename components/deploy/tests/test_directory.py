"""Deployment into a folder, with a thread in the supervisor's place."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml

from components.core.errors import DeployError
from components.core.settings import StoreSettings
from components.core.store import put_json
from components.deploy import directory
from components.deploy.apply import DIRECTORY_VARIABLE, deploy_model, remove_model
from components.deploy.component import deploy
from components.deploy.inference_service import build
from components.deploy.served import served_in_directory
from components.deploy.settings import DeploySettings, ModelServer

SERVER = ModelServer(name="tuned", storage_uri="s3://finist/models/f/0a/", served_model_name="f")
URL = "http://127.0.0.1:9/v1"
QUICK = DeploySettings(ready_seconds=20)


@contextmanager
def supervisor(folder: Path, status: dict[str, object]) -> Iterator[None]:
    """Writes the status as soon as the object is there."""
    done = Event()

    def watch() -> None:
        while not done.wait(0.02):
            if (folder / "tuned.yaml").exists():
                (folder / "tuned.status.json").write_text(json.dumps(status))
                return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "services"))
    return tmp_path / "services"


def test_it_returns_the_url_that_the_supervisor_wrote(folder: Path) -> None:
    with supervisor(folder, {"ready": True, "url": URL, "message": ""}):
        assert deploy_model(SERVER, QUICK) == URL
    assert yaml.safe_load((folder / "tuned.yaml").read_text()) == build(SERVER, QUICK)
    assert not list(folder.glob(".*")), "a temporary file was left behind"


def test_a_pointer_is_served_as_the_version_that_it_stands_for(
    folder: Path, s3_store: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3_store.endpoint_url and s3_store.access_key and s3_store.secret_key
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_store.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_store.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_store.secret_key.get_secret_value())
    model = f"s3://{s3_store.bucket}/models/deployed"
    pointer = {"version": "0a", "uri": f"{model}/0a", "moved_at": "2026-11-26T00:00:00+00:00"}
    put_json(s3_store, f"{model}/production.json", pointer)
    with supervisor(folder, {"ready": True, "url": URL, "message": ""}):
        found = deploy.python_func("tuned", f"{model}/production", "f", "laptop")
    assert found == (URL, f"{model}/0a")
    assert served_in_directory(folder) == {f"{model}/0a"}


def test_a_server_that_gave_up_is_reported_at_once_with_its_reason(folder: Path) -> None:
    message = "gave up after 3 tries: it ended with code 1"
    with (
        supervisor(folder, {"ready": False, "url": "", "message": message}),
        pytest.raises(DeployError, match=message),
    ):
        deploy_model(SERVER, QUICK)


def test_a_timeout_tells_the_last_reason(folder: Path) -> None:
    settings = DeploySettings(ready_seconds=0.01)
    with pytest.raises(DeployError, match=r"not ready in 0 s.*finist up"):
        deploy_model(SERVER, settings)


def test_a_changed_object_loses_its_old_status_and_an_equal_one_keeps_it(tmp_path: Path) -> None:
    path = directory.write(build(SERVER, QUICK), tmp_path)
    status = tmp_path / "tuned.status.json"
    status.write_text(json.dumps({"ready": True, "url": URL}))
    directory.write(build(SERVER, QUICK), tmp_path)
    assert directory.look(path).endpoint == URL
    other = SERVER.model_copy(update={"served_model_name": "g"})
    directory.write(build(other, QUICK), tmp_path)
    assert directory.look(path).endpoint == ""


def test_a_half_written_status_is_waited_out(tmp_path: Path) -> None:
    path = directory.write(build(SERVER, QUICK), tmp_path)
    (tmp_path / "tuned.status.json").write_text('{"ready": tr')
    assert directory.look(path).failed is False


def test_a_removed_server_leaves_nothing_in_the_folder(folder: Path) -> None:
    with supervisor(folder, {"ready": True, "url": URL, "message": ""}):
        deploy_model(SERVER, QUICK)
    remove_model("tuned", QUICK)
    assert list(folder.iterdir()) == []
    remove_model("tuned", QUICK)
