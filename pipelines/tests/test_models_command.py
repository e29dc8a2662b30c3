import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.core import s3_client, store
from components.core.download import download_directory
from components.core.errors import (
    BadInputError,
    DeployError,
    FinistError,
    IntegrityError,
    MissingModelError,
)
from components.core.settings import StoreSettings
from components.publish import models_command as commands
from components.publish import pointers
from components.publish.candidate import upload_candidate
from components.publish.evidence import Evidence
from components.publish.lineage import read_lineage
from components.publish.publish import latest, publish_candidate
from pipelines import models_command
from pipelines.cli import _checkpoint, app
from pipelines.tests.fake_hub import COMMIT, WEIGHTS, FakeHub, running

HUB_ID = "simulated/Tiny-Llama.1"
NAME = "tiny-llama-1"
TEMPLATE = "{{ messages[0].content }}"


Finist = Callable[..., str]


@pytest.fixture
def environment(s3_store: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's variables, and a laptop's home."""
    assert s3_store.endpoint_url and s3_store.access_key and s3_store.secret_key
    (tmp_path / "inferenceservices").mkdir()
    for key, value in {
        "AWS_ENDPOINT_URL": s3_store.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_store.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_store.secret_key.get_secret_value(),
        "FINIST_BUCKET": s3_store.bucket,
        "FINIST_DEPLOY_DIRECTORY": str(tmp_path / "inferenceservices"),
        "FINIST_HOME": str(tmp_path),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(key, value)
    return tmp_path


@pytest.fixture
def finist(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Finist:
    """Runs a command in this process; gives what it prints, raises what it raises."""

    def finist(*arguments: str) -> str:
        for module in (commands, models_command):
            monkeypatch.setattr(module, "console", Console(highlight=False, width=200))
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return finist


def hub_files() -> dict[str, bytes]:
    """As hubs have it: the template inside a JSON, other formats in folders."""
    return {
        "config.json": b'{"model_type": "llama"}',
        "tokenizer.json": b"{}",
        "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}).encode(),
        WEIGHTS: os.urandom(25_000_000),
        "LICENSE": b"Apache License\nVersion 2.0, January 2004",
        "README.md": b"the hub's card",
        "onnx/model.onnx": b"other",
        "pytorch_model.bin": b"other",
    }


def published(settings: StoreSettings, folder: Path, name: str) -> tuple[str, str]:
    """Publishes two small models; gives their versions."""
    found = []
    for weights in (b"1", b"2"):
        for file in ("config.json", "tokenizer.json"):
            (folder / file).write_text("{}")
        (folder / "chat_template.jinja").write_text(TEMPLATE)
        (folder / WEIGHTS).write_bytes(weights)
        uri = upload_candidate(settings, folder, name).uri
        found.append(publish_candidate(settings, uri, Evidence()).version)
    return found[0], found[1]


def test_a_registry_is_listed_promoted_verified_and_cleaned(
    s3_store: StoreSettings, finist: Finist, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    first, second = published(s3_store, folder, "by-command")
    listed = [line.split() for line in finist("models", "list").splitlines()]
    marks = {line[1]: line[-1] for line in listed if line[0] == "by-command"}
    assert marks.keys() == {first, second}
    assert marks[second] == "latest" != marks[first]
    moved = finist("models", "promote", "by-command", first)
    assert moved == f"production of by-command: {first} (before: nothing)\n"
    shown = json.loads(finist("models", "show", "by-command@production", "--json"))
    assert shown["version"] == first and shown["pointers"] == ["production"]
    for_people = finist("models", "show", "by-command")
    assert second in for_people and "Licence" in for_people and "lineage.json" in for_people
    verified = finist("models", "verify", "by-command@production")
    assert verified == f"by-command {first}: every byte is as the manifest says\n"
    kept = ("by-command", "--keep", "0", "--older-than", "0s")
    planned = json.loads(finist("models", "gc", *kept, "--json"))
    goes = {each["uri"] for each in planned if each["goes"]}
    assert len(planned) == 4 and all("/candidates/" in uri for uri in goes) and len(goes) == 2
    asked = finist("models", "gc", *kept)
    assert "would go: 2 candidates" in asked and "--yes" in asked
    assert "deleted: 2 candidates" in finist("models", "gc", *kept, "--yes")
    assert store.read_manifest(s3_store, latest(s3_store, "by-command")) is not None


def test_a_base_model_of_the_store_is_brought_here_once_a_version(
    s3_store: StoreSettings, environment: Path
) -> None:
    folder = environment / "model"
    folder.mkdir()
    _, version = published(s3_store, folder, "as-base")
    moving = f"s3://{s3_store.bucket}/models/as-base/latest"
    here = _checkpoint(moving, environment / "base")
    assert here.name == f"{s3_store.bucket}--models--as-base--{version}"
    assert (here / WEIGHTS).read_bytes() == b"2"
    assert _checkpoint(moving, environment / "base") == here
    published_again, _ = published(s3_store, folder, "as-base")
    pointers.promote(s3_store, "as-base", published_again, "latest")
    other = _checkpoint(moving, environment / "base")
    assert (other / WEIGHTS).read_bytes() == b"1"


def test_a_flipped_bit_is_found(s3_store: StoreSettings, finist: Finist, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    _, version = published(s3_store, folder, "flipped")
    place = store.parse_uri(latest(s3_store, "flipped"))
    s3_client.client(s3_store).put_object(Bucket=place.bucket, Key=place.key(WEIGHTS), Body=b"3")
    with pytest.raises(IntegrityError, match=f"flipped {version} is damaged, 1 file:"):
        finist("models", "verify", "flipped")


def test_what_a_laptops_server_serves_stays(
    s3_store: StoreSettings, finist: Finist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    published(s3_store, folder, "served-here")
    candidates = f"s3://{s3_store.bucket}/candidates/served-here"
    served, left = sorted(store.directories(s3_store, candidates))
    predictor = {"predictor": {"model": {"storageUri": f"{candidates}/{served}"}}}
    service = {"metadata": {"name": "x"}, "spec": predictor}
    (tmp_path / "inferenceservices" / "x.yaml").write_text(json.dumps(service))
    options = ("--keep", "0", "--older-than", "0s", "--json")
    planned = json.loads(finist("models", "gc", "served-here", *options))
    why = {each["uri"].rsplit("/", 1)[-1]: each["why"] for each in planned}
    assert why[served] == "a model server was started from it"
    assert why[left].startswith("a candidate")
    release = {"model_uri": f"{candidates}/{left}"}
    (tmp_path / "last_release.json").write_text(json.dumps(release))
    planned = json.loads(finist("models", "gc", "served-here", *options))
    assert not any(each["goes"] for each in planned if "/candidates/" in each["uri"])
    monkeypatch.delenv("FINIST_DEPLOY_DIRECTORY")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(DeployError, match="There is no Kubernetes"):
        finist("models", "gc", "served-here", *options)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "nobody"), "There is no nobody@latest in the store; there is: nothing"),
        (("promote", "nobody"), "Give either a version to promote or --back, and not both"),
        (("gc",), "Give either the name of a model or --all, and not both"),
        (("gc", "nobody"), "There is no model 'nobody'"),
        (("gc", "--all", "--older-than", "soon"), "--older-than soon: write it as 7d, 12h, 30m"),
    ],
)
def test_a_mistake_is_named(finist: Finist, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(FinistError, match=says):
        finist("models", *arguments)


def test_a_mistake_in_a_shell_is_one_sentence_and_exit_code_2(environment: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "models", "show", "nobody"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "finist: There is no nobody@latest in the store; there is: nothing.\n"


def test_a_hubs_model_comes_whole_with_its_template_licence_and_commit(
    s3_store: StoreSettings, finist: Finist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(FakeHub(HUB_ID, hub_files(), cut=True)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        done = finist("mirror", HUB_ID)
        again = finist("mirror", HUB_ID, "--revision", COMMIT)
    uri = latest(s3_store, NAME)
    assert done == f"{uri} (new)\n"
    assert again == f"{uri} (was there already)\n"
    assert len(hub.ranges) == 1 and hub.ranges[0] != "bytes=0-"  # gone on with, not begun anew
    copy = download_directory(s3_store, uri, tmp_path / "copy")
    assert (copy / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert (copy / "chat_template.jinja").read_text() == TEMPLATE
    assert (copy / "LICENSE").read_bytes() == hub.files["LICENSE"]
    assert not (copy / "onnx").exists() and not (copy / "pytorch_model.bin").exists()
    lineage = read_lineage(s3_store, uri)
    assert lineage and lineage.source
    assert (lineage.source.hub, lineage.source.hub_id) == (hub.url, HUB_ID)
    assert (lineage.source.commit, lineage.licence) == (COMMIT, "apache-2.0")
    card = (copy / "README.md").read_text(encoding="utf-8")
    assert f"A copy of [{HUB_ID}]" in card and "Nothing in it was trained here" in card
    assert list((tmp_path / "mirror").iterdir()) == []
    assert store.directories(s3_store, f"s3://{s3_store.bucket}/candidates/{NAME}") == set()


def test_bytes_that_are_not_the_hubs_are_not_published(
    s3_store: StoreSettings, finist: Finist, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(FakeHub(HUB_ID, hub_files(), lie=True)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(IntegrityError, match="the hub says"):
            finist("mirror", HUB_ID, "--name", "forged")
    with pytest.raises(MissingModelError, match="holds no model"):
        latest(s3_store, "forged")


def test_an_unknown_model_a_silent_hub_and_a_model_without_a_template_are_told_apart(
    finist: Finist, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = hub_files() | {"tokenizer_config.json": b"{}"}
    with running(FakeHub(HUB_ID, files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(MissingModelError, match=f"other at main cannot be .* {hub.url}"):
            finist("mirror", "simulated/other")
        with pytest.raises(MissingModelError, match="has no chat template"):
            finist("mirror", HUB_ID)
    with pytest.raises(MissingModelError, match="check the id, HF_ENDPOINT, the network"):
        finist("mirror", HUB_ID)
    with pytest.raises(BadInputError, match="no model name"):
        finist("mirror", HUB_ID, "--name", "Big Name")
