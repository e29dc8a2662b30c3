from pathlib import Path

import pytest
from kfp.dsl import Model
from transformers import AutoModelForCausalLM

from components.core import store
from components.core.errors import MissingModelError
from components.core.model_pointers import Pointer, pointer_uri
from components.core.settings import StoreSettings
from components.core.upload import upload_directory
from components.train.base_model import TEMPLATE
from components.train.component import base_model
from components.train.merge import save_model
from components.train.planner.model_shape import load_shape
from components.train.tiny_model import write_tiny_model

VERSION = "0123456789ab"


@pytest.fixture
def stored(s3_store: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a model in the store, a version that `latest` stands for."""
    assert s3_store.endpoint_url and s3_store.access_key and s3_store.secret_key
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_store.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_store.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_store.secret_key.get_secret_value())
    monkeypatch.setenv("FINIST_BUCKET", s3_store.bucket)
    folder = write_tiny_model(tmp_path / "stored", ["Какая ставка по вкладу?"])
    (folder / "LICENSE").write_text("the licence")
    (folder / "USE_POLICY.md").write_text("the policy")
    (folder / "README.md").write_text("its own card")
    uri = f"s3://{s3_store.bucket}/models/stored-base/{VERSION}"
    upload_directory(s3_store, folder, uri)
    pointer = Pointer(version=VERSION, uri=uri, moved_at="2026-11-26T00:00:00+00:00")
    where = pointer_uri(s3_store.bucket, "stored-base", "latest")
    store.put_json(s3_store, where, pointer.model_dump())
    return uri


@pytest.mark.parametrize("last", [VERSION, "latest"])
def test_a_base_model_comes_from_the_store_and_its_version_is_known(
    stored: str, tmp_path: Path, last: str
) -> None:
    artifact = Model(name="model", uri=str(tmp_path / "base"), metadata={})
    (address,) = base_model.python_func(stored.replace(VERSION, last), artifact)
    assert address == stored
    assert (tmp_path / "base" / "chat_template.jinja").read_bytes() == TEMPLATE.read_bytes()
    assert AutoModelForCausalLM.from_pretrained(artifact.path).config.model_type == "llama"


def test_licence_texts_go_along_into_what_is_made_of_a_model(stored: str, tmp_path: Path) -> None:
    artifact = Model(name="model", uri=str(tmp_path / "base"), metadata={})
    base_model.python_func(stored, artifact)
    model = AutoModelForCausalLM.from_pretrained(artifact.path)
    save_model(model, Path(artifact.path), tmp_path / "merged")
    assert (tmp_path / "merged" / "LICENSE").read_text() == "the licence"
    assert (tmp_path / "merged" / "USE_POLICY.md").read_text() == "the policy"
    assert not (tmp_path / "merged" / "README.md").exists()


def test_the_planner_reads_the_version_that_a_pointer_stands_for(stored: str) -> None:
    moving = stored.replace(VERSION, "latest")
    assert load_shape(moving).hidden_size == load_shape(stored).hidden_size
    with pytest.raises(MissingModelError, match="stands for no version yet"):
        load_shape(stored.replace(VERSION, "production"))
