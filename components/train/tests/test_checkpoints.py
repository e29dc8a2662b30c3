import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import SecretStr
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from components.core import s3_client, store
from components.core.errors import BadInputError, StorageError, TrainingError
from components.core.manifest import MANIFEST_NAME
from components.core.settings import StoreSettings
from components.train.checkpoints import (
    CheckpointKeeper,
    CheckpointPlace,
    checkpoint_place,
    forget,
    newest,
)
from components.train.tests.toy_run import (
    DIVERGING,
    EVERY,
    UPDATES,
    Evict,
    curve,
    evicted,
    train,
    trainer,
)

AWAY = StoreSettings(endpoint_url="http://127.0.0.1:1", access_key="a", secret_key=SecretStr("b"))
"""Nobody listens there."""


def names(place: CheckpointPlace) -> list[str]:
    return sorted(path.name for path in place.folder.glob("checkpoint-*"))


def stored(place: CheckpointPlace) -> list[str]:
    assert place.uri is not None
    return sorted(store.directories(place.settings, place.uri))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture
def place(
    s3_store: StoreSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> CheckpointPlace:
    uri = f"s3://{s3_store.bucket}/checkpoints/{request.node.name}"
    return CheckpointPlace(tmp_path / "first", uri, s3_store)


@pytest.fixture
def local(tmp_path: Path) -> CheckpointPlace:
    return CheckpointPlace(tmp_path / "local")


def test_an_evicted_pod_with_an_empty_disk_goes_on_to_the_same_curve(
    place: CheckpointPlace, local: CheckpointPlace, tmp_path: Path
) -> None:
    whole = train(local)
    evicted(place)
    shutil.rmtree(place.folder)
    other = replace(place, folder=tmp_path / "second")
    assert newest(other) == other.folder / "checkpoint-6"
    resumed = train(other)
    assert curve(resumed) == curve(whole)
    assert resumed.state.best_model_checkpoint.startswith(str(other.folder))
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight)


def test_a_run_without_checkpoints_starts_from_the_beginning(place: CheckpointPlace) -> None:
    assert newest(place) is None


def test_the_store_holds_what_the_folder_holds(place: CheckpointPlace) -> None:
    train(place, save_total_limit=2)
    assert stored(place) == names(place)
    assert len(names(place)) == 2
    for name in names(place):
        assert store.read_manifest(place.settings, f"{place.uri}/{name}") is not None


def test_the_best_checkpoint_comes_along(place: CheckpointPlace, tmp_path: Path) -> None:
    evicted(place, step=11, **DIVERGING)
    shutil.rmtree(place.folder)
    other = replace(place, folder=tmp_path / "second")
    assert newest(other) == other.folder / "checkpoint-9"
    assert names(other) == ["checkpoint-3", "checkpoint-9"]
    resumed = train(other, **DIVERGING)
    assert resumed.state.best_model_checkpoint == str(other.folder / "checkpoint-3")


def test_a_lost_best_checkpoint_is_told_and_another_is_found(
    local: CheckpointPlace, caplog: pytest.LogCaptureFixture
) -> None:
    evicted(local, step=11, **DIVERGING)
    shutil.rmtree(local.folder / "checkpoint-3")
    resumed = train(local, **DIVERGING)
    assert "checkpoint-3 is lost" in caplog.text
    assert resumed.state.best_model_checkpoint == str(local.folder / "checkpoint-12")


@pytest.mark.parametrize("harm", ["half", "flipped", "torn", "empty"])
def test_what_was_written_half_or_damaged_is_passed_over(
    local: CheckpointPlace, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    evicted(local)
    spoil(local.folder / "checkpoint-6", harm)
    assert newest(local) == local.folder / "checkpoint-3"
    told = [record.getMessage() for record in caplog.records if record.name.endswith("checkpoints")]
    assert len(told) == 1
    assert "broken-checkpoint-6" in told[0]
    assert names(local) == ["checkpoint-3"]
    assert len(curve(train(local))) == UPDATES + UPDATES // EVERY


def spoil(directory: Path, harm: str) -> None:
    manifest = directory / MANIFEST_NAME
    if harm == "half":
        manifest.unlink()
    elif harm == "flipped":
        flip(directory / "optimizer.pt")
    elif harm == "torn":
        manifest.write_text(manifest.read_text()[:40])
    else:
        for path in directory.iterdir():
            if path != manifest:
                path.unlink()


@pytest.mark.parametrize("harm", ["half", "flipped", "missing", "torn"])
def test_what_the_store_holds_half_or_damaged_is_passed_over(
    place: CheckpointPlace, caplog: pytest.LogCaptureFixture, tmp_path: Path, harm: str
) -> None:
    evicted(place)
    spoil_stored(place, "checkpoint-6", harm)
    other = replace(place, folder=tmp_path / "second")
    assert newest(other) == other.folder / "checkpoint-3"
    assert caplog.text.count(f"{place.uri}/checkpoint-6 was written half") == 1
    train(other)
    assert stored(other) == names(other)


def spoil_stored(place: CheckpointPlace, name: str, harm: str) -> None:
    there = store.parse_uri(f"{place.uri}/{name}")
    s3 = s3_client.client(place.settings)
    damaged = {"flipped": "optimizer.pt", "missing": "optimizer.pt"}.get(harm, MANIFEST_NAME)
    if harm in {"half", "missing"}:
        s3.delete_object(Bucket=there.bucket, Key=there.key(damaged))
        return
    body = bytearray(s3.get_object(Bucket=there.bucket, Key=there.key(damaged))["Body"].read())
    body[len(body) // 2] ^= 1
    content = bytes(body) if harm == "flipped" else bytes(body[:40])
    s3.put_object(Bucket=there.bucket, Key=there.key(damaged), Body=content)


def test_a_damaged_one_here_comes_from_the_store(place: CheckpointPlace) -> None:
    evicted(place)
    flip(place.folder / "checkpoint-6" / "optimizer.pt")
    assert newest(place) == place.folder / "checkpoint-6"
    assert (place.folder / "broken-checkpoint-6").is_dir()


def test_the_higher_step_wins_wherever_it_is(place: CheckpointPlace, tmp_path: Path) -> None:
    evicted(place)
    offline = replace(place, uri=None)
    evicted(offline, step=11)
    assert newest(place) == place.folder / "checkpoint-9"
    other = replace(place, folder=tmp_path / "second")
    shutil.copytree(place.folder / "checkpoint-3", other.folder / "checkpoint-3")
    assert newest(other) == other.folder / "checkpoint-6"


def test_a_kill_in_the_middle_of_an_upload_leaves_nothing_that_counts(
    place: CheckpointPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = s3_client.client

    def client(settings: StoreSettings) -> Any:
        s3 = original(settings)
        put_object = s3.put_object

        def cut(**request: Any) -> Any:
            if request["Key"].endswith("checkpoint-6/scheduler.pt"):
                raise KeyboardInterrupt
            return put_object(**request)

        s3.put_object = cut  # type: ignore[method-assign]
        return s3

    monkeypatch.setattr(s3_client, "client", client)
    with pytest.raises(KeyboardInterrupt):
        train(place)
    monkeypatch.undo()
    assert stored(place) == ["checkpoint-3", "checkpoint-6"]
    assert store.read_manifest(place.settings, f"{place.uri}/checkpoint-6") is None
    other = replace(place, folder=tmp_path / "second")
    assert newest(other) == other.folder / "checkpoint-3"
    assert newest(place) == place.folder / "checkpoint-6"  # sealed here before it went up


class Outage(TrainerCallback):
    """Nobody listens at the store's address until so many updates are done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, until: int) -> None:
        self.over, self.until, self.client = False, until, s3_client.client
        monkeypatch.setattr(s3_client, "client", self.reach)

    def reach(self, settings: StoreSettings) -> Any:
        return self.client(settings if self.over else AWAY)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.over = state.global_step >= self.until


def test_training_outlives_the_store_and_catches_up(
    place: CheckpointPlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = trainer(place, Outage(monkeypatch, until=6), Evict(8))
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert caplog.text.count("Training goes on") == 1
    assert f"{place.uri}/checkpoint-3" in caplog.text
    other = replace(place, folder=tmp_path / "second")
    assert newest(other) == other.folder / "checkpoint-6"
    assert stored(other) == ["checkpoint-3", "checkpoint-6"]
    assert store.read_manifest(place.settings, f"{place.uri}/checkpoint-3") is not None


def test_a_run_does_not_start_anew_because_the_store_is_away(place: CheckpointPlace) -> None:
    evicted(place)
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL"):
        newest(replace(place, settings=AWAY))


def test_a_run_that_ended_well_leaves_nothing(place: CheckpointPlace) -> None:
    namesake = replace(place, folder=place.folder.with_name("other"), uri=f"{place.uri}-other")
    evicted(namesake)
    train(place)
    forget(place)
    assert not place.folder.exists()
    assert stored(place) == []
    assert len(stored(namesake)) == 2


def test_forgetting_without_the_store_is_a_warning(
    place: CheckpointPlace, caplog: pytest.LogCaptureFixture
) -> None:
    evicted(place)
    forget(replace(place, settings=AWAY))
    assert not place.folder.exists()
    assert f"stay in the store: {place.uri}" in caplog.text


def test_a_folder_that_nodes_do_not_share_is_refused(local: CheckpointPlace) -> None:
    """The second process wrote on another node's disk: sealing would call half a whole."""
    (local.folder / "checkpoint-3").mkdir(parents=True)
    (local.folder / "checkpoint-3" / "rng_state_0.pth").touch()
    state = TrainerState(global_step=3, is_world_process_zero=True)
    with pytest.raises(TrainingError, match="FINIST_HOME"):
        CheckpointKeeper(local).on_save(SimpleNamespace(world_size=2), state, TrainerControl())
    assert newest(local) is None


def test_the_environment_says_where(tmp_path: Path) -> None:
    here = checkpoint_place("abc", tmp_path, {})
    assert (here.folder, here.uri) == (tmp_path / "checkpoints" / "abc", None)
    there = checkpoint_place("abc", tmp_path, {"FINIST_CHECKPOINTS": "s3://bucket/some/prefix/"})
    assert there.uri == "s3://bucket/some/prefix/abc"
    assert checkpoint_place("abc", tmp_path, {"FINIST_CHECKPOINTS": "s3://bucket"}).uri == (
        "s3://bucket/abc"
    )
    with pytest.raises(BadInputError, match="s3://bucket/prefix"):
        checkpoint_place("abc", tmp_path, {"FINIST_CHECKPOINTS": "/mnt/checkpoints"})


TWO_PROCESSES = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from torch import distributed
from components.train.checkpoints import CheckpointPlace, forget, newest
from components.train.tests.toy_run import curve, evicted, train

home = Path(sys.argv[1])
place = CheckpointPlace(home / "first", sys.argv[2])
told = {"whole": curve(train(CheckpointPlace(home / "whole")))}
evicted(place)
told["shards"] = sorted(path.name for path in place.folder.glob("*/rng_state_*"))
other = replace(place, folder=home / "second")
told["found"] = str(newest(other))
told["resumed"] = curve(train(other))
forget(other)
told["left"] = other.folder.exists() and distributed.get_rank() == 0
(home / os.environ["RANK"]).write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_two_processes_seal_together_and_agree_where_to_go_on(
    place: CheckpointPlace, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node=2", str(script), str(tmp_path), str(place.uri)],
        env={**os.environ, **variables(place.settings), "OMP_NUM_THREADS": "1", "PYTHONPATH": "."},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads((tmp_path / rank).read_text()) for rank in "01"]
    assert answers[0] == answers[1]
    assert answers[0]["shards"] == ["rng_state_0.pth"] * 2 + ["rng_state_1.pth"] * 2
    assert answers[0]["found"] == str(tmp_path / "second" / "checkpoint-6")
    assert answers[0]["resumed"] == answers[0]["whole"]
    assert not answers[0]["left"]
    assert stored(place) == []


def variables(settings: StoreSettings) -> dict[str, str]:
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    values = {
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    return {name: value for name, value in values.items() if value}
