import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kfp.dsl import Model

from components.core import s3_client, store
from components.core.download import download_directory
from components.core.errors import BadInputError, MissingModelError, StorageError
from components.core.settings import StoreSettings
from components.publish.component import publish, upload
from components.publish.model_files import INDEX, weight_files
from components.publish.publish import Version, latest, publish_candidate, upload_candidate


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint in shape, not in content: publishing never opens the weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 64, "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "generation_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(os.urandom(1000))
    return folder


def publish_model(
    settings: StoreSettings, model: Path, name: str, lineage: dict[str, str]
) -> Version:
    return publish_candidate(settings, upload_candidate(settings, model, name, lineage).uri)


def environment(settings: StoreSettings) -> dict[str, str]:
    assert settings.endpoint_url and settings.access_key and settings.secret_key
    return {
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.secret_key.get_secret_value(),
        "FINIST_BUCKET": settings.bucket,
    }


def test_the_version_is_the_hash_of_its_content(
    s3_store: StoreSettings, model: Path, tmp_path: Path
) -> None:
    published = publish_model(s3_store, model, "by-content", {"base_model": "tiny"})
    manifest = store.read_manifest(s3_store, published.uri)
    assert manifest is not None
    assert manifest.content_hash[:12] == published.version
    assert published.uri == f"s3://{s3_store.bucket}/models/by-content/{published.version}"
    copy = download_directory(s3_store, published.uri, tmp_path / "copy")
    assert {path.name for path in model.iterdir()} < {path.name for path in copy.iterdir()}


def test_publishing_twice_sends_nothing(s3_store: StoreSettings, model: Path) -> None:
    first = publish_model(s3_store, model, "twice", {})
    place = store.parse_uri(first.uri)
    s3 = s3_client.client(s3_store)
    before = s3.head_object(Bucket=place.bucket, Key=place.key("model.safetensors"))
    pointer = store.get_json(s3_store, f"s3://{s3_store.bucket}/models/twice/latest.json")
    second = publish_model(s3_store, model, "twice", {})
    after = s3.head_object(Bucket=place.bucket, Key=place.key("model.safetensors"))
    assert first.new and not second.new
    assert first.uri == second.uri
    assert before["LastModified"] == after["LastModified"]
    assert store.get_json(s3_store, f"s3://{s3_store.bucket}/models/twice/latest.json") == pointer


def test_latest_follows_and_old_versions_stay(s3_store: StoreSettings, model: Path) -> None:
    first = publish_model(s3_store, model, "followed", {})
    assert latest(s3_store, "followed") == first.uri
    (model / "model.safetensors").write_bytes(b"better")
    second = publish_model(s3_store, model, "followed", {})
    assert latest(s3_store, "followed") == second.uri != first.uri
    assert store.read_manifest(s3_store, first.uri) is not None


def test_the_card_tells_figures_and_lineage(
    s3_store: StoreSettings, model: Path, tmp_path: Path
) -> None:
    published = publish_model(s3_store, model, "carded", {"git commit": "1a2b3c"})
    copy = download_directory(s3_store, published.uri, tmp_path / "copy")
    card = (copy / "README.md").read_text(encoding="utf-8")
    assert "| layers | 2 |" in card and "- git commit: 1a2b3c" in card
    assert not (model / "README.md").exists()


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_incomplete_checkpoint_is_refused(
    s3_store: StoreSettings, model: Path, missing: str
) -> None:
    (model / missing).unlink()
    with pytest.raises(MissingModelError, match=missing):
        publish_model(s3_store, model, "refused", {})
    with pytest.raises(MissingModelError, match="holds no model"):
        latest(s3_store, "refused")


def test_missing_shard_is_named(model: Path) -> None:
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (model / INDEX).write_text(json.dumps({"weight_map": shards}))
    assert weight_files(model) == sorted(shards.values())
    with pytest.raises(MissingModelError, match=r"model-1\.safetensors, model-2\.safetensors"):
        publish_model(StoreSettings(), model, "sharded", {})


@pytest.mark.parametrize("name", ["", "Upper", "with/slash", "-dash", "x" * 64, ".."])
def test_bad_name_is_refused(model: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="no model name"):
        publish_model(StoreSettings(), model, name, {})


def test_a_candidate_is_no_published_model(s3_store: StoreSettings, model: Path) -> None:
    candidate = upload_candidate(s3_store, model, "judged", {})
    assert candidate.new
    assert candidate.uri == f"s3://{s3_store.bucket}/candidates/judged/{candidate.version}"
    with pytest.raises(MissingModelError, match="holds no model"):
        latest(s3_store, "judged")
    published = publish_candidate(s3_store, candidate.uri)
    assert published.version == candidate.version
    assert latest(s3_store, "judged") == published.uri
    assert not publish_candidate(s3_store, candidate.uri).new


def test_only_a_whole_candidate_is_published(s3_store: StoreSettings, model: Path) -> None:
    published = publish_model(s3_store, model, "whole", {})
    with pytest.raises(BadInputError, match="is no candidate"):
        publish_candidate(s3_store, published.uri)
    with pytest.raises(StorageError, match=r"holds no manifest\.json"):
        publish_candidate(s3_store, f"s3://{s3_store.bucket}/candidates/whole/0123456789ab")


def test_the_kfp_face_gives_the_address(
    s3_store: StoreSettings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment(s3_store).items():
        monkeypatch.setenv(key, value)
    artifact = Model(name="merged", uri=str(model), metadata={"base_model": "tiny"})
    outputs = publish.python_func(*upload.python_func(artifact, "by-face"))
    assert outputs[0] == latest(s3_store, "by-face")


def test_the_shell_face_gives_the_address_or_one_sentence(
    s3_store: StoreSettings, model: Path
) -> None:
    command = [sys.executable, "-m", "components.publish", str(model), "--name", "by-shell"]
    env = {**os.environ, **environment(s3_store)}
    good = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert latest(s3_store, "by-shell") in good.stdout
    command.extend(["--lineage", "no-equals-sign"])
    bad = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr == "finist: --lineage no-equals-sign: write it as KEY=VALUE.\n"
