"""The laptop stack with the real S3 server; a tiny OpenAI server stands in for vLLM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from components.core.errors import (
    BadInputError,
    DeployError,
    MissingModelError,
    PortInUseError,
    StorageError,
)
from components.core.s3_client import client
from components.core.store import ensure_bucket
from components.core.upload import upload_directory
from pipelines import cli
from pipelines.local import inference, release, stack
from pipelines.local.ask import service_of, stream_answer
from pipelines.local.processes import session_members
from pipelines.local.state import ProcessId, StackState

FAKE = Path(__file__).with_name("fake_vllm.py")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home whose stack is stopped at the end, whatever the test did."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    chosen = tmp_path / "home"
    monkeypatch.setenv("FINIST_HOME", str(chosen))
    monkeypatch.setenv("FINIST_SERVE_PYTHON", str(python))
    monkeypatch.delenv("GIGACHAT_CREDENTIALS", raising=False)
    yield chosen
    stack.stop(chosen)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "base", "Обратитесь в отделение.")


def checkpoint(directory: Path, says: str) -> Path:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"says": says}), encoding="utf-8")
    return directory


def processes(state: StackState) -> list[ProcessId]:
    children = [one.process for one in state.services.values() if one.process]
    return [state.supervisor, *children]


def left_over(leaders: list[ProcessId]) -> list[psutil.Process]:
    return [member for leader in leaders for member in session_members(leader)]


def current(home: Path) -> StackState:
    state = stack.status(home)
    assert state is not None
    return state


def test_s3_keeps_data_over_a_restart_and_wants_the_key(home: Path) -> None:
    stack.start(("s3",))
    stack.wait_ready(seconds=60)
    s3 = client(stack.store_settings())
    s3.put_object(Bucket="finist", Key="a/b", Body=b"kept" * 100_000)
    s3.close()
    first = processes(current(home))
    assert stack.stop() == ["s3"]
    assert not left_over(first)

    stack.start(("s3",))
    stack.wait_ready(seconds=60)
    again = client(stack.store_settings())
    assert again.get_object(Bucket="finist", Key="a/b")["Body"].read() == b"kept" * 100_000
    again.close()
    stranger = client(stack.store_settings().model_copy(update={"access_key": "other"}))
    with pytest.raises(stranger.exceptions.ClientError, match="InvalidAccessKeyId"):
        stranger.list_buckets()
    stranger.close()
    assert (home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_s3_listens_on_loopback_only(home: Path) -> None:
    stack.start(("s3",))
    pid = stack.wait_ready(seconds=60)["s3"].pid
    everything = psutil.net_connections(kind="tcp")
    listening = [one for one in everything if one.pid == pid and one.status == psutil.CONN_LISTEN]
    assert {next(iter(one.laddr)) for one in listening} == {"127.0.0.1"}
    assert len(listening) <= 10, "a new port: switch its service off or give it a port"


def test_whole_stack_serves_published_and_base_model(home: Path, base: Path) -> None:
    stack.start(("s3",))
    stack.wait_ready(seconds=60)
    tuned = checkpoint(base.with_name("tuned"), "Ставка 16%.")
    uri = "s3://finist/models/tuned/1"
    ensure_bucket(stack.store_settings())  # a server that is healthy may still be making it
    upload_directory(stack.store_settings(), tuned, uri)
    release.write_release(home, release.Release(model_uri=uri))

    runner = CliRunner()
    up = runner.invoke(cli.app, ["up", "--base-model", str(base)], catch_exceptions=False)
    assert up.exit_code == 0, up.output
    assert "".join(stream_answer(service_of("tuned"), "Ставка?", 9)).strip() == "Ставка 16%."
    asked = runner.invoke(cli.app, ["ask", "Ставка?", "--model", "gigachat"])
    assert "Обратитесь в отделение." in asked.output
    assert f"emulator of GigaChat: {base.name}, prompted" in asked.output
    status = json.loads((home / "inferenceservices" / "tuned.status.json").read_text())
    assert status["ready"] is True
    assert status["url"] == stack.service("tuned").url
    assert current(home).services["tuned"].model_uri == uri

    running = processes(current(home))
    assert len(running) == 6
    down = runner.invoke(cli.app, ["down"])
    assert "baseline, gigachat-adapter, gigachat-emulator, s3, tuned" in down.output
    assert not left_over(running)
    assert "nothing was running" in runner.invoke(cli.app, ["down"]).output
    with pytest.raises(DeployError, match="finist up"):
        service_of("tuned")


def test_changed_and_removed_objects_are_followed(home: Path, base: Path) -> None:
    stack.start(())
    stack.add_baseline(base)
    before = stack.wait_ready(seconds=60)["baseline"]
    other = checkpoint(base.with_name("other"), "Да.")
    stack.add_inference_service("baseline", other.as_uri())
    deadline = time.monotonic() + 30
    while current(home).services["baseline"].model_uri != other.as_uri():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    stack.wait_ready(seconds=60)
    assert before.process
    assert not left_over([before.process])
    running = processes(current(home))
    stack.remove_inference_service("baseline")
    while current(home).services:
        assert time.monotonic() < deadline + 30
        time.sleep(0.1)
    assert not left_over(running[1:])
    assert not (home / "inferenceservices" / "baseline.status.json").exists()


def test_killed_supervisor_is_cleaned_up(home: Path, base: Path) -> None:
    stack.start(("s3",))
    stack.add_baseline(base)
    stack.wait_ready(seconds=60)
    running = processes(current(home))
    os.kill(running[0].pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(running[0].pid)], timeout=10)
    assert stack.status() is None
    assert stack.stop() == ["baseline", "s3"]
    assert not left_over(running)
    stack.start(("s3",))
    stack.wait_ready(seconds=60)


def test_crashed_service_comes_back(home: Path, base: Path) -> None:
    stack.start(())
    stack.add_baseline(base)
    first = stack.wait_ready(seconds=60)["baseline"]
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while current(home).services["baseline"].pid == first.pid:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert stack.wait_ready(seconds=60)["baseline"].url == first.url


def test_ctrl_c_while_starting_leaves_nothing(
    home: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_SLOW", "1")
    argv = [sys.executable, "-m", "pipelines.cli", "up", "--base-model", str(base)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as command:
        deadline = time.monotonic() + 60
        while not ((state := stack.status()) and state.services.get("baseline")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running = processes(state)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=60)
    assert command.returncode == 130, said
    assert said.endswith("finist: Interrupted; run the same command again to go on.\n")
    assert "Traceback" not in said
    assert stack.status() is None
    assert not left_over(running)


def test_hopeless_service_is_given_up_with_its_reason(
    home: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_FAIL", "1")
    stack.start(())
    stack.add_baseline(base)
    with pytest.raises(DeployError, match=r"gave up after 3 tries.*no such kernel"):
        stack.wait_ready(seconds=60)


def test_bad_objects_and_absent_models_say_why(home: Path, base: Path) -> None:
    stack.start(())
    with pytest.raises(MissingModelError, match=r"config\.json"):
        stack.add_baseline(base / "nowhere")
    with pytest.raises(BadInputError, match="storageUri"):
        stack.apply({"metadata": {"name": "x"}, "spec": {"predictor": {"model": {}}}})
    stack.add_inference_service("lost", "file:///nowhere")
    with pytest.raises(DeployError, match="no model with a"):
        stack.wait_ready(("lost",), seconds=60)
    broken = home / inference.FOLDER / "broken.yaml"
    broken.write_text("spec: [", encoding="utf-8")
    status = broken.with_name("broken.status.json")
    deadline = time.monotonic() + 30
    while not status.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert re.match("gave up.*no YAML", json.loads(status.read_text())["message"])
    with pytest.raises(StorageError, match="finist up"):
        stack.store_settings()


def test_busy_port_names_its_owner(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} for s3.*pid {os.getpid()}"):
            stack.start(("s3",), ports={"s3": port})
    assert stack.status() is None
