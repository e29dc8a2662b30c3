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
from components.core.model_pointers import read_pointer
from components.core.settings import StoreSettings
from components.core.verify import verify_directory
from components.publish import fingerprint
from components.publish.candidate import upload_candidate
from components.publish.component import publish as publish_face
from components.publish.component import upload
from components.publish.evidence import Evidence
from components.publish.lineage import read_lineage
from components.publish.model_files import INDEX, only_model, weight_files
from components.publish.publish import latest, publish_candidate
from components.publish.tests.conftest import Publish


def test_the_version_is_the_hash_of_the_models_own_files(
    s3_store: StoreSettings, publish: Publish, model: Path, tmp_path: Path
) -> None:
    published = publish("by-content")
    manifest = store.read_manifest(s3_store, published.uri)
    assert manifest is not None
    assert only_model(manifest).content_hash[:12] == published.version
    assert published.uri == f"s3://{s3_store.bucket}/models/by-content/{published.version}"
    copy = download_directory(s3_store, published.uri, tmp_path / "copy")
    assert {path.name for path in model.iterdir()} < {path.name for path in copy.iterdir()}
    assert verify_directory(s3_store, published.uri) == []


def test_publishing_twice_sends_nothing(s3_store: StoreSettings, publish: Publish) -> None:
    first = publish("twice")
    place = store.parse_uri(first.uri)
    s3 = s3_client.client(s3_store)
    before = s3.head_object(Bucket=place.bucket, Key=place.key("model.safetensors"))
    pointer = store.get_json(s3_store, f"s3://{s3_store.bucket}/models/twice/latest.json")
    second = publish("twice")
    after = s3.head_object(Bucket=place.bucket, Key=place.key("model.safetensors"))
    assert first.new and not second.new
    assert first.uri == second.uri
    assert before["LastModified"] == after["LastModified"]
    assert store.get_json(s3_store, f"s3://{s3_store.bucket}/models/twice/latest.json") == pointer


def test_other_figures_of_the_same_weights_are_no_other_version(
    s3_store: StoreSettings, publish: Publish
) -> None:
    first = publish("measured", evidence=Evidence(run="1"))
    card = store.read_manifest(s3_store, first.uri)
    second = publish("measured", evidence=Evidence(run="2", base_model="smollm2-135m-instruct"))
    assert first.uri == second.uri and not second.new
    assert store.read_manifest(s3_store, first.uri) == card


def test_latest_follows_and_old_versions_stay(s3_store: StoreSettings, publish: Publish) -> None:
    first = publish("followed")
    assert latest(s3_store, "followed") == first.uri
    second = publish("followed", b"better")
    assert latest(s3_store, "followed") == second.uri != first.uri
    assert store.read_manifest(s3_store, first.uri) is not None


def test_a_version_that_was_cut_off_is_finished_and_its_card_kept(
    s3_store: StoreSettings, publish: Publish
) -> None:
    """What the first writer placed stands, so that two at the same moment agree on the sums."""
    published = publish("finished")
    s3, place = s3_client.client(s3_store), store.parse_uri(published.uri)
    lineage = store.get_json(s3_store, f"{published.uri}/lineage.json")
    s3.delete_object(Bucket=place.bucket, Key=place.key("manifest.json"))
    s3.delete_object(Bucket=place.bucket, Key=place.key("model.safetensors"))
    again = publish("finished", evidence=Evidence(run="other"))
    assert again.new and again.uri == published.uri
    assert store.get_json(s3_store, f"{published.uri}/lineage.json") == lineage
    assert verify_directory(s3_store, published.uri) == []


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_incomplete_checkpoint_is_refused(
    s3_store: StoreSettings, publish: Publish, model: Path, missing: str
) -> None:
    (model / missing).unlink()
    with pytest.raises(MissingModelError, match=missing):
        publish("refused")
    with pytest.raises(MissingModelError, match="holds no model"):
        latest(s3_store, "refused")


def test_missing_shard_is_named(model: Path) -> None:
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (model / INDEX).write_text(json.dumps({"weight_map": shards}))
    assert weight_files(model) == sorted(shards.values())
    with pytest.raises(MissingModelError, match=r"model-1\.safetensors, model-2\.safetensors"):
        upload_candidate(StoreSettings(), model, "sharded")


@pytest.mark.parametrize("name", ["", "Upper", "with/slash", "-dash", "x" * 64, ".."])
def test_bad_name_is_refused(model: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="no model name"):
        upload_candidate(StoreSettings(), model, name)


def test_a_candidate_is_no_published_model(s3_store: StoreSettings, model: Path) -> None:
    candidate = upload_candidate(s3_store, model, "judged")
    assert candidate.new
    assert candidate.uri == f"s3://{s3_store.bucket}/candidates/judged/{candidate.version}"
    with pytest.raises(MissingModelError, match="holds no model"):
        latest(s3_store, "judged")
    published = publish_candidate(s3_store, candidate.uri, Evidence())
    assert latest(s3_store, "judged") == published.uri
    assert not publish_candidate(s3_store, candidate.uri, Evidence()).new


def test_the_same_bytes_are_the_same_candidate_also_when_a_sample_cannot_tell(
    s3_store: StoreSettings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte between two windows: the fingerprint is the same, the model is not."""
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 100)
    monkeypatch.setattr(fingerprint, "WINDOWS", 2)
    monkeypatch.setattr(fingerprint, "WINDOW_BYTES", 10)
    first = upload_candidate(s3_store, model, "sampled")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[500] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    other = upload_candidate(s3_store, model, "sampled")
    again = upload_candidate(s3_store, model, "sampled")
    assert first.new and other.new and not again.new
    assert first.uri != other.uri == again.uri
    weights[500] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    assert upload_candidate(s3_store, model, "sampled").uri == first.uri


def test_a_sample_sees_both_ends_and_the_names(tmp_path: Path) -> None:
    def of(content: bytes, name: str = "a") -> str:
        folder = tmp_path / os.urandom(4).hex()
        folder.mkdir()
        (folder / name).write_bytes(content)
        return fingerprint.fingerprint(folder)

    size = fingerprint.WHOLE_BYTES + 1
    zeros = bytes(size)
    samples = [of(zeros), of(b"1" + zeros[1:]), of(zeros[1:] + b"1"), of(zeros + b"0")]
    assert len({*samples, of(zeros, "b")}) == 5
    assert of(zeros) == samples[0]


def test_only_a_whole_candidate_is_published(s3_store: StoreSettings, publish: Publish) -> None:
    published = publish("whole")
    with pytest.raises(BadInputError, match="is no candidate"):
        publish_candidate(s3_store, published.uri, Evidence())
    with pytest.raises(StorageError, match=r"holds no manifest\.json"):
        missing = f"s3://{s3_store.bucket}/candidates/whole/0123456789ab"
        publish_candidate(s3_store, missing, Evidence())


def test_the_kfp_face_gives_the_address(
    s3_store: StoreSettings,
    model: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    artifact = Model(name="merged", uri=str(model), metadata={})
    (candidate,) = upload.python_func(artifact, "by-face")
    outputs = publish_face.python_func(
        candidate,
        base_model="smollm2-135m-instruct",
        run="17",
        data_recipe={"seed": 7},
        subset={},
        sft_recipe={"epochs": 1},
        orpo_recipe={},
        quantize_recipe={},
    )
    assert outputs[0] == latest(s3_store, "by-face")
    lineage = read_lineage(s3_store, outputs[0])
    assert lineage
    assert lineage.recipes == {"data": {"seed": 7}, "sft": {"epochs": 1}}
    assert lineage.run == "17" and lineage.candidate == candidate
    pointer = read_pointer(s3_store, s3_store.bucket, "by-face", "latest")
    assert pointer and pointer.moved_by == "run 17"


def test_the_shell_face_gives_the_address_or_one_sentence(
    s3_store: StoreSettings, model: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "components.publish", str(model), "--name", "by-shell"]
    good = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert latest(s3_store, "by-shell") in good.stdout
    command.extend(["--board", str(model / "config.json")])
    bad = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr == (
        f"finist: {model / 'config.json'} holds no Board (baseline: Field required); run the step "
        "that writes it again.\n"
    )
